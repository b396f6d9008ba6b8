"""Impact to any depth, in a network that goes round and round, against plain Python."""

from random import Random

import pytest

from serving import impact
from serving.client import Event
from serving.wire import twin_pb2 as pb
from tests.serving.several import NOW, several
from twin.contracts import DAY_US as DAY
from twin.errors import BadRequest

PLACES = ("W0", "W1", "W2", "W3", "W4")
PLACED = {"function": "hub", "lat": 6.5, "lon": 3.4}
PRODUCTS = ("ARV", "ACT", "HRDT")


def network():
    """Return id -> what is known of 60 shipments, and the stock: (site, product) -> packs."""
    luck, ships = Random(5), {}
    for n in range(60):
        one = {
            "region": luck.choice(("east", "west")),
            "supplier": f"P{n % 6}" if n % 2 else "P9",
            "origin": luck.choice((*PLACES, "ABROAD")) if n % 6 else "ABROAD",
            "product_group": luck.choice(PRODUCTS),
            "quantity": n,
            "value_cents": 1000 * n,
        }
        if n % 9:
            one["site"] = luck.choice((*PLACES, "NOWHERE"))
        if n % 4 == 0:
            one["promised_at"] = NOW + (n % 9) * DAY
        if n % 10 == 0:
            one["state"] = luck.choice(("departed", "cancelled"))
        ships[f"S{n:02d}"] = one
    stock = {
        (site, product): 10 + i
        for i, (site, product) in enumerate((s, p) for s in PLACES for p in PRODUCTS)
        if luck.random() < 0.8
    }
    return ships, stock


SHIPS, STOCK = network()


def events():
    for site in PLACES:
        yield event("site.registered", site, {"name": site, "country": "NG", **PLACED})
    for (site, product), count in STOCK.items():
        facts = {"site": site, "product": product, "quantity": count}
        yield event("stock.counted", f"{site}:{product}", facts)
    for name, one in SHIPS.items():
        names = ("supplier", "origin", "site", "product_group", "quantity", "value_cents")
        facts = {"country": "NG", "product": "D1"} | {k: one[k] for k in names if k in one}
        yield event("shipment.ordered", name, facts, one["region"])
        if "promised_at" in one:
            promised = {"promised_at": one["promised_at"]}
            yield event("shipment.promised", name, promised, one["region"])
        if "state" in one:
            yield event(f"shipment.{one['state']}", name, {}, one["region"])


def event(type_, subject, facts, region="east"):
    return Event(type_, "test", subject, NOW - 10**6, facts, f"{type_}:{subject}", region)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("impact") / "t"
    with several(folder, kinds=("site", "supplier")) as world, world.client() as client:
        told = client.ingest(list(events()))
        assert {(one.outcome, one.reason) for one in told} == {("APPLIED", "")}
        yield client


def still_open(one):
    return one.get("state") != "cancelled"


def expected(kind, id):
    """Return (kind, depth) -> the ids of the twins there, one twin after the other."""
    starts = {
        "supplier": lambda one: one["supplier"] == id,
        "site": lambda one: one.get("site") == id,
        "lane": lambda one: f"{one['origin']}-{one.get('site')}" == id,
    }[kind]
    first = {name for name, one in SHIPS.items() if still_open(one) and starts(one)}
    found = {("shipment", 1): first}
    left = {
        name
        for name, one in SHIPS.items()
        if name not in first and still_open(one) and one.get("state") != "departed"
    }
    if kind == "site":
        depth, sites, front = 1, {id}, {(id, product) for product in PRODUCTS}
        stock = {place for place in STOCK if place[0] == id}
        met = {*front, *stock}
    else:
        depth, met, stock = 3, set(), set()
        sites = {SHIPS[name].get("site") for name in first}
        front = {(SHIPS[n].get("site"), SHIPS[n]["product_group"]) for n in first}
        found["site", 2] = sites & set(PLACES)
    if kind != "supplier":
        found["supplier", 2] = set()  # none is registered
    while front:
        found["stock", depth] = {p for p in (front - met if depth > 1 else stock) if p in STOCK}
        met |= front
        taken = {n for n in left if (SHIPS[n]["origin"], SHIPS[n]["product_group"]) in front}
        left -= taken
        found["shipment", depth + 1] = taken
        went = {SHIPS[name].get("site") for name in taken}
        found["site", depth + 2] = (went - sites) & set(PLACES)
        sites |= went
        front = {(SHIPS[n].get("site"), SHIPS[n]["product_group"]) for n in taken} - met
        depth += 3
    return {key: ids for key, ids in found.items() if ids or key == ("shipment", 1)}


