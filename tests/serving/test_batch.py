"""Many twins at once: columns say what messages say, for every value and its provenance."""

import numpy as np
import pytest

from serving.arrow import decode
from serving.client import Event
from serving.wire import twin_pb2 as pb
from tests.serving.several import NOW, position, several
from twin.errors import BadRequest, UnknownField
from twin.kinds import ABSENT, KINDS

HOUR = 3_600_000_000
GROUP_OF = {f.name: g.name for g in KINDS["shipment"].groups for f in g.fields}


def story():
    """Shipments of which more and less is known, by several sources."""
    events = []
    for i in range(40):
        subject = f"s-{i:02d}"
        events.append(position(f"p-{i}", subject, float(i), time=NOW - i * HOUR))
        if i % 2:
            data = {"temp_c": -1.5 * i}
            said = Event("shipment.condition", f"box/{i % 3}", subject, NOW - i, data, f"c-{i}")
            events.append(said._replace(region="east", confidence=0.25 + i / 100))
        if i % 5 == 0:
            data = {"supplier": f"sup-{i % 4}", "quantity": i, "ordered_at": NOW - 9 * HOUR}
            data |= {"site": "hub", "origin": "DE", "country": "NL", "mode": "Air"}
            data |= {"product_group": "ARV", "product": "x", "value_cents": 100 * i}
            events.append(
                Event("shipment.ordered", "erp", subject, NOW - HOUR, data, f"o-{i}", "east")
            )
        if i == 7:
            events.append(Event("shipment.departed", "erp", subject, NOW - 5, {}, "d-7", "east"))
    return events


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with several(tmp_path_factory.mktemp("batch") / "twin") as twin, twin.client() as client:
        outcomes = {(r.outcome, r.reason) for r in client.ingest(story())}
        assert outcomes <= {("APPLIED", ""), ("SUPERSEDED", "")}
        yield client


def said(columns, i):
    """Return what columns say of row `i`: field -> (value, as_of, confidence, source, offset)."""
    found = {}
    for name, group in GROUP_OF.items():
        if name not in columns:
            continue
        value = columns[name][i]
        value = value.item() if isinstance(value, np.generic) else value
        as_of = int(columns[f"{group}_as_of"][i])
        if value in {ABSENT, "", -1} or value != value or as_of == ABSENT:  # noqa: PLR0124
            continue
        found[name] = (
            value,
            as_of,
            round(float(columns[f"{group}_confidence"][i]), 6),
            columns[f"{group}_source"][i],
            int(columns[f"{group}_offset"][i]),
        )
    return found


def shown(twin):
    return {
        name: (v.value, v.as_of, round(v.confidence, 6), v.source, v.offset)
        for name, v in twin.values.items()
    }


@pytest.mark.parametrize("fields", [(), ("lat",), ("temp_c", "supplier", "status")], ids=str)
def test_columns_and_messages_say_the_same(client, fields):
    ids = [f"s-{i:02d}" for i in range(39, -1, -1)]

    batch = client.batch_columns("shipment", ids, fields)
    rows = {twin.id: shown(twin) for twin in client.batch_get("shipment", ids, fields).twins}

    assert set(batch.columns["id"]) == set(ids)
    for i, id in enumerate(batch.columns["id"]):
        assert said(batch.columns, i) == rows[id]
    assert batch.missing == []
    assert set(batch.epochs.values()) == {1}


def test_a_value_is_as_old_as_a_point_read_says(client):
    batch = client.batch_columns("shipment", ["s-09"], ["temp_c"])

    twin = client.get("shipment", "s-09", "east")

    assert batch.columns["condition_age_s"][0] == pytest.approx(
        twin.values["temp_c"].age_s, abs=1e-3
    )
    assert batch.columns["condition_as_of"][0] == twin.values["temp_c"].as_of


def test_ids_that_name_no_twin_are_told_and_no_row_is_made_of_them(client):
    ids = ["nope", "s-03", "s-04", "s-03x", ""]

    batch = client.batch_columns("shipment", ids)
    found = client.batch_get("shipment", ids)

    assert sorted(batch.columns["id"]) == ["s-03", "s-04"]
    assert sorted(batch.missing) == ["", "nope", "s-03x"]
    assert (found.shown, found.total) == (2, 5)
    nobody = client.batch_columns("shipment", ["nope"])
    assert nobody.missing == ["nope"]
    assert len(nobody.columns.get("id", [])) == 0


def test_a_group_of_which_nothing_is_known_has_no_columns(client):
    batch = client.batch_columns("shipment", ["s-02", "s-04"])

    assert "lat" in batch.columns
    assert not any(name.startswith(("customs", "departure", "condition")) for name in batch.columns)


def test_an_id_asked_twice_comes_twice(client):
    batch = client.batch_columns("shipment", ["s-01", "s-02", "s-01"])

    assert sorted(batch.columns["id"]) == ["s-01", "s-01", "s-02"]


def test_what_no_batch_may_ask_is_refused(client):
    with pytest.raises(UnknownField):
        client.batch_columns("shipment", ["s-01"], ["colour"])
    with pytest.raises(BadRequest, match="at most"):
        client.batch_columns("shipment", [f"s-{i}" for i in range(10_001)])
    with pytest.raises(BadRequest) as raised:
        client.batch_columns("shipment", ["s-01\ns-02"])
    assert raised.value.code == "BAD_ID"
    for lines in (b"s-01", b"s-01\ns-02"):
        request = pb.BatchGetRequest(kind="shipment", lines=lines, format=pb.ARROW)
        with pytest.raises(BadRequest, match="newline"):
            client._call(client._stub.BatchGet, request)


def test_a_search_gives_the_same_rows_as_columns(client):
    where, fields = "temp_c < -10", ["temp_c", "lat"]
    found = client.search("shipment", where, fields, "temp_c", 100, "east")
    request = pb.SearchRequest(
        kind="shipment", where=where, fields=fields, order="temp_c", limit=100, region="east",
        format=pb.ARROW,
    )  # fmt: skip

    reply = client._call(client._stub.Search, request)

    rows = {}
    for part in reply.columns:
        table = decode(part.arrow)
        degrees = table["temp_c"].tolist()
        assert degrees == sorted(degrees)
        rows |= {id: said(table, i) for i, id in enumerate(table["id"])}
    assert rows == {twin.id: shown(twin) for twin in found.twins}
    assert (reply.shown, reply.total) == (found.shown, found.total)
