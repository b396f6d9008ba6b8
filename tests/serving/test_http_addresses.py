"""Every address of a real gateway: what OpenAPI says of it is what it answers."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from serving import http_addresses
from serving.client import Event
from serving.http_addresses import ADDRESSES, PLURALS
from tests.serving.http_gateway import HttpGateway
from tests.serving.several import NOW, position, several

DRAFT = jsonschema.Draft202012Validator


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("routes") / "twin"
    with several(folder) as twin:
        twin.begin("supplier", "east", 0, 1)
        with twin.client() as client:
            client.ingest([position(f"e{n}", f"S{n}", float(n)) for n in range(30)])
            client.ingest([position("odd", "S1", 200.0), order()])
        gateway = HttpGateway(folder)
        yield gateway
        gateway.close()


def order():
    said = {
        "supplier": "acme",
        "origin": "za",
        "site": "zm",
        "country": "ZM",
        "product_group": "ARV",
        "product": "tablets",
        "quantity": 10,
    }
    return Event("shipment.ordered", "test/a", "S1", NOW - 2000, said, "o1", "east")


@pytest.fixture(scope="module")
def described(gateway):
    return gateway.get("/v1/openapi.json").json()


def operations(described):
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def sound(described, schema, answer):
    """Check an answer by its schema, whose references are those of the document."""
    DRAFT(schema | {"components": described["components"]}).validate(answer)


def closed(schema):
    """Return a schema that allows nothing it does not name."""
    if isinstance(schema, dict):
        schema = {name: closed(part) for name, part in schema.items()}
        if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
            schema.setdefault("additionalProperties", False)
    elif isinstance(schema, list):
        schema = [closed(part) for part in schema]
    return schema


def test_openapi_is_complete_and_all_it_refers_to_is_there(described):
    assert described["openapi"].startswith("3.1")
    assert described["security"] == [{"bearer": []}]
    assert described["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for ref in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(described)):
        assert ref in described["components"]["schemas"]
    for schema in described["components"]["schemas"].values():
        DRAFT.check_schema(schema)


def test_every_operation_has_a_name_a_summary_its_parameters_and_its_problems(described):
    found = list(operations(described))
    names = [operation["operationId"] for _, _, operation in found]

    assert len(set(names)) == len(names)
    for path, method, operation in found:
        where = f"{method} {path}"
        assert operation["summary"], where
        assert "application/problem+json" in operation["responses"]["default"]["content"], where
        in_path = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path)), where
        named = [(p["name"], p["in"]) for p in operation.get("parameters", [])]
        assert len(set(named)) == len(named), where
        for parameter in operation.get("parameters", []):
            DRAFT.check_schema(parameter["schema"])
            assert parameter["description"], f"{where} {parameter['name']}"
        asked = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for name, said in asked.get("schema", {}).get("properties", {}).items():
            assert "description" in said, f"{where} {name}"


def test_every_rpc_that_the_gateway_answers_has_an_address(gateway, described):
    paths = set(described["paths"])

    for address in ADDRESSES:
        assert (address.path in paths) is (address.rpc in gateway.answers), address.path


THEN = "2023-11-14T22:13:00Z"
RULE = """
[[rule]]
name = "north"
kind = "shipment"
when = "lat > 20"
severity = "warning"
message = "{lat}"
"""
GOOD = [
    ("GET", "/v1/status", "/v1/status", None),
    ("GET", "/v1/status?digests=true", "/v1/status", None),
    ("GET", "/v1/search?limit=3&order=-lat&fields=lat", "/v1/search", None),
    ("POST", "/v1/search", "/v1/search", {"where": "lat > 3", "limit": 2}),
    ("GET", "/v1/aggregate?measures=count,avg(lat)", "/v1/aggregate", None),
    ("POST", "/v1/aggregate", "/v1/aggregate", {"by": ["region"]}),
    ("POST", "/v1/batch", "/v1/batch", {"ids": ["S1", "S2", "none"]}),
    ("GET", "/v1/locate?id=S1&region=east", "/v1/locate", None),
    ("GET", "/v1/receipts?source=test/a&id=e1&id=no", "/v1/receipts", None),
    ("GET", "/v1/quarantine", "/v1/quarantine", None),
    ("POST", "/v1/quarantine/redrive", "/v1/quarantine/redrive", {"dry_run": True}),
    ("GET", "/v1/shipments?where=lat>3&limit=2", "/v1/shipments", None),
    ("GET", "/v1/shipments/S1", "/v1/shipments/{id}", None),
    ("GET", "/v1/sites", "/v1/sites", None),
    ("GET", "/v1/shipments/S1?as_of=2023-11-14T22:13:20Z", "/v1/shipments/{id}", None),
    ("GET", "/v1/shipments/S1/history?limit=1", "/v1/shipments/{id}/history", None),
    ("GET", "/v1/shipments/S1/explain/lat", "/v1/shipments/{id}/explain/{field}", None),
    ("GET", f"/v1/shipments/S1/diff?before={THEN}", "/v1/shipments/{id}/diff", None),
    ("GET", "/v1/shipments/S1/first?where=lat>0", "/v1/shipments/{id}/first", None),
    ("GET", f"/v1/diff?where=lat>3&before={THEN}&limit=2", "/v1/diff", None),
    ("POST", "/v1/diff", "/v1/diff", {"kind": "shipment", "where": "lat > 3", "before": THEN}),
    ("POST", "/v1/preview", "/v1/preview", {"source": "test/a", "id": "e1"}),
    ("GET", "/v1/impact/lane/za-zm", "/v1/impact/{kind}/{id}", None),
    ("GET", "/v1/exceptions", "/v1/exceptions", None),
    ("GET", "/v1/exceptions?incidents=true", "/v1/exceptions", None),
    ("POST", "/v1/rules/test", "/v1/rules/test", {"rules": RULE}),
    ("GET", "/v1/stock", "/v1/stock", None),
]


@pytest.mark.parametrize(("method", "asked", "path", "body"), GOOD, ids=[g[1] for g in GOOD])
def test_an_answer_is_what_its_schema_says_and_no_more(
    gateway, described, method, asked, path, body
):
    answer = gateway.ask(method, asked, json=body)

    assert answer.status_code == 200, answer.text
    operation = described["paths"][path][method.lower()]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    told = answer.json()
    sound(described, schema, told)
    asked = {n: told.pop(n) for n in ("limit", "by", "measures") if n in told}
    sound(closed(described), closed(schema["allOf"][0] if asked else schema), told)
    assert answer.headers["cache-control"] == "no-store"


def test_twins_of_a_kind_are_found_under_its_plural(gateway):
    found = gateway.get("/v1/shipments", params={"where": "lat >= 27", "order": "-lat"}).json()

    assert [twin["id"] for twin in found["twins"]] == ["S29", "S28", "S27"]
    assert (found["shown"], found["total"], found["limit"]) == (3, 3, 20)


def test_a_filter_too_long_for_an_address_is_a_body(gateway):
    where = "lat = 5 AND " + " AND ".join(f"lat != {n}.5" for n in range(60))

    found = gateway.post("/v1/search", {"where": where, "fields": ["lat"]}).json()

    assert [twin["id"] for twin in found["twins"]] == ["S5"]


def test_what_an_event_said_is_bare_and_what_it_made_true_has_its_provenance(gateway):
    entry = gateway.get("/v1/shipments/S2/history").json()["entries"][0]

    assert entry["said"]["lat"] == {"number": 2.0}
    assert entry["became"]["lat"]["source"] == entry["source"] == "test/a"


def test_receipts_are_addressed_by_their_names(gateway):
    first = gateway.get("/v1/receipts?source=test/a&id=e1").json()["receipts"][0]

    again = gateway.get("/v1/receipts", params={"offset": first["receipt"]}).json()["receipts"][0]

    assert again == first
    assert first["event_time"] == "2023-11-14T22:13:19.999000Z"
    assert NOW == 1_700_000_000_000_000


def test_rules_are_tried_as_the_text_that_they_are(gateway):
    kind = {"content-type": "application/toml; charset=utf-8"}

    toml = gateway.ask("POST", "/v1/rules/test", content=RULE, headers=kind)
    json = gateway.post("/v1/rules/test", {"rules": RULE})
    late = gateway.ask("POST", "/v1/rules/test?since=soon", content=RULE, headers=kind)
    odd = gateway.ask("POST", "/v1/rules/test", content=b"\xff", headers=kind)

    assert toml.json()["rules"] == json.json()["rules"]
    assert toml.json()["rules"][0]["raised"] == 9
    assert (late.status_code, late.json()["code"]) == (400, "INVALID_ARGUMENT")
    assert (odd.status_code, odd.json()["code"]) == (400, "MALFORMED")


BAD = [
    ("GET", "/v1/shipments?wher=lat>3", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/shipments?kind=site", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/shipments?limit=1&limit=2", None, 400, "DUPLICATE_FIELD"),
    ("GET", "/v1/shipments/S1?max_age_s=1e400", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/shipments/no%20id", None, 400, "BAD_ID"),
    ("GET", "/v1/shipments/NOPE", None, 404, "ENTITY_NOT_FOUND"),
    ("GET", "/v1/wagons", None, 404, "NOT_FOUND"),
    ("GET", "/v1/shipments/S1/nothing", None, 404, "NOT_FOUND"),
    ("POST", "/v1/shipments", {}, 405, "METHOD_NOT_ALLOWED"),
    ("GET", "/v1/events", None, 405, "METHOD_NOT_ALLOWED"),
    ("GET", "/v1/locate", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/receipts?source=a", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/receipts?offset=none/7", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/quarantine?reason=NONSENSE", None, 400, "INVALID_ARGUMENT"),
    ("POST", "/v1/search", {"strange": 1}, 400, "INVALID_ARGUMENT"),
    ("POST", "/v1/search", [], 400, "MALFORMED"),
    ("POST", "/v1/search", {"where": "lat >"}, 400, None),
    ("POST", "/v1/search", {"where": "x" * (1 << 20)}, 413, "MESSAGE_TOO_LARGE"),
    ("POST", "/v1/search", {"where": "\ud800"}, 400, "MALFORMED"),
    ("POST", "/v1/quarantine/redrive", {"since": 4}, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/shipments?cursor=AAAA", None, 400, "CURSOR_INVALID"),
    ("GET", "/v1/shipments?after=none/7", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/shipments/S1?as_of=2100-01-01", None, 400, "AS_OF_FUTURE"),
    ("GET", "/v1/shipments/S1?known_at=1990-01-01", None, 410, "AS_OF_TOO_EARLY"),
    ("GET", "/v1/shipments/S1?as_of=soon", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/shipments/S1?max_age_s=0.000001", None, 503, "TOO_OLD"),
    ("GET", "/v1/shipments/S1?fields=nonsense", None, 400, "FIELD_UNKNOWN"),
    ("GET", "/v1/shipments/S1/history?since=yesterday", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/shipments/S1/history?cursor=AAAA", None, 400, "CURSOR_INVALID"),
    ("GET", "/v1/shipments/NOPE/history", None, 404, "ENTITY_NOT_FOUND"),
    ("GET", "/v1/shipments/S1/explain/nonsense", None, 400, "FIELD_UNKNOWN"),
    ("GET", "/v1/shipments/S1/explain", None, 404, "NOT_FOUND"),
    ("GET", "/v1/shipments/S1/first", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/shipments/S1/first?where=lat>", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/shipments/S1/first?where=lat>1&last=maybe", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/diff", None, 400, "INVALID_ARGUMENT"),
    ("POST", "/v1/diff", {"id": "S1", "before": 5}, 400, "INVALID_ARGUMENT"),
    ("POST", "/v1/preview", {}, 400, "INVALID_ARGUMENT"),
    ("POST", "/v1/preview", {"receipt": "none/7"}, 404, "ENTITY_NOT_FOUND"),
    ("POST", "/v1/preview", {"source": "none", "id": "none"}, 404, "ENTITY_NOT_FOUND"),
    ("GET", "/v1/impact/wagon/1", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/impact/supplier/none", None, 404, "ENTITY_NOT_FOUND"),
    ("GET", "/v1/impact/lane/Goa,%20India-zm", None, 404, "ENTITY_NOT_FOUND"),
    ("GET", "/v1/impact/supplier/acme?depth=101", None, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1/exceptions?where=nonsense=1", None, 400, "FIELD_UNKNOWN"),
    ("GET", "/v1/exceptions/none", None, 404, "ENTITY_NOT_FOUND"),
    ("POST", "/v1/exceptions/none/acknowledge", None, 404, "ENTITY_NOT_FOUND"),
    ("POST", "/v1/exceptions/shipment:S1:north/explode", {}, 404, "ENTITY_NOT_FOUND"),
    ("POST", "/v1/exceptions/a/snooze", {"action": "b"}, 400, "DUPLICATE_FIELD"),
    ("POST", "/v1/rules/test", {}, 400, "INVALID_ARGUMENT"),
    ("POST", "/v1/rules/test", {"rules": "["}, 400, "RULE_INVALID"),
    ("POST", "/v1/rules/test", {"rules": "x" * (1 << 20)}, 413, "MESSAGE_TOO_LARGE"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), BAD)
def test_a_bad_question_has_an_exact_answer(gateway, method, path, body, status, code):
    content = None if body is None else json.dumps(body)
    answer = gateway.ask(method, path, content=content)

    told = answer.json()
    assert answer.status_code == told["status"] == status
    assert code is None or told["code"] == code
    assert told["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_changes_something_needs_the_scope_write(gateway):
    answer = gateway.post("/v1/quarantine/redrive", {"dry_run": True}, scopes=("read",))

    assert (answer.status_code, answer.json()["code"]) == (403, "SCOPE_MISSING")


def test_a_twin_of_another_tenant_answers_as_one_that_does_not_exist(gateway):
    foreign = gateway.get("/v1/shipments/S1", tenant="other")
    unknown = gateway.get("/v1/shipments/S1x", tenant="other")

    assert foreign.status_code == unknown.status_code == 404
    assert foreign.json()["detail"] == unknown.json()["detail"].replace("S1x", "S1")


def test_the_page_of_addresses_has_all_of_them_and_no_other(described):
    page = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
    told = {
        (method.lower(), path)
        for methods, path in re.findall(r"^\| (GET|POST|GET, POST) \| `([^`]+)`", page, re.M)
        for method in methods.split(", ")
    }
    kinds = re.compile(rf"/v1/({'|'.join(PLURALS)})(/|$)")
    have = {(method, kinds.sub(r"/v1/KIND\2", path)) for path, method, _ in operations(described)}

    assert told == have


def test_every_kind_that_is_asked_for_by_name_has_its_plural():
    assert PLURALS == {
        "shipments": "shipment",
        "sites": "site",
        "suppliers": "supplier",
        "stock": "stock",
    }
    assert http_addresses.SERVICE.full_name == "supplytwin.v1.Twin"
