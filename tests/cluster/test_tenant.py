"""The configuration key `tenant`: whose twins the commands and the page of a twin are about."""

import json
from contextlib import closing

import jwt
import msgspec
import pytest

from cluster.cli import run
from cluster.config import Config
from serving import access
from serving.access import issue_code, mint
from serving.client import Client
from tests.serving.http_gateway import HttpGateway
from tests.serving.http_surface import cookie_of
from tests.serving.several import position, several
from twin.errors import BadRequest


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """A twin of acme's, as a host would have begun it."""
    folder = tmp_path_factory.mktemp("tenant") / "twin"
    folder.mkdir()
    said = Config(tenant="acme", serve=False)
    (folder / "config.json").write_bytes(msgspec.json.encode(said))
    with several(folder, shards=1, kinds=("site",)) as twin, twin.client() as client:
        client.ingest([position("a", "S1"), position("b", "S2")])
        yield twin


def said(capsys, twin, *words):
    """Return what a command says in JSON."""
    assert run([*words, "--json", "--folder", str(twin.folder)]) == 0
    return json.loads(capsys.readouterr().out)


def other(twin, tenant):
    token = mint(twin.folder / "key", name="x", scopes=["read"], tenant=tenant)
    with twin.client() as client:
        return Client(client.address, token)


def test_what_its_client_offers_is_its_own_and_nobody_elses(twin):
    with other(twin, "acme") as mine, other(twin, "demo") as theirs:
        assert {one.key for one in mine.search("shipment").twins} == {
            "acme/shipment/east/S1",
            "acme/shipment/east/S2",
        }
        assert theirs.search("shipment").total == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("search", "shipment", "lat = 1"), lambda said: said["total"] == 2),
        (("get", "S1"), lambda said: said["id"] == "S1"),
        (("history", "S1"), lambda said: said["total"] == 1),
        (("aggregate", "shipment"), lambda said: said["rows"][0]["count"] == 2),
        (("watch", "shipment", "lat = 1", "--limit=1"), lambda said: said["twin"]["id"] == "S1"),
        (("alerts",), lambda said: said["total"] == 0),
    ],
)
def test_its_commands_ask_for_its_tenant(twin, capsys, words, told):
    assert told(said(capsys, twin, *words))


def test_its_page_shows_its_tenants_twins(twin):
    with closing(HttpGateway(twin.folder)) as gateway:
        opened = gateway._runner.run(gateway._ask("GET", f"/?code={issue_code(twin.folder)}"))
        bearer = cookie_of(opened)
        shown = gateway._runner.run(gateway._ask("GET", "/v1/shipments", headers=bearer))

    assert shown.json()["total"] == 2


@pytest.mark.parametrize(("more", "tenant"), [((), "acme"), (("--tenant", "demo"), "demo")])
def test_a_token_is_for_its_tenant_unless_another_is_named(twin, capsys, more, tenant):
    assert run(["token", *more, "--folder", str(twin.folder)]) == 0

    token = capsys.readouterr().out.strip()
    assert jwt.decode(token, options={"verify_signature": False})["tenant"] == tenant


def test_a_token_of_no_tenant_is_never_taken_for_one_of_its_own(twin):
    with other(twin, "") as nobody:
        assert nobody.search("shipment").total == 0


def test_the_usual_tenant_is_the_configurations_default(tmp_path):
    assert access.own_tenant(tmp_path) == Config().tenant == access.TENANT


@pytest.mark.parametrize("text", ["", "{}", "[]", "{"])
def test_a_configuration_that_does_not_say_whose_it_is_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(BadRequest, match="does not say whose") as refused:
        access.own_tenant(tmp_path)
    assert refused.value.code == "NOT_RUNNING"
