"""Where: the text of a filter as a syntax tree. SQL's WHERE, and nothing that it does not need.

Only the words of this small language are keywords; every other word is a name, `order` too. What
a text may cost is bounded before it is parsed: its length, its nesting, how much it compares.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.parser import Parser
from sqlglot.tokenizer_core import Token, TokenType
from sqlglot.tokens import Tokenizer

from twin.errors import BadRequest, TooMany

LONGEST = 16_384  # characters
MOST_COMPARISONS = 64
MOST_LITERALS = 10_000
DEEPEST = 16  # parentheses, NOTs and signs within each other
REMEMBERED = 256  # filters; their trees are read only
Tree = exp.Expr

_KEYWORDS = frozenset(
    (
        *(TokenType.AND, TokenType.OR, TokenType.NOT, TokenType.IN, TokenType.BETWEEN),
        *(TokenType.LIKE, TokenType.ILIKE, TokenType.ESCAPE, TokenType.IS, TokenType.NULL),
        *(TokenType.TRUE, TokenType.FALSE, TokenType.INTERVAL),
        *(TokenType.SELECT, TokenType.DISTINCT, TokenType.FROM, TokenType.WHERE),
    )
)
_SIGNS = frozenset(
    (
        *(TokenType.L_PAREN, TokenType.R_PAREN, TokenType.COMMA, TokenType.DOT),
        *(TokenType.PLUS, TokenType.DASH, TokenType.STAR, TokenType.SLASH),
        *(TokenType.EQ, TokenType.NEQ, TokenType.LT, TokenType.LTE, TokenType.GT, TokenType.GTE),
    )
)
_VALUES = frozenset((TokenType.STRING, TokenType.NUMBER, TokenType.VAR, TokenType.IDENTIFIER))
_COMPARES = frozenset(
    (
        *(TokenType.EQ, TokenType.NEQ, TokenType.LT, TokenType.LTE, TokenType.GT, TokenType.GTE),
        *(TokenType.IN, TokenType.BETWEEN, TokenType.LIKE, TokenType.ILIKE, TokenType.IS),
    )
)
_PREFIXES = frozenset((TokenType.NOT, TokenType.DASH, TokenType.PLUS))
_TIMES = frozenset(("date", "timestamp", "timestamptz"))  # before a text: as the text alone
_WORD = re.compile(r"[^\W\d]\w*")


class _Reader(Parser):
    """A parser that takes every function for one that it does not know."""

    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {}
    NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}
    NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {}


@lru_cache(REMEMBERED)
def parse(where: str) -> Tree | None:
    """Return the tree of a filter, None if it is empty. Do not change it.

    Raises BadRequest: TOO_DEEP where it is nested too deeply; TooMany where it is too much.
    """
    if len(where) > LONGEST:
        raise TooMany(f"the filter is longer than {LONGEST} characters; shorten it")
    if not where.strip():
        return None
    try:
        tokens = [_token(t) for t in Tokenizer().tokenize(where)]
    except SqlglotError as e:
        raise _unread(where, "a quote may be open") from e
    following = [*tokens[1:], None]
    tokens = [t for t, after in zip(tokens, following, strict=False) if not _is_date(t, after)]
    if not tokens:  # notes alone
        return None
    _require_bounds(tokens)
    try:
        trees = _Reader().parse_into(exp.Condition, tokens, where)
    except RecursionError as e:
        raise _too_deep() from e
    except SqlglotError as e:
        raise _unread(where, _place(e)) from e
    if len(trees) != 1 or trees[0] is None:
        raise _unread(where, "it is not one condition")
    return trees[0]


def _token(token: Token) -> Token:
    kind = token.token_type
    if kind in _KEYWORDS or kind in _SIGNS or kind in _VALUES:
        return token
    if not _WORD.fullmatch(token.text):
        raise BadRequest(f"cannot read the filter at {token.text[:20]!r}; see docs/filters.md")
    token.token_type = TokenType.VAR
    return token


def _is_date(token: Token, after: Token | None) -> bool:
    """Say whether this is the DATE of DATE '2013-09-01'."""
    if after is None or after.token_type is not TokenType.STRING:
        return False
    return token.token_type is TokenType.VAR and token.text.lower() in _TIMES


def _require_bounds(tokens: list[Token]) -> None:
    deep = compared = literals = prefixes = 0
    for token in tokens:
        kind = token.token_type
        compared += kind in _COMPARES
        literals += kind in {TokenType.STRING, TokenType.NUMBER}
        deep += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        prefixes = prefixes + 1 if kind in _PREFIXES or kind is TokenType.L_PAREN else 0
        if max(deep, prefixes) > DEEPEST:
            raise _too_deep()
    if compared > MOST_COMPARISONS:
        raise TooMany(f"a filter has at most {MOST_COMPARISONS} comparisons; ask for less")
    if literals > MOST_LITERALS:
        raise TooMany(f"a filter has at most {MOST_LITERALS} values; ask in parts")


def _too_deep() -> BadRequest:
    return BadRequest(f"the filter is nested deeper than {DEEPEST}; write it flat", "TOO_DEEP")


def _unread(where: str, why: str) -> BadRequest:
    said = f"; {why}" if why else ""
    return BadRequest(f"cannot read the filter {where[:60]!r}{said}; see docs/filters.md")


def _place(e: SqlglotError) -> str:
    """Return where a parser gave up, in a few words."""
    for error in getattr(e, "errors", ()):
        if error.get("highlight"):
            return f"it ends to make sense at {str(error['highlight'])[:20]!r}"
    return "it is not complete"
