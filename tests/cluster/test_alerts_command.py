"""`twin alerts` and `twin rules` against shards that serve, and webhooks as twin.toml has them."""

import json

import pytest

from cluster.cli import run
from cluster.config import load
from cluster.hooks import begin, webhook
from serving.webhooks import Dead, Files
from tests.serving.alerting import NOW, WARM, condition, ordered, wait_for, watched
from twin.errors import BadRequest

ALERT = "shipment:S1:warm"


@pytest.fixture
def twin(tmp_path):
    with watched(tmp_path / "twin") as twin, twin.client() as client:
        client.ingest([ordered("S1"), condition("S1", 14.0)])
        wait_for(client, ALERT, "OPEN")
        yield twin


def said(capsys, *words):
    """Return (status, what was printed) of a command."""
    status = run(list(words))
    return status, capsys.readouterr().out


def test_alerts_are_listed_with_what_to_do(twin, capsys):
    status, out = said(capsys, "alerts", "--folder", str(twin.folder))

    assert status == 0
    assert ALERT in out
    assert f"{ALERT}: S1 for UGKLA is at 14" in out
    assert "next: Cool it." in out
    assert "shown 1 of 1 alerts" in out


def test_incidents_and_json_say_the_same(twin, capsys):
    folder = str(twin.folder)
    _, plain = said(capsys, "alerts", "--incidents", "--folder", folder)
    _, raw = said(capsys, "alerts", "--incidents", "--json", "--folder", folder)

    (one,) = json.loads(raw)["incidents"]
    assert (one["id"], one["count"], one["value_usd"]) == (ALERT, 1, 50.0)
    assert ALERT in plain


def test_people_acknowledge_assign_snooze_wake_and_comment(twin, capsys):
    folder = ("--folder", str(twin.folder))

    _, acked = said(capsys, "alerts", "ack", ALERT, "--note", "on it", *folder)
    _, owned = said(capsys, "alerts", "assign", ALERT, "ana", "--json", *folder)
    _, asleep = said(capsys, "alerts", "snooze", ALERT, "--for", "4h", *folder)
    _, awake = said(capsys, "alerts", "wake", ALERT, *folder)

    assert "state ACKNOWLEDGED" in acked
    assert "note on it" in acked
    assert json.loads(owned)["alert"]["values"]["owner"]["value"] == "ana"
    assert "state SNOOZED" in asleep
    assert "until 2023-11-15T02:13:20Z" in asleep
    assert "state OPEN" in awake


def test_an_action_on_what_is_no_alert_fails_with_its_code(twin, capsys):
    status = run(["alerts", "ack", "shipment:S9:warm", "--folder", str(twin.folder)])

    assert status == 1
    assert capsys.readouterr().err.startswith("ENTITY_NOT_FOUND: ")


def test_a_snooze_needs_one_end(twin, capsys):
    folder = ("--folder", str(twin.folder))

    assert run(["alerts", "snooze", ALERT, *folder]) == 2
    assert run(["alerts", "snooze", ALERT, "--for", "4 parsecs", *folder]) == 1


def test_rules_are_listed_and_a_bad_file_is_told(twin, capsys):
    (twin.folder / "rules" / "c-bad.toml").write_text(WARM.replace("temp_c >", "temp_cc >"))

    status, out = said(capsys, "rules", "list", "--folder", str(twin.folder))

    assert status == 1
    assert "warm" in out
    assert "RULE_INVALID: c-bad.toml: rule warm in its when: shipment has no field temp_cc" in out


def test_a_file_of_rules_is_checked_before_it_is_used(tmp_path, capsys):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(WARM)
    bad.write_text(WARM.replace('"critical"', '"dire"'))

    assert run(["rules", "check", str(good)]) == 0
    assert run(["rules", "check", str(bad)]) == 1
    assert "sets severity to 'dire'" in capsys.readouterr().err
    assert run(["rules", "check", str(tmp_path / "none.toml")]) == 1


