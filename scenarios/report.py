"""Report: a study as one HTML file that needs no other, and says how to repeat it.

Every number stands in a table, with its interval; whatever came from outside is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from scenarios import plots
from scenarios.compare import Difference, Hit, differences, hits
from scenarios.run import BASE, Study
from scenarios.wording import NAMES, assumptions, effort, instant, number, row, span, subject

SHOWN = 8  # groups in a table of the worst hit
DRAWN = ("on_time_share", "mean_delay_d", "value_late_usd")
_HEADS = ("measure", "base", "shock", "difference", "95 % interval", "90 % of futures", "worst hit")
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #fff;
  --base: #4a6fa5; --shock: #b4492b; --diff: #6b5b95; --ci: #b88a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9da7b3; --line: #3d444d;
  --paper: #0d1117; --base: #7fa7e0; --shock: #ee8a6a; --diff: #b3a2e0; --ci: #e3b341; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
p, li { max-width: 52rem; } .soft { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; } caption { text-align: left; }
th, td { padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left;
  white-space: nowrap; vertical-align: top; }
td:last-child { white-space: normal; }
td.n, td.n:last-child, th.n { white-space: nowrap; text-align: right;
  font-variant-numeric: tabular-nums; }
pre { padding: .6rem; border: 1px solid var(--line); overflow-x: auto; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; width: 20rem; }
figcaption { color: var(--soft); font-size: .85rem; } svg { width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--soft); } .axis { stroke: var(--line); }
.base { fill: var(--base); fill-opacity: .65; } .shock { fill: var(--shock); fill-opacity: .65; }
.diff { fill: var(--diff); } .ci { fill: var(--ci); fill-opacity: .55; }
.zero { stroke: var(--ink); stroke-dasharray: 3 3; }
"""


def write(study: Study, folder: Path, repeat: str) -> Path:
    """Write the report of `study` into `folder`, whole or not at all; return its path.

    `repeat`: the command that repeats the study from the same snapshot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{slug(study.scenario.name)}-{study.seed}.html"
    draft = file.with_name(f".{file.name}.draft")
    draft.write_text(html(study, repeat), encoding="utf-8")
    draft.replace(file)
    return file


def slug(name: str) -> str:
    """Return `name` as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip(".-") or "scenario"


def html(study: Study, repeat: str) -> str:
    """Return the report as one page."""
    title = f"What if: {study.scenario.name}"
    arms = "".join(_arm(study, name) for name in study.arms if name != BASE)
    listed = "".join(f"<li>{escape(said)}</li>" for said in assumptions(study))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{escape(subject(study))}.<br>{escape(effort(study))}.</p>"
        '<p class="soft">Base and shock are means over futures. A difference is taken within each'
        " future, then averaged.</p>"
        f"{arms}<h2>Assumptions</h2><ul>{listed}</ul>"
        f"<h2>Repeat it</h2><pre>{escape(repeat)}</pre>"
        f'<p class="soft">State as of {escape(instant(study.state.now_us))}'
        f" ({escape(study.state.clock)} clock).</p></body></html>\n"
    )


def _arm(study: Study, name: str) -> str:
    found = differences(study, name)
    if not study.basis.due.size:
        return f"<h2>{escape(name)}</h2><p>Nothing is due: there is nothing to disrupt.</p>"
    figures = "".join(_figures(study, name, one) for one in found if one.measure in DRAWN)
    rows = [(*row(one)[:5], span(*one.spread, one.unit), one.worst) for one in found]
    groups = "".join(
        _worst(hits(study, name, by), said)
        for said, by in (
            ("lane", ("supplier", "country", "mode")),
            ("country", ("country",)),
            ("supplier", ("supplier",)),
        )
    )
    return (
        f"<h2>{escape(name)}</h2>{_table(_HEADS, rows, 'Paired differences against base')}"
        f'<div class="plots">{figures}</div><h3>Worst hit</h3>{groups}'
    )


def _figures(study: Study, arm: str, found: Difference) -> str:
    base = study.arms[BASE].measures[found.measure]
    shock = study.arms[arm].measures[found.measure]
    name, unit, diff = NAMES[found.measure], found.unit, shock - base
    low, high = plots.ends(np.concatenate([base, shock]))
    both = plots.two(
        base,
        shock,
        f"{name} over futures: base {number(found.base, unit)}, shock {number(found.shock, unit)}",
        number(low, unit),
        number(high, unit),
    )
    low, high = plots.ends(np.append(diff, 0.0))
    paired = plots.one(
        diff,
        (found.low, found.high),
        f"Paired difference of {name}: {number(found.diff, unit, signed=True)},"
        f" 95 % interval {span(found.low, found.high, unit)}",
        number(low, unit, signed=True),
        number(high, unit, signed=True),
    )
    return (
        f"<figure>{both}<figcaption>{escape(name)}: base blue, shock red</figcaption></figure>"
        f"<figure>{paired}<figcaption>{escape(name)}: difference within each future; dashed: none;"
        " yellow: interval of the mean</figcaption></figure>"
    )


def _worst(found: list[Hit], by: str) -> str:
    touched = [hit for hit in found if abs(hit.delay_d) > 0]
    if not touched:
        return f"<p>No {by} is hit.</p>"
    rows = [
        (
            hit.name,
            str(hit.shipments),
            number(hit.late, "shipments", signed=True),
            number(hit.delay_d, "days", signed=True),
            number(hit.value_late_usd, "USD", signed=True),
        )
        for hit in touched[:SHOWN]
    ]
    said = f"By {by}, most delay first; shown {len(rows)} of {len(touched)} that are hit"
    heads = (by, "shipments due", "late", "delay, days", "value late, USD")
    return _table(heads, rows, said)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    def cell(tag: str, text: str, at: int) -> str:
        figure = 0 < at < (len(heads) - 1 if heads[-1] == "worst hit" else len(heads))
        return f"<{tag}{' class=n' if figure else ''}>{escape(text)}</{tag}>"

    lines = "".join(
        f"<tr>{''.join(cell('td', text, at) for at, text in enumerate(held))}</tr>" for held in rows
    )
    head = "".join(cell("th", text, at) for at, text in enumerate(heads))
    return (
        f'<div class="wide"><table><caption class="soft">{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )
