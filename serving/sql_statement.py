"""Statements: what one of them reads, found in the tree that DuckDB itself parsed it into.

One parser reads and runs a statement, so what was checked is what runs. Only what is known to be
harmless passes: our tables, a few table functions, and nodes of these types.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from serving.sql_tables import EVENTS, QUARANTINE, TABLES
from twin.errors import BadRequest, TwinError

LONGEST = 65_536  # characters
Node = dict[str, Any]
QUERIES = frozenset(("select_node", "set_operation_node", "recursive_cte_node", "cte_node"))
SOURCES = frozenset(
    ("base_table", "join", "subquery", "table_function", "expression_list", "empty", "pivot")
)
TABLE_FUNCTIONS = frozenset(("range", "generate_series", "unnest", "json_each", "json_tree"))
FORBIDDEN = frozenset(  # what tells of this process, holds it up or keeps state
    (
        "currval", "current_connection_id", "current_query_id", "current_setting",
        "current_transaction_id", "getvariable", "index_key", "json_serialize_plan", "nextval",
        "parse_duckdb_log_message", "pg_sleep", "setseed", "setval", "sleep_ms", "txid_current",
        "write_log",
    )
)  # fmt: skip
REMEDY = "ask with one SELECT, VALUES, DESCRIBE TABLE or SHOW TABLES"
_TOO_FINE = re.compile(r"\.\d{7,}")  # a fraction of a second that microseconds do not hold
_FLIPPED = {
    "compare_lessthan": "compare_greaterthan",
    "compare_greaterthan": "compare_lessthan",
    "compare_lessthanorequalto": "compare_greaterthanorequalto",
    "compare_greaterthanorequalto": "compare_lessthanorequalto",
    "compare_equal": "compare_equal",
}


class Bounds(NamedTuple):
    """Of events, what a WHERE leaves: us, inclusive and exclusive; 0 and "": no bound."""

    since: int = 0
    until: int = 0
    event_since: int = 0
    event_until: int = 0
    shard: str = ""


class Statement(NamedTuple):
    """A statement that may run. `reads`: table -> its columns that may be needed."""

    text: str
    reads: dict[str, frozenset[str]]
    bounds: Mapping[str, Bounds]
    needs_rows: bool  # or else the catalogue answers it: DESCRIBE, SHOW TABLES, EXPLAIN
    parameters: int  # how many values it takes for its ?


def forbidden(what: str) -> TwinError:
    """Return the refusal of something that this surface does not do."""
    return BadRequest(f"{what}; {REMEDY}", "SQL_FORBIDDEN")


def unknown(what: str, name: str, known: Iterator[str] | list[str], more: str) -> TwinError:
    """Return the refusal of a name that nothing has."""
    near = difflib.get_close_matches(name.lower(), list(known), 1)
    return BadRequest(
        f"{what} {name}; {f'did you mean {near[0]}?' if near else more}", "SQL_UNKNOWN"
    )


def read(text: str, tree: Node, *, explained: bool = False) -> Statement:
    """Return what a statement reads. `tree`: as json_serialize_sql gives it, without an error.

    Raises BadRequest SQL_FORBIDDEN or SQL_UNKNOWN.
    """
    found = tree["statements"]
    if len(found) != 1:
        if not found:
            raise BadRequest(f"there is no statement; {REMEDY}", "SQL_SYNTAX")
        raise forbidden("these are several statements")
    walk = _Walk()
    walk.query(found[0]["node"])
    reads = {
        name: frozenset(
            TABLES[name].columns
            if name in walk.whole
            else (column for column in TABLES[name].columns if column.lower() in walk.names)
        )
        for name in walk.tables
    }
    bounds = {name: one for name, one in walk.bounds.items() if walk.tables[name] == 1}
    count = len(found[0]["named_param_map"])
    return Statement(text, reads, bounds, walk.needs_rows and not explained, count)


class _Walk:
    """Goes through a tree once; what it meets is kept in these."""

    def __init__(self) -> None:
        self.tables: dict[str, int] = {}  # of ours: how often it is named
        self.whole: set[str] = set()  # of which every column is needed
        self.names: set[str] = set()  # of columns, of any table
        self.bounds: dict[str, Bounds] = {}
        self.needs_rows = True
        self._aliases: dict[str, set[str]] = {}  # of ours, as a FROM calls them
        self._rows: set[str] = set()  # what is asked for as a whole, by an alias if it is one
        self._strange: dict[str, None] = {}
        self._common: set[str] = set()  # names of WITH

    def query(self, root: Node) -> None:
        """Take in a whole statement."""
        for node in _nodes(root):
            kind = _type(node)
            if "cte_map" in node:
                self._node(node, kind)
            elif node.get("class") == "FUNCTION" or "function_name" in node:
                self._function(node)
            elif kind == "column_ref":
                parts = [part.lower() for part in node["column_names"]]
                self.names.update(parts)
                self._rows.update(parts[:1] if len(parts) == 1 else ())  # a row can be a value
            elif "class" not in node and kind.endswith("_node"):
                raise forbidden("this changes something")
        for alias in self._rows & self._aliases.keys():
            self.whole |= self._aliases[alias]
        for name in self._strange:
            if name not in self._common:
                raise _no_table(name)

    def _node(self, node: Node, kind: str) -> None:
        if kind not in QUERIES:
            raise forbidden("this changes something")
        self._common |= {entry["key"].lower() for entry in node["cte_map"]["map"]}
        if kind in {"recursive_cte_node", "cte_node"}:
            self._common.add(str(node.get("cte_name", "")).lower())
        if kind != "select_node":
            return
        here = list(self._sources(node["from_table"]))
        for table, alias in here:
            self._aliases.setdefault(alias, set()).add(table)
        for star in _stars(node):
            if relation := str(star.get("relation_name", "")).lower():
                self._rows.add(relation)
            else:
                self.whole.update(table for table, _ in here)
        source = node["from_table"]
        if _type(source) == "base_table" and here and here[0][0] in {EVENTS, QUARANTINE}:
            self.bounds[here[0][0]] = _bounds(node["where_clause"])

    def _sources(self, source: Node) -> Iterator[tuple[str, str]]:
        """Yield (table, alias) of our tables in a FROM; those of its sub-queries come later."""
        kind = _type(source)
        if kind == "show_ref":
            self._show(source)
        elif kind not in SOURCES:
            raise forbidden(f"a FROM of this form ({kind}) is not offered")
        elif kind == "base_table":
            yield from self._table(source)
        elif kind == "join":
            self.names.update(name.lower() for name in source.get("using_columns", ()))
            both = [*self._sources(source["left"]), *self._sources(source["right"])]
            if source.get("ref_type") == "NATURAL":
                self.whole.update(table for table, _ in both)
            yield from both
        elif kind == "pivot":
            inner = list(self._sources(source["source"]))
            self.whole.update(table for table, _ in inner)
            yield from inner
        elif kind == "table_function":
            name = source["function"].get("function_name", "").lower()
            if name not in TABLE_FUNCTIONS:
                raise forbidden(f"{name} is not offered here: nothing but the tables is read")

    def _table(self, source: Node) -> Iterator[tuple[str, str]]:
        name = str(source["table_name"])
        if source.get("schema_name") or source.get("catalog_name"):
            where = source.get("schema_name") or source.get("catalog_name")
            raise forbidden(f"{where}.{name} is not offered: a table is named by itself")
        if source.get("at_clause"):
            raise forbidden("AT is not offered: ask with `when`")
        if (table := name.lower()) in TABLES:
            self.tables[table] = self.tables.get(table, 0) + 1
            yield table, str(source.get("alias") or name).lower()
        else:
            self._strange[table] = None

    def _show(self, source: Node) -> None:
        """Take in DESCRIBE, SUMMARIZE and SHOW TABLES."""
        if source["query"] is None:
            if source["table_name"].strip('"') != "tables":
                raise forbidden("SHOW of anything but TABLES is not offered")
            self.needs_rows = False
        elif source["show_type"] == "DESCRIBE":
            self.needs_rows = False

    def _function(self, node: Node) -> None:
        if (name := str(node["function_name"]).lower()) in FORBIDDEN:
            raise forbidden(f"the function {name} is not offered")


def _type(node: Node) -> str:
    """Return what a node is, in small letters: our own code words are the ones in capitals."""
    return str(node.get("type", "")).lower()


def _nodes(root: Any, *, into_queries: bool = True) -> Iterator[Node]:
    """Yield every object of a tree; of sub-queries none, if not told to."""
    ahead = [root]
    while ahead:
        node = ahead.pop()
        if isinstance(node, list):
            ahead.extend(node)
        elif isinstance(node, dict):
            if "cte_map" in node and node is not root and not into_queries:
                continue
            yield node
            ahead.extend(node.values())


def _stars(node: Node) -> Iterator[Node]:
    for inner in _nodes(node, into_queries=False):
        if inner.get("class") == "STAR":
            yield inner


def _no_table(name: str) -> TwinError:
    if set(name) & set("./\\:*?"):
        return forbidden(f"{name!r} is no table, and files are not read")
    return unknown("there is no table", name, list(TABLES), f"there are {', '.join(TABLES)}")


def _bounds(where: Node | None) -> Bounds:
    """Return what the conjuncts of a WHERE bound by constants."""
    bounds = Bounds()
    ahead = [where] if where else []
    while ahead:
        node = ahead.pop()
        if _type(node) == "conjunction_and":
            ahead.extend(node["children"])
        elif node["class"] == "BETWEEN":
            for side, word in (
                ("lower", "compare_greaterthanorequalto"),
                ("upper", "compare_lessthanorequalto"),
            ):
                bounds = _bounded(bounds, word, node["input"], node[side])
        elif node["class"] == "COMPARISON" and _type(node) in _FLIPPED:
            bounds = _bounded(bounds, _type(node), node["left"], node["right"])
            bounds = _bounded(bounds, _FLIPPED[_type(node)], node["right"], node["left"])
    return bounds


def _bounded(bounds: Bounds, word: str, column: Node, constant: Node) -> Bounds:
    """Return bounds with what `column word constant` adds to them."""
    if _type(column) != "column_ref":
        return bounds
    name, text = column["column_names"][-1].lower(), _literal(constant)
    if text is None:
        return bounds
    if name == "shard":
        return bounds._replace(shard=text) if word == "compare_equal" else bounds
    if name not in {"ingest_time", "event_time"} or (us := _instant(text)) is None:
        return bounds
    low, high = ("since", "until") if name == "ingest_time" else ("event_since", "event_until")
    least = us + (word == "compare_greaterthan")
    beyond = us + (word != "compare_lessthan")
    held = bounds._asdict()
    if "greater" in word or word == "compare_equal":
        held[low] = max(held[low], least)
    if "less" in word or word == "compare_equal":
        held[high] = min(held[high] or beyond, beyond)
    return Bounds(**held)


def _literal(node: Node) -> str | None:
    """Return a text constant, be it cast to a time or not."""
    if node["class"] == "CAST" and _type(node) == "operator_cast":
        node = node["child"]
    literal = node.get("literal") or {}
    return str(literal["text"]) if literal.get("kind") == "STRING" else None


def _instant(text: str) -> int | None:
    """Return a time as us, None if it is not surely read as DuckDB reads it."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if _TOO_FINE.search(text):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // datetime.resolution
