"""SQL from end to end: equal to what Search says, fresh, of one snapshot, and nobody else's."""

import random
import threading
from collections import Counter, defaultdict
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving import client as clients
from serving import sql_columns, sql_fetch
from serving.access import mint
from serving.sql_client import told
from serving.sql_tables import TABLES
from tests.serving.querying import querying
from tests.serving.several import NOW, position, several
from tests.serving.sql_history import history
from twin.errors import BadRequest, Refused, TooMany
from twin.kinds import KINDS, Dtype

KINDS_HERE = ("shipment", "site", "supplier", "stock", "alert")
PARTS = ("as_of", "source", "confidence", "offset")


class World:
    """A twin that was told a random history, its query process, and a client."""

    def __init__(self, folder, twin, query):
        self.folder, self.twin, self.query = folder, twin, query
        self.client = twin.client()

    def rows(self, text, **more):
        return self.client.sql(text, **more).to_pylist()

    def twins(self, kind):
        return list(self.client.search_all(kind))

    def code(self, text, **more):
        with pytest.raises(BadRequest) as e:
            self.client.sql(text, **more)
        return e.value.code


@pytest.fixture(scope="module")
def world(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("sql")
    rng = random.Random(request.config.option.seed)
    with several(folder) as twin, querying(folder) as query:
        twin.begin("supplier", "west", 0, 1)
        found = World(folder, twin, query)
        receipts = found.client.ingest(history(rng))
        assert {r.outcome for r in receipts} >= {"APPLIED", "SUPERSEDED", "PARKED"}
        yield found
        found.client.close()


def moment(us):
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)


def expected(twin, kind):
    """Return a row as Search tells of the twin."""
    row = dict.fromkeys(TABLES[table_of(kind)].columns) | {"id": twin.id, "region": twin.region}
    for group in KINDS[kind].groups:
        for field in group.fields:
            value = twin.values.get(field.name)
            if value is None:
                continue
            row[field.name] = moment(value.value) if field.dtype is Dtype.TIME else value.value
            row[f"{group.name}_as_of"] = moment(value.as_of)
            row[f"{group.name}_source"] = value.source
            row[f"{group.name}_confidence"] = value.confidence
            row[f"{group.name}_offset"] = value.offset
    return row


def table_of(kind):
    return kind if kind == "stock" else f"{kind}s"


@pytest.mark.parametrize("kind", KINDS_HERE)
def test_every_value_of_a_table_and_its_provenance_is_what_search_says(world, kind):
    virtual = {"on_time", "delay_days", "as_of", "age_s"}

    found = {(r["region"], r["id"]): r for r in world.rows(f"SELECT * FROM {table_of(kind)}")}

    twins = world.twins(kind)
    assert found.keys() == {(twin.region, twin.id) for twin in twins}
    for twin in twins:
        row, wanted = found[twin.region, twin.id], expected(twin, kind)
        there = {group.name for group in KINDS[kind].groups if row[f"{group.name}_as_of"]}
        told_of = {g.name for g in KINDS[kind].groups if wanted[f"{g.name}_as_of"]}
        assert told_of <= there  # a group may be known to hold nothing
        for name, value in wanted.items():
            group = next((g.name for g in KINDS[kind].groups if name.startswith(f"{g.name}_")), "")
            if name in virtual or (group in there - told_of and name[len(group) + 1 :] in PARTS):
                continue
            assert row[name] == value, name


def test_as_of_is_that_of_the_newest_group_and_age_is_measured_by_the_twins_clock(world):
    groups = [f"{group.name}_as_of" for group in KINDS["shipment"].groups]

    rows = world.rows("SELECT * FROM shipments")

    assert len(rows) > 5
    for row in rows:
        newest = max((row[name] for name in groups if row[name]), default=None)
        age = newest and pytest.approx((moment(NOW) - newest).total_seconds())
        assert (row["as_of"], row["age_s"]) == (newest, age)


