"""Random filters with what they mean in plain Python: three-valued, over a dict of what is known.

A term is (text, twin -> value or None); a condition is (text, twin -> True, False or None). They
share nothing with the core but the names of fields.
"""

import operator

from hypothesis import strategies as st

from tests.twin.histories import DAY, ORDER, T0, Ledger, cut, event, message
from tests.twin.oracle import Oracle
from twin.kinds import KINDS, Milestone
from twin.query import View

NOW = T0 + 5 * DAY
HOUR = DAY // 24
SUPPLIERS = ("ACME", "Acme 2", "BOLT", "O'Neil", "é", "a_b%")
OPERATORS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
few = st.integers(0, 3)
says = st.one_of(
    st.builds(
        lambda s, q, v, w: (
            "ordered",
            {**ORDER, "supplier": s, "quantity": q}
            | ({"value_cents": v} if v else {})
            | ({"site": f"W{w}"} if w else {}),
        ),
        st.sampled_from(SUPPLIERS),
        few,
        st.sampled_from([0, 1, 2**53 + 1]),
        few,
    ),
    st.builds(lambda a, o: ("position", {"lat": a - 1.5, "lon": o * 60.0 - 90}), few, few),
    st.builds(lambda d: ("promised", {"promised_at": T0 + d * DAY}), few),
    st.just(("departed", {})),
    st.just(("delivered", {})),
    st.builds(
        lambda s: ("exception", {"exception_code": "UD010", "exception_state": s}),
        st.sampled_from(["open", "resolved"]),
    ),
)


@st.composite
def histories(draw):
    """Facts of few shipments at few times: late ones, ties, corrections and retractions."""
    events = []
    for number in range(draw(st.integers(0, 14))):
        if events and draw(st.integers(0, 4)) == 0:
            old = draw(st.sampled_from(events))
            same = {"source": old["source"], "subject": old["subject"], "id": f"e{number}"}
            kind = {"type": old["type"], "version": old["version"]}
            if draw(st.booleans()):
                one = event(**same, **kind, time=old["time"], data={}, retracts=old["id"])
            else:
                one = event(**same, **kind, time=old["time"], data=old["data"], corrects=old["id"])
            events.append(one)
            continue
        what, data = draw(says)
        events.append(
            event(
                id=f"e{number}",
                source=draw(st.sampled_from(["erp", "tms", "demo/x"])),
                type=f"shipment.{what}",
                subject=f"S{draw(st.integers(0, 5))}",
                time=T0 + draw(few) * DAY,
                confidence=draw(st.sampled_from([0.25, 0.9, 1.0])),
                data=data,
            )
        )
    return events


class Asked(View):
    """A view that is short to print."""

    __slots__ = ()

    def __repr__(self):
        return f"View({self.ids(self.rows())})"


@st.composite
def lives(draw, sets=None):
    """A view of a shard that lived through a history, and what the oracle says of each twin."""
    mine = draw(histories())
    ledger, oracle = Ledger(), Oracle()
    for one in mine:
        oracle.take(one)
    if draw(st.booleans()):
        ledger.offer(message(event(subject="S1"), event(id="e2"), tenant="rival"), now=NOW)
    for batch in cut(mine, [draw(st.sampled_from([3, 8, 14]))]):
        ledger.offer(message(*batch), now=NOW)
    truth = oracle.truth().get("shipment", {})
    twins = {name.partition("/")[2]: known(twin) for name, twin in truth.items()}
    for id, twin in twins.items():
        twin["id"] = id
    view = Asked(ledger.state.snapshot(), "shipment", "demo", "east", NOW, sets or {})
    return view, twins


def known(twin):
    """Return what is known of a twin by the names of the language."""
    told = {**twin, "region": "east"}
    for group in KINDS["shipment"].groups:
        if (as_of := twin.get(f"{group.name}.as_of")) is None:
            continue
        told[f"as_of({group.name})"] = as_of
        told[f"age({group.name})"] = NOW - as_of
        told[f"source({group.name})"] = twin[f"{group.name}.source"]
        told[f"confidence({group.name})"] = twin[f"{group.name}.confidence"]
        told[f"stale({group.name})"] = (NOW - as_of) // 1000 > group.sla_s * 1000
    told["stale"] = any(told.get(f"stale({group.name})") for group in KINDS["shipment"].groups)
    silent = any(told.get(f"stale({feed})") for feed in ("position", "condition"))
    moving = 0 <= twin.get("status", -1) < Milestone.CANCELLED
    fine = twin.get("exception_state") in {None, "resolved"}
    told["green_but_stale"] = moving and fine and silent
    if {"delivered_at", "promised_at"} <= twin.keys():
        days = twin["delivered_at"] // DAY - twin["promised_at"] // DAY
        told |= {"delay_days": float(days), "on_time": days <= 0}
    return told


