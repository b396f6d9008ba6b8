"""Rules are pure data: what cannot be judged is refused, with its name, its place and a hint."""

from pathlib import Path

import pytest

from serving.rulebook import PACKAGED, Rulebook, packaged
from twin.errors import BadRequest
from twin.rules import LONGEST_FILE, duration_us, laid, parse, ready

WARM = """
[[rule]]
name = "warm"
kind = "shipment"
when = "temp_c > 8"
severity = "critical"
"""


def refused(text, place="mine.toml"):
    with pytest.raises(BadRequest) as told:
        parse(text, place)
    assert told.value.code == "RULE_INVALID"
    return str(told.value)


def test_a_rule_needs_four_things_and_the_rest_has_defaults():
    (rule,) = parse(WARM, "mine.toml")

    assert (rule.name, rule.kind, rule.when, rule.severity) == (
        "warm",
        "shipment",
        "temp_c > 8",
        "critical",
    )
    assert (rule.clear, rule.held_us, rule.by, rule.total) == ("", 0, "facts", False)
    assert (rule.sla, rule.enabled, rule.place) == ("day", True, "mine.toml")


def test_the_packaged_rules_can_be_judged_and_cover_what_a_supply_chain_fears():
    rules = {rule.name: ready(rule) for rule in parse(packaged(), PACKAGED)}

    assert rules.keys() == {
        "cold-chain",
        "room-temperature",
        "overdue",
        "eta-past-promise",
        "silent-feed",
        "negative-stock",
        "low-stock",
        "implausible",
    }
    assert {name for name, one in rules.items() if one.timed} == {"overdue", "silent-feed"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("temp_c > 8", "temp_cc > 8"),
            "rule warm in its when: shipment has no field temp_cc; did you mean temp_c?",
        ),
        (("temp_c > 8", "temp_c > 'hot'"), "rule warm in its when: "),
        (("temp_c > 8", "temp_c >"), "rule warm in its when: cannot read the filter 'temp_c >'"),
        (("temp_c > 8", " "), "rule warm has an empty when, which always holds; say when"),
        (("temp_c > 8", "near(UGKLA, 20)"), "a rule sees its own twin alone"),
        (('"critical"', '"dire"'), "sets severity to 'dire'; there are info, warning, critical"),
        (('"critical"', '"critcal"'), "sets severity to 'critcal'; did you mean critical?"),
        (('"shipment"', '"shipmnt"'), "sets kind to 'shipmnt'; did you mean shipment?"),
        (('"shipment"', '"alert"'), "sets kind to 'alert'"),
        (('"warm"', '"Too Warm"'), "has a name that is not small letters"),
        (('severity = "critical"', ""), "rule warm lacks severity; give it one"),
        (
            ('"critical"', '"critical"\nfor = "4 parsecs"'),
            "sets for to '4 parsecs', no duration; write 30s, 15m, 4h or 2d",
        ),
        (('"critical"', '"critical"\nfor = 4'), "sets for to 4; it is a text in quotes"),
        (('"critical"', '"critical"\nevery = "0s"'), "sets every to '0s', no duration"),
        (
            ('"critical"', '"critical"\nsla = "month"'),
            "sets sla to 'month'; there are hour, shift, day, week",
        ),
        (
            ('"critical"', '"critical"\nmassage = "x"'),
            "sets massage, which is no key; did you mean message?",
        ),
        (
            ('"critical"', '"critical"\nmessage = "{temp_f} F"'),
            "in its message: shipment has no field temp_f; did you mean temp_c?",
        ),
        (('"critical"', '"critical"\nmessage = "{temp_c"'), "has a message that cannot be read"),
        (
            ('"critical"', '"critical"\nmessage = "{delay_days}"'),
            "delay_days is computed; name a field",
        ),
        (
            ('"critical"', '"critical"\nvalue = "product"'),
            "has the value product, which is no amount",
        ),
        (('"critical"', '"critical"\ntotal = true'), "sets total; that counts times between facts"),
        (('"critical"', '"critical"\nenabled = "no"'), "sets enabled to 'no'; it is true or false"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_exactly(change, said):
    text = refused(WARM.replace(*change))

    assert text.startswith("mine.toml")
    assert said in text


def test_a_file_that_is_no_file_of_rules_is_refused_whole():
    assert refused("[[rule]\n").startswith("mine.toml is no TOML: ")
    assert refused('rules = 3\n[[rule]]\nname = "x"') == (
        "mine.toml says rules; a file of rules holds [[rule]] alone"
    )
    assert refused("rule = 3") == "mine.toml says rule in another way; write [[rule]] before each"
    assert "is there twice; rename one" in refused(WARM + WARM)
    assert "more than 256 rules" in refused(WARM * 257)
    assert "longer than" in refused("#" * (LONGEST_FILE + 1))


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("30s", 30_000_000),
        ("1.5h", 5_400_000_000),
        ("2 d", 172_800_000_000),
        ("-1h", None),
        ("h", None),
    ],
)
def test_durations_are_written_short(text, us):
    assert duration_us(text) == us


def test_of_two_rules_of_one_name_that_of_the_later_file_counts():
    mine = parse(WARM.replace('"critical"', '"info"'), "mine.toml")

    assert [rule.severity for rule in laid([parse(WARM, "a"), mine])] == ["info"]


def test_a_bad_file_is_told_and_the_good_ones_go_on(tmp_path: Path):
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "good.toml").write_text(WARM)
    (folder / "bad.toml").write_text(WARM.replace("temp_c", "temp_cc").replace('"warm"', '"cold"'))
    rulebook = Rulebook(tmp_path)

    book = rulebook.book()

    assert "warm" in {rule.name for rule in book.rules}
    assert "cold" not in {rule.name for rule in book.rules}
    assert list(book.faults) == ["bad.toml"]
    assert "did you mean temp_c?" in book.faults["bad.toml"]


def test_a_file_that_turns_bad_goes_on_as_it_was_until_it_is_mended(tmp_path: Path):
    folder = tmp_path / "rules"
    folder.mkdir()
    file = folder / "mine.toml"
    file.write_text(WARM)
    rulebook = Rulebook(tmp_path)
    rulebook.book()

    file.write_text(WARM + "\nwhat")
    broken = rulebook.book()
    file.write_text(WARM.replace('"critical"', '"info"') + "\n")
    mended = rulebook.book()

    assert {r.name: r.severity for r in broken.rules}["warm"] == "critical"
    assert broken.faults
    assert {r.name: r.severity for r in mended.rules}["warm"] == "info"
    assert not mended.faults
    assert not rulebook.changed()


def test_a_packaged_rule_is_turned_off_by_a_file_of_ones_own(tmp_path: Path):
    folder = tmp_path / "rules"
    folder.mkdir()
    off = WARM.replace('"warm"', '"overdue"') + "enabled = false"
    (folder / "off.toml").write_text(off)

    book = Rulebook(tmp_path).book()

    assert "overdue" in {rule.name for rule in book.rules}
    assert "overdue" not in {one.rule.name for one in book.ready}