def test_virtual_fields_are_columns(world):
    by_search = {
        (twin.region, twin.id): twin.values["delay_days"].value
        for twin in world.client.search_all("shipment", fields=["delay_days"])
        if "delay_days" in twin.values
    }

    rows = world.rows("SELECT id, region, delay_days FROM shipments WHERE delay_days IS NOT NULL")

    assert {(row["region"], row["id"]): row["delay_days"] for row in rows} == by_search


def test_groups_joins_and_windows_are_what_plain_python_says(world):
    twins = world.twins("shipment")
    money = defaultdict(int)
    for twin in twins:
        if "value_cents" in twin.values:
            money[twin.values["supplier"].value] += twin.values["value_cents"].value

    grouped = world.rows(
        "SELECT supplier, sum(value_cents) AS cents FROM shipments "
        "WHERE supplier IS NOT NULL GROUP BY ALL HAVING sum(value_cents) IS NOT NULL"
    )
    joined = world.rows(
        "SELECT s.id, count(*) AS n FROM shipments s JOIN events e "
        "ON e.subject = s.id AND e.region = s.region AND e.kind = 'shipment' GROUP BY 1"
    )

    assert {row["supplier"]: int(row["cents"]) for row in grouped} == dict(money)  # exact: > 2**53
    told_of = Counter(
        row["subject"] for row in world.rows("SELECT subject, kind, region FROM events")
        if (row["region"], row["subject"]) in {(t.region, t.id) for t in twins}
        and row["kind"] == "shipment"
    )  # fmt: skip
    assert {row["id"]: row["n"] for row in joined} == told_of


def test_an_answer_says_as_of_which_offset_of_each_shard_it_is(world):
    offsets = told(world.client.sql("SELECT count(*) FROM shipments JOIN sites USING (id)"))

    now = {s.name: s.offset for s in world.client.status().shards}
    wanted = {name: at for name, at in now.items() if not name.startswith("supplier")}
    assert offsets["offsets"] == wanted
    assert offsets["mode"] == "normal"
    assert offsets["now"] == NOW


def test_the_time_a_statement_asks_for_is_the_twins(world):
    rows = world.rows("SELECT now() AS a, current_timestamp AS b, current_date AS c, today() AS d")

    assert rows == [{"a": moment(NOW), "b": moment(NOW), "c": moment(NOW).date(),
                     "d": moment(NOW).date()}]  # fmt: skip


def test_a_region_alone_can_be_asked(world):
    both = {row["region"] for row in world.rows("SELECT region FROM shipments")}
    west = {row["region"] for row in world.rows("SELECT region FROM shipments", region="west")}

    assert (both, west) == ({"east", "west"}, {"west"})
    assert world.code("SELECT 1 FROM shipments", region="north") == "INVALID_ARGUMENT"


def test_what_is_written_is_read_by_the_next_statement(world):
    for n in range(5):
        world.client.ingest([position(f"fresh{n}", "FRESH", lat=float(n), time=NOW - 100 + n)])

        assert world.rows("SELECT lat FROM shipments WHERE id = 'FRESH'") == [{"lat": float(n)}]


def test_columns_of_an_unchanged_shard_are_not_sent_again(tmp_path):
    with several(tmp_path) as twin, querying(tmp_path) as query, twin.client() as client:
        client.ingest([position(f"e{i}", f"S{i}") for i in range(20)])
        client.sql("SELECT id, lat FROM shipments")
        sent = _counted(query)

        client.sql("SELECT id, lat FROM shipments")
        assert sent == Counter()
        for _ in range(3):
            assert client.sql("SELECT count(*) AS n FROM shipments").to_pylist() == [{"n": 20}]
        assert sent == {"region": 4}  # to count rows takes a column: the smallest
        sent.clear()
        client.sql("SELECT id, lat, lon FROM shipments")
        assert sent == {"lon": 4}  # of each shard, once
        receipt = client.ingest([position("more", "S1", time=NOW - 500)])[0]
        client.sql("SELECT id, lat, lon FROM shipments")
        assert sent == {"lon": 5, "lat": 1, "id": 1}, receipt  # of the one that was written to