def field(name):
    return st.just((name, lambda twin: twin.get(name)))


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def literals(*values, spell=str):
    return st.sampled_from([(spell(value), lambda twin, value=value: value) for value in values])


def both(sign, of):
    """Return a strategy's terms put together; unknown if one of them is."""

    def made(pair):
        (a, left), (b, right) = pair

        def value(twin):
            x, y = left(twin), right(twin)
            return None if x is None or y is None else of(x, y)

        return f"({a} {sign} {b})", value

    return made


def moment(us):
    days, rest = divmod(us - T0, DAY)
    return quoted(f"2013-08-{20 + days:02d}T{12 + rest // HOUR:02d}:00:00Z")


def interval(us):
    return f"INTERVAL '{us // HOUR} hours'"


# T0 is 2013-08-20T12:00:00Z
plain_numbers = st.one_of(
    *(field(name) for name in ("quantity", "value_cents", "lat", "lon", "delay_days")),
    field("confidence(position)"),
    literals(0, 1, 2, -1, 2.5, 0.25, 0.9, 2**53 + 1),
)
numbers = st.one_of(
    plain_numbers,
    st.tuples(plain_numbers, plain_numbers).map(both("+", operator.add)),
    st.tuples(plain_numbers, plain_numbers).map(both("-", operator.sub)),
    st.tuples(plain_numbers, literals(0, 2, -3)).map(both("*", operator.mul)),
    st.tuples(plain_numbers, literals(0, 2, 4)).map(
        both("/", lambda a, b: None if b == 0 else a / b)
    ),
)
spans = literals(0, HOUR, DAY, 2 * DAY, spell=interval)
plain_times = st.one_of(
    *(field(name) for name in ("promised_at", "delivered_at", "departed_at", "as_of(position)")),
    st.just(("now()", lambda twin: NOW)),
)
times = st.one_of(
    plain_times,
    st.tuples(plain_times, spans).map(both("+", operator.add)),
    st.tuples(plain_times, spans).map(both("-", operator.sub)),
    plain_times.map(
        lambda term: (
            f"date_trunc('day', {term[0]})",
            lambda twin: None if (us := term[1](twin)) is None else us // DAY * DAY,
        )
    ),
)
durations = st.one_of(
    field("age(position)"),
    field("age(order)"),
    st.tuples(plain_times, plain_times).map(both("-", operator.sub)),
    spans,
)
texts = st.one_of(field("supplier"), field("site"), field("source(order)"))
words = literals(*SUPPLIERS, "W1", "erp", "nobody", spell=quoted)
steps = st.sampled_from(list(Milestone)).map(lambda m: (quoted(m.name), lambda twin: int(m)))


def compared(left, right):
    def made(given):
        (a, one), sign, (b, other) = given

        def holds(twin):
            x, y = one(twin), other(twin)
            return None if x is None or y is None else OPERATORS[sign](x, y)

        return f"{a} {sign} {b}", holds

    return st.tuples(left, st.sampled_from([*OPERATORS]), right).map(made)


def among(left, values):
    def made(given):
        (a, one), chosen, negated, null = given
        listed = [text for text, _ in chosen] + ["NULL"] * null

        def holds(twin):
            x = one(twin)
            if x is None:
                return None
            if any(x == value(twin) for _, value in chosen):
                return not negated
            return None if null else negated

        return f"{a} {'NOT ' * negated}IN ({', '.join(listed)})", holds

    chosen = st.lists(values, min_size=1, max_size=3)
    return st.tuples(left, chosen, st.booleans(), st.booleans()).map(made)


def between(left, bound):
    def made(given):
        (a, one), (b, low), (c, high), negated = given

        def holds(twin):
            x, y, z = one(twin), low(twin), high(twin)
            least = None if x is None or y is None else x >= y
            most = None if x is None or z is None else x <= z
            return denied(all_of([least, most])) if negated else all_of([least, most])

        return f"{a} {'NOT ' * negated}BETWEEN {b} AND {c}", holds

    return st.tuples(left, bound, bound, st.booleans()).map(made)


