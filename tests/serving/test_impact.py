"""Impact: what a failing supplier, site or lane touches, against plain Python."""

import json

import pytest
from click.testing import CliRunner

from cluster.commands import impact as command
from serving.impact import walk
from serving.wire import twin_pb2 as pb
from tests.serving.chain import SITES, chain, events, search, shipments
from twin.errors import BadRequest, UnknownKey
from twin.filters import compile_filter

TWINS = shipments()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with chain(tmp_path_factory.mktemp("impact") / "t") as world:
        yield world


@pytest.fixture(scope="module")
def client(world):
    return world.client()


def open_ones(holds):
    return {
        name: one
        for name, one in TWINS.items()
        if "supplier" in one and "delivered" not in one and holds(one)
    }


def told(reply):
    return {group.kind: group for group in reply.groups}


def test_a_supplier_touches_its_open_shipments_their_sites_and_the_stock_there(client):
    reply = client.impact("supplier", "P1", limit=3)
    mine = open_ones(lambda one: one["supplier"] == "P1")
    worth = sum(one.get("value_cents", 0) for one in mine.values()) / 100
    packs = sum(one["quantity"] for one in mine.values())
    sites = {one.get("site") for one in mine.values()} & SITES.keys()
    brought = {(one.get("site"), one["product_group"]) for one in mine.values()}
    found = told(reply)

    assert (reply.quantity, reply.value, reply.mode) == (packs, worth, pb.NORMAL)
    assert [(g.kind, g.depth, g.relation) for g in reply.groups] == [
        ("shipment", 1, "supplier"),
        ("site", 2, "site"),
        ("stock", 3, "stock"),
    ]
    assert (found["shipment"].count, found["site"].count) == (len(mine), len(sites))
    dearest = sorted(mine, key=lambda name: (-mine[name].get("value_cents", -1), name))[:3]
    assert [twin.id for twin in found["shipment"].twins] == dearest
    assert {twin.id for twin in found["site"].twins} == sites
    stock = [(s, p) for s in ("W0", "W1") for p in ("ARV", "ACT") if (s, p) in brought]
    assert found["stock"].count == len(stock)
    assert found["stock"].quantity == sum(3 + ord(site[1]) for site, _ in stock)
    assert found["stock"].count > 0


def test_a_site_touches_what_goes_there_its_stock_and_who_sent_it(client):
    found = told(client.impact("site", "W0"))
    mine = open_ones(lambda one: one.get("site") == "W0")

    assert found["shipment"].count == len(mine)
    assert found["stock"].quantity == 2 * (3 + ord("0"))
    assert {twin.id for twin in found["supplier"].twins} == {
        one["supplier"] for one in mine.values()
    }
    assert found["shipment"].earliest == min(
        (one["promised_at"] for one in mine.values() if "promised_at" in one), default=0
    )


def test_depth_says_how_many_relations_are_walked(client):
    depths = [{g.depth for g in client.impact("supplier", "P1", depth=d).groups} for d in (1, 2, 8)]

    assert depths == [{1}, {1, 2}, {1, 2, 3}]


def test_what_is_found_can_be_asked_again_as_a_filter(client):
    ships = walk("supplier", "P1")[0]

    assert (
        search(client, where=ships.where).total
        == told(client.impact("supplier", "P1"))["shipment"].count
    )


@pytest.mark.parametrize("name", ["A-B", "PORT-OF-LAGOS-W1", "it's-W1", "-".join("abcdefghijklmn")])
def test_a_lane_may_have_dashes_in_its_ends(name):
    for step in walk("lane", name):
        compile_filter(step.kind, step.where)


@pytest.mark.parametrize(
    ("kind", "id", "error", "code"),
    [
        ("supplier", "P9", UnknownKey, "ENTITY_NOT_FOUND"),
        ("site", "W9' OR 1 = 1", UnknownKey, "ENTITY_NOT_FOUND"),
        ("lane", "X-W1", UnknownKey, "ENTITY_NOT_FOUND"),
        ("lane", "nowhere", BadRequest, "INVALID_ARGUMENT"),
        ("lane", "-" * 30, BadRequest, "INVALID_ARGUMENT"),
        ("shipment", "S01", BadRequest, "INVALID_ARGUMENT"),
        ("supplier", "", BadRequest, "INVALID_ARGUMENT"),
    ],
)
def test_an_impact_of_nothing_is_refused(client, kind, id, error, code):
    with pytest.raises(error) as refused:
        client.impact(kind, id)
    assert refused.value.code == code


def test_a_supplier_with_nothing_under_way_touches_nothing(client):
    client.ingest([one._replace(subject="P7", id="p7") for one in events() if one.subject == "P0"])
    reply = client.impact("supplier", "P7")

    assert [(group.kind, group.count) for group in reply.groups] == [("shipment", 0)]


def test_the_command_prints_it_and_json(world):
    plain = CliRunner().invoke(command.command, ["supplier", "P1", "--folder", str(world.folder)])
    as_json = CliRunner().invoke(
        command.command, ["site", "W0", "--json", "--folder", str(world.folder)]
    )

    assert "supplier P1: " in plain.output
    assert "open shipments" in plain.output
    assert next(group["kind"] for group in json.loads(as_json.output)["groups"]) == "shipment"