def _counted(query):
    """Return a count of the columns that shards send from now on."""
    fetch, sent = query.surface._fetch, Counter()
    ask = fetch._ask

    async def counted(route, method, request, who, room):
        pieces = await ask(route, method, request, who, room)
        for table in request.tables:
            same = pieces[0].unchanged
            sent.update(n for n in table.columns if not same or n not in table.have)
        return pieces

    fetch._ask = counted
    return sent


def test_columns_are_kept_within_their_bound(tmp_path):
    with several(tmp_path) as twin, querying(tmp_path) as query, twin.client() as client:
        client.ingest([position(f"e{i}", f"S{i}") for i in range(20)])
        query.cache._bound = 500

        for field in ("lat", "lon", "temp_c", "status", "supplier"):
            client.sql(f"SELECT id, {field} FROM shipments")

            assert query.cache.bytes <= 500


def test_a_tenant_sees_its_own_rows_events_and_quarantine_and_no_others(world):
    scopes = ["read", "write"]
    token = mint(world.folder / "key", name="spy", scopes=scopes, tenant="other")
    address = world.client.address
    with clients.Client(address, token) as other:
        for table in TABLES:
            assert other.sql(f"SELECT * FROM {table}").num_rows == 0
        other.ingest([position("x1", "THEIRS")])

        assert other.sql("SELECT id FROM shipments").to_pylist() == [{"id": "THEIRS"}]
        assert other.sql("SELECT id FROM events").to_pylist() == [{"id": "x1"}]
        assert world.rows("SELECT id FROM shipments WHERE id = 'THEIRS'") == []
        assert world.rows("SELECT id FROM events WHERE id = 'x1'") == []


def test_rows_beyond_the_limit_are_left_out_and_that_is_said(world):
    some = world.client.sql("SELECT id FROM shipments ORDER BY id", limit=3)
    all_ = world.client.sql("SELECT id FROM shipments ORDER BY id")

    assert some.to_pylist() == all_.to_pylist()[:3]
    assert (told(some)["truncated"], told(all_)["truncated"]) == (True, False)
    assert world.code("SELECT 1", limit=1_000_001) == "INVALID_ARGUMENT"
    assert world.code("SELECT 1", limit=-1) == "INVALID_ARGUMENT"


def test_an_answer_of_many_rows_comes_whole(world):
    table = world.client.sql("SELECT range AS n, repeat('x', 20) AS t FROM range(300000)",
                             limit=1_000_000)  # fmt: skip

    assert table.num_rows == 300_000
    assert table["n"].to_pylist() == list(range(300_000))


def test_a_table_of_the_past_is_as_it_was_then_and_so_is_the_clock(world):
    day = 86_400_000_000
    at = NOW - 10 * day
    wanted = {
        (twin.region, twin.id): twin.values["lat"].value
        for twin in world.client.search_all("shipment", "lat IS KNOWN", ["lat"], as_of=at)
    }

    rows = world.rows("SELECT region, id, lat FROM shipments WHERE lat IS NOT NULL", as_of=at)
    events = world.rows("SELECT max(event_time) AS last, now() AS now FROM events", as_of=at)
    ages = world.rows("SELECT min(age_s) AS youngest FROM shipments", as_of=at)

    assert {(row["region"], row["id"]): row["lat"] for row in rows} == wanted
    assert events[0]["last"] <= events[0]["now"] == moment(at)
    assert ages[0]["youngest"] >= 0
    known = world.rows("SELECT * FROM sites ORDER BY id", known_at=NOW)
    assert known == world.rows("SELECT * FROM sites ORDER BY id")


def test_moments_that_have_no_answer_are_refused(world):
    for when, code in (
        ({"as_of": NOW + 1}, "AS_OF_FUTURE"),
        ({"known_at": NOW + 1}, "AS_OF_FUTURE"),
        ({"known_at": 1}, "AS_OF_TOO_EARLY"),
    ):
        with pytest.raises(Refused) as e:
            world.client.sql("SELECT id FROM shipments", **when)
        assert e.value.code == code


