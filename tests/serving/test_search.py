"""Search over shards and regions: pages, cursors, relations, geography, freshness, own writes."""

import pytest

from serving import arrow
from serving.access import mint
from serving.client import Client
from serving.wire import twin_pb2 as pb
from tests.serving.chain import SITES, chain, events, ids, pages, search, shipments
from tests.serving.several import NOW, position, several
from twin.errors import (
    BadRequest,
    Behind,
    TooLarge,
    TooMany,
    Unavailable,
    UnknownField,
    UnknownKey,
)

TWINS = shipments()
ALL = "id LIKE 'S%'"  # tests add others
SHARDS = [f"shipment/{region}/{number}" for region in ("east", "west") for number in (0, 1)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with chain(tmp_path_factory.mktemp("search") / "t") as world:
        yield world


@pytest.fixture(scope="module")
def client(world):
    return world.client()


def of(holds):
    return sorted(name for name, one in TWINS.items() if holds(one))


def by(*names):
    """Return the ids in order by fields, the absent ones last, then by id."""

    def rank(name):
        one = TWINS[name]
        return [(field not in one, one.get(field, 0)) for field in names] + [name]

    return sorted(TWINS, key=rank)


# pages


@pytest.mark.parametrize("limit", [1, 7, 13, 40, 100])
def test_pages_put_together_are_the_whole_order(client, limit):
    replies = pages(client, where=ALL, order="country,quantity", limit=limit)

    assert [id for reply in replies for id in ids(reply)] == by("country", "quantity")
    assert {reply.total for reply in replies} == {40}
    assert [reply.shown for reply in replies] == [len(reply.twins) for reply in replies]
    assert len(replies) == -(-40 // limit)


@pytest.mark.parametrize("limit", [1, 9, 40])
@pytest.mark.parametrize("form", [pb.MESSAGES, pb.ARROW])
def test_pages_without_an_order_have_each_twin_once(client, limit, form):
    told = []
    for reply in pages(client, where=ALL, limit=limit, format=form, fields=["lat"]):
        parts = [arrow.decode(part.arrow)["id"] for part in reply.columns]
        page = [*ids(reply), *(str(id) for part in parts for id in part)]
        assert reply.shown == len(page) <= limit
        told += page

    assert sorted(told) == sorted(TWINS)


def test_columns_are_cut_where_the_page_ends(client):
    order = by("quantity")
    replies = pages(
        client, where=ALL, order="quantity", limit=11, format=pb.ARROW, fields=["quantity"]
    )
    told = [
        {str(id) for part in reply.columns for id in arrow.decode(part.arrow)["id"]}
        for reply in replies
    ]

    assert told == [set(order[at : at + 11]) for at in range(0, 40, 11)]


def test_a_page_is_as_of_when_it_is_asked(world, client):
    first = search(client, where="lon = 77", order="-lat", limit=1)
    client.ingest([position(f"n{n}", f"N{n}", 10.0 + n, region="west") for n in range(3)])
    where, order = "id LIKE 'N%'", "-lat"
    page = search(client, where=where, order=order, limit=1)
    client.ingest(
        [position("n9", "N9", 11.5), position("n0b", "N0", 50.0, time=NOW, region="west")]
    )
    rest = search(client, where=where, order=order, limit=9, cursor=page.cursor)

    assert (first.total, first.cursor) == (0, "")
    assert (ids(page), ids(rest), rest.total) == (["N2"], ["N9", "N1"], 4)  # N0 is before it now


def test_a_cursor_goes_on_after_a_restart_of_shards_and_of_the_gateway(tmp_path):
    with several(tmp_path / "a") as world:
        world.client().ingest([position(f"e{n}", f"S{n}", float(n)) for n in range(6)])
        page = search(world.client(), order="-lat", limit=2)
        plain = search(world.client(), limit=2)
        for name in ("shipment/east/0", "shipment/east/1"):
            world.end(name)
            world.begin("shipment", "east", int(name[-1]), 2, epoch=2)
        world.end_gateway()
        world.begin_gateway()
        client = world.client()

        assert ids(search(client, order="-lat", limit=9, cursor=page.cursor)) == [
            "S3",
            "S2",
            "S1",
            "S0",
        ]
        rest = ids(search(client, limit=9, cursor=plain.cursor))
        assert sorted([*ids(plain), *rest]) == [f"S{n}" for n in range(6)]


def test_a_cursor_of_another_question_or_tenant_or_an_altered_one_is_refused(world, client):
    asked = {"where": "lat >= 0", "order": "lat", "limit": 3}
    cursor = search(client, **asked).cursor
    key = world.folder / "key"
    rival = world.client()
    rival._token = mint(key, name="r", scopes=["read"], tenant="rival")
    bad = [
        (client, asked | {"where": "lat > 0"}),
        (client, asked | {"order": "-lat"}),
        (client, asked | {"region": "east"}),
        (client, asked | {"kind": "site"}),
        (rival, asked),
    ]
    altered = [
        cursor[:-1],
        f"{cursor}A",
        cursor.swapcase(),
        "x",
        "!" * 9,
        "A" * 70_000,
        f"{cursor}==",
    ]
    bad += [(client, asked | {"cursor": one}) for one in altered]
    for one, question in bad:
        with pytest.raises(BadRequest) as refused:
            search(one, **{"cursor": cursor} | question)
        assert refused.value.code == "CURSOR_INVALID", question
    assert ids(search(client, **asked | {"limit": 5, "fields": ["lat"]}, cursor=cursor))


# relations and geography


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("site.country = 'VN'", lambda one: one.get("site") == "W0"),
        ("NOT site.country = 'VN'", lambda one: one.get("site") in {"W1", "W2"}),
        ("site.country <> 'VN' OR site.country = 'VN'", lambda one: one.get("site") in SITES),
        ("site.country IS ABSENT", lambda one: one.get("site") not in SITES),
        ("site.country IN ('NG', 'FJ')", lambda one: one.get("site") in {"W1", "W2"}),
        (
            "supplier IN (SELECT id FROM suppliers WHERE status <> 'active')",
            lambda one: one.get("supplier") in {"P1", "P3"},
        ),
        (
            "supplier NOT IN (SELECT id FROM suppliers WHERE status <> 'active')",
            lambda one: one.get("supplier") in {"P0", "P2"},
        ),
        (
            "supplier.status = 'active' AND site.function = 'port' AND quantity > 5",
            lambda one: (
                one.get("supplier") in {"P0", "P2"}
                and one.get("site") in {"W1", "W2"}
                and one["quantity"] > 5
            ),
        ),
        (
            "site IN (SELECT site FROM stock WHERE product = 'ARV' AND site IN "
            "(SELECT id FROM sites WHERE name LIKE 'H%'))",
            lambda one: one.get("site") == "W0",
        ),
        (
            "product IN (SELECT product FROM shipments WHERE id = 'S01')",
            lambda one: one.get("product") == "D1",
        ),
        ("site NOT IN (SELECT site FROM shipments WHERE id = 'S00')", lambda one: False),
        ("supplier IN (SELECT id FROM suppliers WHERE status = 'gone')", lambda one: False),
    ],
)
def test_relations_are_followed(client, where, holds):
    found = search(client, where=f"({where}) AND id LIKE 'S%'", limit=100)

    assert sorted(ids(found)) == of(holds)


