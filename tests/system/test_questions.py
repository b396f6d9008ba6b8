"""Questions over many twins of a running twin: pages, relations, groups and impact."""

from collections import Counter

import pytest

from serving.wire import twin_pb2 as pb
from tests.system.facts import NOON, position

pytestmark = pytest.mark.ray
HELD = "ordered_at IS KNOWN AND quantity > 30000"  # what the world adds is ordered later


def test_pages_of_a_search_are_its_whole_order_over_shards_and_regions(client):
    asked = {"kind": "shipment", "where": HELD, "order": "country,-quantity", "fields": ["country"]}
    whole = client.ask("Search", pb.SearchRequest(**asked, limit=10_000))
    told, cursor = [], ""
    while not told or cursor:
        page = client.ask("Search", pb.SearchRequest(**asked, limit=500, cursor=cursor))
        told += [(twin.region, twin.id) for twin in page.twins]
        cursor = page.cursor

    assert len(told) == whole.total > 500
    assert told == [(twin.region, twin.id) for twin in whole.twins]


def test_relations_are_followed_over_shards_of_other_kinds(client):
    sites = {
        twin.id for twin in client.search("site", "country = 'ZM'", ["name"], limit=1000).twins
    }
    orders = client.search("shipment", HELD, ["site"], limit=10_000).twins
    wanted = sum(t.values["site"].value in sites for t in orders if "site" in t.values)

    assert client.search("shipment", f"site.country = 'ZM' AND {HELD}", limit=1).total == wanted > 0
    back = f"id IN (SELECT site FROM shipments WHERE {HELD})"
    assert client.search("site", f"{back} AND country = 'ZM'", limit=1).total <= len(sites)


def test_an_answer_includes_what_was_just_written(client):
    (receipt,) = client.ingest([position("t-own", NOON, 4.0, name="own")])

    found = client.search("shipment", "id = 't-own' AND lat = 4", after=[receipt.name])
    assert [twin.id for twin in found.twins] == ["t-own"]


def test_impact_adds_up_to_what_a_search_finds(client):
    where = "status < 'CANCELLED'"
    suppliers = Counter(
        twin.values["supplier"].value
        for twin in client.search("shipment", where, ["supplier"], limit=10_000).twins
        if "supplier" in twin.values
    )
    name, _ = suppliers.most_common(1)[0]
    reply = client.impact("supplier", name, limit=3)

    kinds = [group.kind for group in reply.groups]
    assert kinds[:2] == ["shipment", "site"]
    assert reply.groups[0].count > 0
    assert reply.value == pytest.approx(reply.groups[0].value)
    values = [twin.values["value_cents"].integer for twin in reply.groups[0].twins]
    assert values == sorted(values, reverse=True)
