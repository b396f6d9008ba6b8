"""The documents: what they point to is there, and what they say to type can be typed."""

import io
import re
import runpy
import shlex
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import click
import pytest

from cluster.cli import COMMANDS, Lazy, twin
from serving.client import Event, connect
from tests.serving.querying import querying
from tests.small_twin import REGION, small_twin

ROOT = Path(__file__).parents[1]
DOCS = tuple(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))
PAGES = ("README.md", "DESIGN.md", "GLOSSARY.md", "CHANGELOG.md", *DOCS)
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
LINK = re.compile(r"\]\(([^)#:]+)\)")
BLOCK = re.compile(r"^```(?:bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TYPED = re.compile(
    r"(?:^(?:\$ )?|`)(?:\.venv/bin/)?twin (?P<line>[^\n`#]*)|\$\(twin (?P<inner>[^)]*)\)",
    re.MULTILINE,
)
MADE = re.compile(r"(?:^|`)(?:\$ )?make ([a-z-]+)", re.MULTILINE)
NOW, DAY = 1_380_000_000_000_000, 86_400_000_000


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> str:
    """Return all that a page says to type, a command a line."""
    return "\n".join(BLOCK.findall(read(page))).replace("\\\n", " ")


def typed(text: str) -> Iterator[str]:
    """Yield the words after `twin` of each command line in `text`."""
    for found in TYPED.finditer(text):
        yield (found["line"] or found["inner"] or "").strip()


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Parse a command line as the command line does; nothing is run. Raises click's errors."""
    context = command.make_context(command.name or "twin", list(words), parent=parent)
    if isinstance(command, click.Group):
        left = [*context._protected_args, *context.args]
        if left:
            name, inner, rest = command.resolve_command(context, left)
            assert inner is not None, name
            parse(inner, rest, context)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_is_there(page):
    home = (ROOT / page).parent
    paths = [path for path in LINK.findall(read(page)) if "://" not in path]
    missing = [path for path in paths if not (home / path).exists()]

    assert missing == []


@pytest.mark.parametrize("line", sorted({line for page in PAGES for line in typed(blocks(page))}))
def test_every_command_line_in_a_page_can_be_typed(line):
    parse(twin, shlex.split(line))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_names_is_one(page):
    names = {line.split()[0] for line in typed(read(page)) if line}

    assert {name for name in names if name.islower()} - set(COMMANDS) == set()


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md"])
def test_a_page_that_lists_the_commands_lists_all(page):
    missing = [name for name in COMMANDS if not re.search(rf"\b{name}\b", read(page))]

    assert missing == []
    assert isinstance(twin, Lazy)


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_that_a_page_names_is_one(page):
    targets = re.findall(r"^([a-z-]+):.*## ", read("Makefile"), re.MULTILINE)

    assert set(MADE.findall(read(page))) - set(targets) == set()


def test_the_glossary_says_every_word_once():
    terms = re.findall(r"^\| \*\*(.+?)\*\*", read("GLOSSARY.md"), re.MULTILINE)
    words = [word.strip() for term in terms for word in term.split(",")]

    assert len(words) > 100
    assert sorted(words) == sorted(set(words))


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """The data directory of a small twin that holds a few shipments, and answers SQL."""
    home = tmp_path_factory.mktemp("docs") / ".twin"
    with small_twin(home, NOW) as folder, querying(folder, region=REGION):
        with connect(folder) as client:
            receipts = client.ingest(list(history()))
        assert {receipt.outcome for receipt in receipts} == {"APPLIED"}
        yield folder


def history() -> Iterator[Event]:
    """Yield the orders of three suppliers: all have a position, every second one has arrived."""
    for n in range(6):
        name, at = f"S-{n}", NOW - (40 + n) * DAY
        order = {
            "supplier": f"supplier-{n % 3}",
            "country": "ZM",
            "product_group": "ARV",
            "product": "tablets",
            "quantity": 10,
        }
        base = Event("shipment.ordered", "scms", name, at, order, f"{name}:ordered", REGION)
        yield base
        promise = {"promised_at": NOW - 10 * DAY}
        yield base._replace(type="shipment.promised", data=promise, id=f"{name}:promised")
        where = {"lat": -15.0 - n, "lon": 28.0}
        yield base._replace(
            type="shipment.position",
            source="demo/telemetry",
            time=NOW - n * DAY - 1,
            data=where,
            id=f"{name}:position",
        )
        if n < 3:
            delivered = NOW - (9 + n) * DAY
            yield base._replace(
                type="shipment.delivered", time=delivered, data={}, id=f"{name}:delivered"
            )


def shape(output: str) -> list[str]:
    """Return what of an example's output does not depend on the twin that was asked.

    Headings stay; of the other lines only how many columns they have.
    """
    lines = output.splitlines()
    return [
        f"{len(re.split(r' {2,}', line.strip()))} columns" if line.startswith(" ") else line
        for line in lines
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_was_recorded_of_it(example, asked, monkeypatch):
    monkeypatch.setattr("sys.argv", [str(example), str(asked)])
    said = io.StringIO()

    with redirect_stdout(said):
        runpy.run_path(str(example), run_name="__main__")

    recorded = example.with_suffix(".out").read_text(encoding="utf-8")
    assert shape(said.getvalue()) == shape(recorded)