def is_way(one):
    return still_open(one) and "site" in one


def named(group):
    if group.kind == "stock":
        return {tuple(twin.id.split(":")) for twin in group.twins}
    return {twin.id for twin in group.twins}


LANES = sorted(f"{one['origin']}-{one['site']}" for one in SHIPS.values() if is_way(one))[::7]
STARTS = [
    *(("supplier", f"P{n}") for n in (1, 3, 9)),
    *(("site", site) for site in PLACES[:3]),
    *(("lane", lane) for lane in LANES),
]


@pytest.mark.parametrize(("kind", "id"), STARTS)
def test_all_that_depends_is_found_once_at_its_depth_with_packs_and_money(client, kind, id):
    reply = client.impact(kind, id, limit=1000)
    wanted = expected(kind, id)

    assert {(g.kind, g.depth): named(g) for g in reply.groups} == wanted
    assert [g.count for g in reply.groups] == [len(g.twins) for g in reply.groups]
    assert (reply.mode, reply.truncated) == (pb.NORMAL, False)
    for group in reply.groups:
        ids = wanted[group.kind, group.depth]
        if group.kind == "stock":
            assert group.quantity == sum(STOCK[place] for place in ids)
        if group.kind == "shipment":
            assert group.quantity == sum(SHIPS[name]["quantity"] for name in ids)
            assert group.value == sum(SHIPS[name]["value_cents"] for name in ids) / 100
            promised = [SHIPS[n]["promised_at"] for n in ids if "promised_at" in SHIPS[n]]
            assert group.earliest == min(promised, default=0)
    every = [name for (kind, _), ids in wanted.items() if kind == "shipment" for name in ids]
    assert len(every) == len(set(every))
    assert reply.quantity == sum(SHIPS[name]["quantity"] for name in every)
    assert reply.value == sum(SHIPS[name]["value_cents"] for name in every) / 100


def test_the_network_of_these_tests_goes_deep():
    assert max(depth for start in STARTS for _, depth in expected(*start)) > 9


@pytest.mark.parametrize("depth", range(1, 9))
def test_a_depth_that_is_asked_for_ends_the_walk_there(client, depth):
    reply = client.impact("supplier", "P1", depth=depth, limit=1000)
    wanted = {key: ids for key, ids in expected("supplier", "P1").items() if key[1] <= depth}

    assert {(g.kind, g.depth): named(g) for g in reply.groups} == wanted
    assert not reply.truncated


def test_the_dearest_are_listed_of_several_filters_too(client, monkeypatch):
    whole = client.impact("supplier", "P1", limit=1000)
    monkeypatch.setattr("twin.reach.PARTS", 1)
    monkeypatch.setattr("twin.reach.CONDITION", 1)
    cut = client.impact("supplier", "P1", limit=2)

    assert [(g.kind, g.depth, g.count, g.quantity, g.value) for g in cut.groups] == [
        (g.kind, g.depth, g.count, g.quantity, g.value) for g in whole.groups
    ]
    for some, every in zip(cut.groups, whole.groups, strict=True):
        assert [twin.id for twin in some.twins] == [twin.id for twin in every.twins[:2]]


@pytest.mark.parametrize(("bound", "most"), [("MOST_PLACES", 2), ("DEEPEST", 5)])
def test_what_is_cut_short_says_so(client, monkeypatch, bound, most):
    monkeypatch.setattr(impact, bound, most)
    reply = client.impact("supplier", "P1", limit=1000)

    assert reply.truncated
    assert reply.groups[0].count == len(expected("supplier", "P1")["shipment", 1])


@pytest.mark.parametrize("depth", [-1, 101])
def test_a_depth_that_makes_no_sense_is_refused(client, depth):
    with pytest.raises(BadRequest, match="depth is 1 to 100"):
        client.impact("supplier", "P1", depth=depth)
