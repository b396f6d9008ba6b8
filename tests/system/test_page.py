"""The page of the running twin: opened by a link that works once, and alive."""

import re

import httpx
import msgspec
import pytest

from tests.system.running import until

pytestmark = pytest.mark.ray


def ticks(client, count):
    """Return the next `count` ticks of the live stream."""
    found = []
    with client.stream("GET", "/v1/live", params={"ticks": count}, timeout=30) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data:"):
                found.append(msgspec.json.decode(line.removeprefix("data:")))
    return found


def table(tick):
    """Return what moves in a tick as a row per id, but for what other tests here made move."""
    columns, rows = tick["moving"]["columns"], tick["moving"]["rows"]
    return {row[0]: dict(zip(columns, row, strict=True)) for row in rows if row[0][:2] != "t-"}


@pytest.fixture
def viewer(twin):
    """A browser that opened the link `twin status --link` gave, and the link."""
    link = twin.twin("status", "--link").out.strip()
    with httpx.Client(base_url=link.partition("/?")[0], follow_redirects=True) as viewer:
        yield viewer, link


def test_the_link_of_up_opens_the_page_and_works_once(viewer):
    browser, link = viewer

    page = browser.get(link)
    again = browser.get("/")
    with httpx.Client(base_url=browser.base_url, follow_redirects=True) as stranger:
        used, bare = stranger.get(link), stranger.get("/")
        refused = stranger.get("/v1/status")

    assert page.status_code == again.status_code == 200
    assert "<html" in page.text
    assert re.search(r"default-src 'none'|default-src 'self'", str(page.headers))
    assert (used.status_code, bare.status_code) == (401, 401)
    assert (refused.status_code, refused.json()["code"]) == (401, "TOKEN_MISSING")


def test_what_up_printed_can_be_copied_and_works(twin):
    said = twin.said
    token = twin.twin("token", "--scope", "read").out.strip()

    (port,) = set(re.findall(r"dashboard\s+http://127\.0\.0\.1:(\d+)/\?code=\S+", said))
    (curl,) = re.findall(r'curl -s -H "authorization: Bearer \$TOK" (\S+)', said)
    (known,) = re.findall(r"twin get (\S+)", said)
    reply = httpx.get(curl, headers={"authorization": f"Bearer {token}"}, timeout=20)

    assert int(port) == twin.config.http_port("east")
    assert (reply.status_code, len(reply.json()["shards"])) == (200, 8)
    assert twin.twin("get", known).status == 0


def test_the_page_shows_shipments_that_move_and_every_value_has_its_age(living, viewer):
    browser, link = viewer
    browser.get(link)
    start = until(lambda: ticks(browser, 1)[0], "a tick")

    seen = []

    def moved():
        seen.extend(ticks(browser, 3))
        first, last = table(start), table(seen[-1])
        both = first.keys() & last.keys()
        return {i for i in both if first[i]["lat"] != last[i]["lat"]}

    until(moved, "a shipment to move on the page", 30)

    numbers = [tick["tick"] for tick in seen]
    assert len(set(numbers)) > 1
    for tick in seen:
        assert tick["mode"] in {"normal", "degraded"}
        assert sum(tick["counts"]["by"].values()) > 7000
        assert len(tick["shards"]) == 8
        for row in table(tick).values():
            assert row["source"].startswith("demo/")  # synthetic, and says so
            assert row["age_ms"] >= 0
    assert len(table(seen[-1])) > 20