def test_twins_and_their_events_are_of_one_snapshot_while_others_write(tmp_path):
    with several(tmp_path, 1) as twin, querying(tmp_path), twin.client() as client:
        client.ingest([position("e0", "S0")])
        acknowledged = [0]

        def write():
            with twin.client() as writer:
                for n in range(1, 60):
                    told = writer.ingest([position(f"e{n}", f"S{n}")])
                    acknowledged[0] = told[0].offset

        thread = threading.Thread(target=write)
        thread.start()
        while thread.is_alive():
            before = acknowledged[0]
            (row,) = client.sql(
                "SELECT (SELECT max(position_offset) FROM shipments) AS twins, "
                '(SELECT max("offset") FROM events) AS events'
            ).to_pylist()
            assert row["twins"] == row["events"] >= before
        thread.join()


words = st.sampled_from(["supplier", "customs_status", "status"])
numbers = st.sampled_from(["lat", "lon", "quantity", "temp_c", "value_cents"])
times = st.sampled_from(["promised_at", "departed_at", "delivered_at", "recorded_at"])
ops = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
leaves = st.one_of(
    st.builds("{} {} {}".format, numbers, ops, st.integers(-3, 3)),
    st.builds("supplier {} 'SUP{}'".format, ops, st.integers(0, 3)),
    st.builds(
        "{} IS {}NULL".format, st.one_of(words, numbers, times), st.sampled_from(["", "NOT "])
    ),
    st.builds("{} {} '2023-11-{:02}'".format, times, ops, st.integers(1, 14)),
    st.builds("customs_status IN ('held', '{}')".format, st.sampled_from(["cleared", "x"])),
    st.builds("id LIKE '%{}'".format, st.integers(0, 11)),
    st.builds("quantity BETWEEN {} AND {}".format, st.integers(-1, 2), st.integers(0, 3)),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds("({}) AND ({})".format, inner, inner),
        st.builds("({}) OR ({})".format, inner, inner),
        st.builds("NOT ({})".format, inner),
    ),
    max_leaves=5,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=filters)
def test_a_where_finds_what_the_same_filter_of_search_finds(world, where):
    twins = world.client.search("shipment", where, ["lat"], limit=10_000).twins

    rows = world.rows(f"SELECT region, id FROM shipments WHERE {where}")

    assert {(r["region"], r["id"]) for r in rows} == {(twin.region, twin.id) for twin in twins}


def test_a_statement_that_needs_too_much_memory_is_refused_and_harms_no_other(world):
    greedy = "SELECT list(a.range) FROM range(100000000) a, range(100) b"
    large = "SELECT repeat('x', 1000000) AS t FROM range(1000)"

    assert world.code(greedy) == "SQL_TOO_LARGE"
    assert world.code(large) == "SQL_TOO_LARGE"
    assert world.rows("SELECT 1 AS one") == [{"one": 1}]


def test_a_table_that_comes_in_runs_is_whole(world, monkeypatch):
    wanted = world.rows("SELECT * FROM shipments ORDER BY region, id")
    monkeypatch.setattr(sql_columns, "RUN", 3)
    world.client.ingest([position("runs", "RUNS", time=NOW - 100)])  # or nothing is sent again

    rows = world.rows("SELECT * FROM shipments WHERE id <> 'RUNS' ORDER BY region, id")

    assert rows == wanted


def test_a_statement_that_reads_too_much_is_refused(world, monkeypatch):
    monkeypatch.setattr(sql_fetch, "LARGEST", 2000)

    assert world.code("SELECT * FROM events") == "SQL_TOO_LARGE"


def test_more_events_than_one_statement_may_read_are_refused(world, monkeypatch):
    monkeypatch.setattr(sql_fetch, "MOST_EVENTS", 10)

    with pytest.raises(TooMany, match="narrow them"):
        world.client.sql("SELECT count(*) FROM events")
