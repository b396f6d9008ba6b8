"""The page on mappings: its example is one, and it names every function and key there is."""

import re
from pathlib import Path

from cluster import load, mapping
from cluster.expressions import micros
from cluster.functions import FUNCTIONS
from cluster.mapping import Made
from cluster.rehearsal import Rehearsal
from cluster.rows import FORMATS
from cluster.tally import Tally
from cluster.unpacked import PACKED

PAGE = (Path(__file__).parents[2] / "docs" / "mappings.md").read_text(encoding="utf-8")


def block(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]


def test_the_example_is_a_mapping_and_says_what_the_page_says(tmp_path):
    (tmp_path / "trucks.csv").write_text(block("csv"))
    trucks = mapping.parse(block("toml"))

    result = load.read(tmp_path / "trucks.csv", trucks)

    warm, late = (one.event for one in result.events)
    assert (warm.subject, warm.region, warm.data) == ("ACME-t-1", "west", {"temp_c": 5.0})
    assert warm.time == micros("2013-09-03T13:05Z")
    assert (late.subject, late.region) == ("ACME-t-2", "east")
    assert late.data == {"exception_code": "UD160", "exception_state": "open"}
    assert result.parked == []


def test_the_events_of_the_example_keep_their_contracts(tmp_path):
    (tmp_path / "trucks.csv").write_text(block("csv"))
    trucks, tally = mapping.parse(block("toml")), Tally()
    file = load.opened(tmp_path / "trucks.csv", trucks)

    sink = Rehearsal(("east", "west"), "demo", micros("2013-09-04"))
    load.offer(sink, load.mapped(file, trucks), tally, lambda _: None)

    assert tally.outcomes["APPLIED"] == tally.events == 2


def test_every_function_key_and_suffix_is_on_the_page():
    missing = [name for name in FUNCTIONS if f"`{name}(" not in PAGE]
    missing += [key for key in Made.__struct_fields__ if f"`{key}`" not in PAGE]
    missing += [end for end in (*PACKED, *FORMATS) if f"`{end}`" not in PAGE]

    assert missing == []