def test_relations_are_followed_back(client):
    where = "id IN (SELECT supplier FROM shipments WHERE status = 'DELIVERED')"
    wanted = {one["supplier"] for one in TWINS.values() if "delivered" in one and "supplier" in one}

    assert sorted(ids(search(client, kind="supplier", where=where))) == sorted(wanted)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("near('W1', 1)", ["W1"]),
        ("near(W1, 20000)", ["W0", "W1", "W2"]),
        ("in_box(-20, 170, 0, -170)", ["W2"]),
        ("within_km(10.8, 106.7, 100)", ["W0"]),
    ],
)
def test_sites_are_found_by_where_they_are(client, where, found):
    assert sorted(ids(search(client, kind="site", where=where))) == found


@pytest.mark.parametrize(
    ("where", "error", "says"),
    [
        ("near('W9', 5)", UnknownKey, "no site has id = 'W9'"),
        ("near('W1', 'far')", BadRequest, "kilometres"),
        ("site IN (SELECT id FROM planes)", BadRequest, "there are shipments"),
        ("site.contry = 'x'", UnknownField, "did you mean country"),
        ("suplier = 'x'", UnknownField, "did you mean supplier"),
        ("lat = 1" + " " * (10 << 20), TooLarge, "bytes"),
        ("lat = 1" + " " * (1 << 19), TooMany, "shorten it"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_before_any_shard_is_asked(
    client, where, error, says
):
    with pytest.raises(error, match=says):
        search(client, where=where)
    assert search(client, limit=1).shown == 1


def test_a_rival_sees_nothing_of_it(world):
    rival = world.client()
    rival._token = mint(world.folder / "key", name="r", scopes=["read"], tenant="rival")

    assert search(rival).total == 0
    assert search(rival, where="supplier IN (SELECT id FROM suppliers)").total == 0
    with pytest.raises(UnknownKey):
        search(rival, where="near('W1', 5)")


# own writes, and shards that do not answer


def test_an_answer_includes_what_its_asker_wrote(world, client):
    (receipt,) = client.ingest([position("own1", "OWN", 5.0)])
    offsets = dict(search(client, limit=1).offsets)

    found = search(client, where="id = 'OWN'", after={receipt.shard: receipt.offset})
    assert ids(found) == ["OWN"]
    assert sorted(offsets) == SHARDS
    with pytest.raises(Behind, match="not yet"):
        search(client, after={receipt.shard: offsets[receipt.shard]})
    with pytest.raises(BadRequest, match="no shard is called"):
        search(client, after={"shipment/north/0": 1})


def test_a_shard_that_does_not_answer_is_named_or_the_question_fails(tmp_path):
    with several(tmp_path / "a", kinds=("site",)) as world:
        client = world.client(direct=False, timeout_s=3.0)
        client.ingest(events()[:3] + [position(f"e{n}", f"S{n}", float(n)) for n in range(6)])
        whole = search(client, limit=100)
        world.tell("shipment/east/0", 1, "", "away")
        part = search(client, limit=100)

        assert (whole.mode, part.mode) == (pb.NORMAL, pb.DEGRADED)
        assert list(part.missing) == ["shipment/east/0"]
        assert part.total == len(part.twins) < whole.total
        with pytest.raises(Unavailable, match="shipment/east/0 did not answer"):
            search(client, after={"shipment/east/0": 0})
        with pytest.raises(Unavailable, match="the filter asks of its twins"):
            search(client, kind="site", where="id NOT IN (SELECT site FROM shipments)")


def test_a_shard_alone_says_that_a_gateway_sees_more(world):
    shard = Client(
        world.surface("shipment/east/0").address,
        mint(world.folder / "key", name="t", scopes=["read"]),
    )

    assert search(shard, limit=3, order="-lat").shown == 3
    with pytest.raises(BadRequest, match="ask a gateway"):
        search(shard, where="site.country = 'VN'")


@pytest.mark.parametrize("form", [pb.MESSAGES, pb.ARROW])
def test_what_is_computed_can_be_asked_for_like_a_field(client, form):
    names = ["age(position)", "stale(position)", "green_but_stale", "delay_days", "region", "id"]
    found = search(client, where="id = 'S08'", fields=names, format=form)
    if form == pb.ARROW:
        part = next(p for p in found.columns if len(arrow.decode(p.arrow)["id"]))
        told = {name: column[0] for name, column in arrow.decode(part.arrow).items()}
    else:
        values = found.twins[0].values
        told = {name: getattr(v, v.WhichOneof("value")) for name, v in values.items()}

    assert (told["age(position)"], told["delay_days"]) == (60.0, -4.0)
    assert not told["stale(position)"]
    assert not told["green_but_stale"]


def test_whole_columns_are_filtered_as_a_search_is(client):
    columns = client.columns(
        "shipment", ["quantity"], "site.country = 'VN' AND quantity > 3"
    ).columns

    assert sorted(map(str, columns["id"])) == of(
        lambda one: one.get("site") == "W0" and one["quantity"] > 3
    )
