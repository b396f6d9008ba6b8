"""The running twin over HTTP, and as tables: what a developer and an analyst do first."""

import httpx
import pytest

from serving.analyst import told
from serving.client import minter
from tests.system.running import until

pytestmark = pytest.mark.ray


@pytest.fixture
def http(twin):
    token = minter(twin.folder, "tms")()
    url = f"http://127.0.0.1:{twin.config.http_port('east')}"
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=20) as http:
        yield http


def test_an_event_sent_over_http_is_durable_seen_at_once_and_proven_by_its_receipt(twin, http):
    event = {
        "specversion": "1.0",
        "type": "shipment.position.v1",
        "source": "my-tms",
        "id": "e-1",
        "subject": "t-http",
        "region": "west",
        "time": "2013-08-31T12:00:00Z",
        "data": {"lat": -3.38, "lon": 29.36},
    }
    kind = {"content-type": "application/cloudevents-batch+json"}
    odd = event | {"id": "e-2", "data": {"lat": 151.9, "lon": 4}}

    first, parked = http.post("/v1/events", json=[event, odd], headers=kind).json()
    again = http.post("/v1/events", json=event).json()
    seen = http.get("/v1/shipments/t-http").json()
    shown = twin.twin("receipt", first["receipt"], "--json")

    assert (first["outcome"], again["outcome"]) == ("applied", "duplicate")
    assert (parked["outcome"], parked["field"], parked["got"]) == ("parked", "data.lat", "151.9")
    assert first["shard"].startswith("shipment/west/")
    assert again["receipt"] == first["receipt"]
    assert (seen["values"]["lat"]["number"], seen["region"]) == (-3.38, "west")
    assert shown.status == 0
    assert "e-1" in shown.out


def test_what_openapi_describes_is_what_is_answered(http):
    described = http.get("/v1/openapi.json").json()

    for path in ("/v1/events", "/v1/shipments/{id}", "/v1/exceptions", "/v1/sql"):
        assert path in described["paths"]
    for path in ("/v1/shipments", "/v1/sites", "/v1/suppliers", "/v1/stock", "/v1/exceptions"):
        answer = http.get(path, params={"limit": 1})
        assert (answer.status_code, answer.headers["twin-mode"]) == (200, "normal"), answer.text


def test_an_analyst_s_table_of_a_moment_is_what_sql_says_of_it(beginning, client):
    where = "delivered_at IS ABSENT AND supplier IS KNOWN"
    view = client.as_of(beginning.now)

    table = view.shipments(where, ["supplier", "quantity"], "supplier, id")

    packs = sum(table["quantity"].drop_null().to_pylist())
    (row,) = view.sql(
        "SELECT count(*) AS n, sum(quantity) AS packs FROM shipments "
        "WHERE delivered_at IS NULL AND supplier IS NOT NULL"
    ).to_pylist()
    assert table.num_rows == told(table)["total"] == row["n"] > 500
    assert packs == row["packs"]
    assert table["order_source"].null_count == 0
    suppliers = table["supplier"].to_pylist()
    assert suppliers == sorted(suppliers)


def test_an_alert_of_the_demo_can_be_acknowledged_over_http(living, http):
    found = until(lambda: http.get("/v1/exceptions?limit=1").json()["alerts"], "an alert", 60)
    alert = found[0]["id"]

    done = http.post(f"/v1/exceptions/{alert}/acknowledge", json={"note": "calling the carrier"})

    told = done.json()
    assert done.status_code == 200, done.text
    assert told["alert"]["values"]["acknowledged_by"]["text"] == "tms"
    history = http.get(f"/v1/exceptions/{alert}/history").json()["entries"]
    assert history[0]["receipt"] == told["receipt"]