def test_rules_are_tried_on_the_history_and_nothing_is_changed(twin, tmp_path, capsys):
    file = tmp_path / "tried.toml"
    file.write_text(WARM.replace('"warm"', '"tried"').replace("> 8", "> 13"))

    status, out = said(capsys, "rules", "test", str(file), "--json", "--folder", str(twin.folder))

    (one,) = json.loads(out)["rules"]
    assert status == 0
    assert (one["rule"], one["raised"], one["cleared"], one["open"]) == ("tried", 1, 0, 1)
    assert one["examples"] == ["shipment/east/S1 since 2023-11-14T22:13:20Z"]
    with twin.client() as client:
        assert [t.id for t in client.search("alert").twins] == [ALERT]


def test_rules_that_cannot_be_judged_are_not_tried(twin, tmp_path, capsys):
    file = tmp_path / "tried.toml"
    file.write_text("[[rule]]\nname = 3")

    assert run(["rules", "test", str(file), "--folder", str(twin.folder)]) == 1
    assert capsys.readouterr().err.startswith("RULE_INVALID: tried.toml: rule number 1 lacks kind")


HOOK = """
[[webhooks]]
name = "ops"
url = "http://127.0.0.1:9/alerts"
where = "severity = 'critical'"
events = ["raised"]
"""


def configured(tmp_path, text):
    file = tmp_path / "twin.toml"
    file.write_text(text)
    return load(file, {}).config


def test_webhooks_are_read_from_twin_toml(tmp_path):
    (hook,) = configured(tmp_path, HOOK).webhooks

    assert (hook.name, hook.events, hook.attempts, hook.timeout_s) == ("ops", ("raised",), 10, 5.0)
    begun = webhook(tmp_path, hook, "acme")
    assert begun.secret == tmp_path / "webhooks" / "ops.secret"
    assert (hook.tenant, begun.tenant) == ("", "acme")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("http://127.0.0.1:9/alerts", "file:///etc/passwd", "the url of ops is refused"),
        ("http://127.0.0.1:9/alerts", "http://u:p@h/", "it holds a password"),
        ("severity = 'critical'", "severty = 'x'", "did you mean severity?"),
        ("severity = 'critical'", "severity =", "the where of ops: cannot read the filter"),
        ('"raised"', '"risen"', "'risen' is no event; there are noticed, raised"),
        ('"ops"', '"Ops!"', "'Ops!' is no name"),
        ("[[webhooks]]", HOOK + "[[webhooks]]", "webhooks names ops twice"),
        ('events = ["raised"]', "attempts = 0", "webhooks"),
        ('events = ["raised"]', "secret = 'x'", "webhooks"),
        ('events = ["raised"]', "tenant = 'a/b'", "'a/b' of ops is no name for a tenant"),
    ],
)
def test_a_webhook_that_makes_no_sense_is_refused(tmp_path, old, new, text):
    with pytest.raises(BadRequest) as refused:
        configured(tmp_path, HOOK.replace(old, new))

    assert refused.value.code.startswith("CONFIG_")
    assert text in str(refused.value)


def test_only_the_first_gateway_brings_messages(tmp_path):
    config = configured(tmp_path, HOOK)

    assert begin(tmp_path, config, "west", 1) is None
    assert begin(tmp_path, configured(tmp_path, ""), "east", 1) is None


def test_dead_letters_are_shown_and_sent_again(tmp_path, monkeypatch, capsys):
    configured(tmp_path, HOOK)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    files = Files(folder, "ops")
    files.bury(Dead("abc", "{}", "it answered 500", 10, NOW // 1_000_000))

    status, out = said(capsys, "alerts", "webhooks", "list", "--folder", str(folder))
    _, again = said(capsys, "alerts", "webhooks", "redeliver", "ops", "--folder", str(folder))

    assert status == 3
    assert "put aside abc: it answered 500" in out
    assert "1 messages are sent again" in again
    assert [one.id for one in files.again()] == ["abc"]
    assert run(["alerts", "webhooks", "redeliver", "none", "--folder", str(folder)]) == 1