def matches(pattern, word, fold=False):
    """LIKE, a letter at a time."""
    if fold:
        pattern, word = pattern.lower(), word.lower()
    if not pattern:
        return not word
    if pattern[0] == "%":
        return any(matches(pattern[1:], word[at:]) for at in range(len(word) + 1))
    return bool(word) and pattern[0] in {"_", word[0]} and matches(pattern[1:], word[1:])


def liked(given):
    (a, one), pattern, how, negated = given

    def holds(twin):
        x = one(twin)
        return None if x is None else matches(pattern, x, how == "ILIKE") != negated

    return f"{a} {'NOT ' * negated}{how} {quoted(pattern)}", holds


def told(given):
    name, word = given
    yes = word in {"IS KNOWN", "IS NOT NULL", "IS NOT ABSENT"}
    return f"{name} {word}", lambda twin: (twin.get(name) is not None) == yes


leaves = st.one_of(
    compared(numbers, numbers),
    compared(times, st.one_of(times, literals(*(T0 + d * DAY for d in range(4)), spell=moment))),
    compared(durations, durations),
    compared(
        durations, st.sampled_from([("3600", lambda t: HOUR), ("86400.5", lambda t: DAY + 500_000)])
    ),
    compared(texts, st.one_of(words, texts)),
    compared(field("status"), steps),
    compared(field("id"), literals("S1", "S3", "X", spell=quoted)),
    compared(field("region"), literals("east", "west", spell=quoted)),
    compared(
        field("on_time"), st.sampled_from([("true", lambda t: True), ("false", lambda t: False)])
    ),
    among(plain_numbers, literals(0, 1, 2.5, 2**53 + 1)),
    among(texts, words),
    among(field("id"), literals("S1", "S3", "X", spell=quoted)),
    among(field("status"), steps),
    between(numbers, numbers),
    between(times, times),
    st.tuples(
        st.one_of(texts, field("id")),
        st.sampled_from(["A%", "a%", "%", "_cme 2", "S_", "%é%", "%2", "S1", "O'%", ""]),
        st.sampled_from(["LIKE", "ILIKE"]),
        st.booleans(),
    ).map(liked),
    st.tuples(
        st.sampled_from(["lat", "supplier", "status", "delivered_at", "on_time", "value_cents"]),
        st.sampled_from(["IS KNOWN", "IS ABSENT", "IS NULL", "IS NOT NULL", "IS NOT ABSENT"]),
    ).map(told),
    *(
        st.just((name, lambda twin, name=name: twin.get(name)))
        for name in ("on_time", "stale(position)", "stale", "green_but_stale")
    ),
    st.sampled_from(SUPPLIERS).map(
        lambda word: (
            f"starts_with(supplier, {quoted(word[:2])})",
            lambda t: t["supplier"].startswith(word[:2]) if "supplier" in t else None,
        )
    ),
    st.sampled_from([True, False]).map(
        lambda yes: (
            f"on_time IS {str(yes).upper()}",
            lambda t: t.get("on_time") is yes,
        )
    ),
)


def denied(answer):
    return None if answer is None else not answer


def all_of(answers):
    return False if False in answers else None if None in answers else True


def any_of(answers):
    return True if True in answers else None if None in answers else False


def joined(word, fold):
    def made(parts):
        text = f" {word} ".join(f"({part})" for part, _ in parts)
        return text, lambda twin: fold([holds(twin) for _, holds in parts])

    return made


conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(joined("AND", all_of)),
        st.lists(inner, min_size=1, max_size=3).map(joined("OR", any_of)),
        inner.map(lambda one: (f"NOT ({one[0]})", lambda twin: denied(one[1](twin)))),
    ),
    max_leaves=5,
)

TOKENS = (
    "lat supplier status on_time id region site.country age(position) near( in_box( ( ) , . + -",
    "* / = <> < >= AND OR NOT IN LIKE ILIKE BETWEEN IS NULL KNOWN TRUE INTERVAL SELECT DISTINCT",
    "FROM WHERE sites shipments ESCAPE 'x' 'a%' '2013-09-01' '1 day' 5 2.5 1e3 day now() stale",
    'CAST CASE WHEN EXISTS ALL ANY :: [ ] { } ; " ` ? @ $1 || :x x.y.z.a.b -- /* UNION LIMIT DATE',
    "date_trunc('day', starts_with( order group by lambda -> == ! ~ ^ % & |",
)
tokens = st.sampled_from([token for line in TOKENS for token in line.split()])
soup = st.lists(tokens | st.text(max_size=3), max_size=14)
