"""The page in a real Chromium, served by a real uvicorn over a gateway in memory."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from serving.access import Doors, ensure_key, issue_code
from serving.http_app import create_app
from serving.http_live import Live
from tests.serving.http_world import World

CHROMIUM = Path("/usr/bin/chromium")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 30_000
pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)


class Served:
    """A gateway's HTTP surface on a free port, in a thread."""

    def __init__(self, folder: Path) -> None:
        ensure_key(folder / "key")
        self.folder = folder
        self.world = World()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.app = create_app(
            self.world.answers(),
            tokens=Doors(folder, "east"),
            folder=folder,
            version="9.9",
            live=lambda gateway: Live(gateway, period_s=0.25),
        )
        config = uvicorn.Config(self.app, log_level="error", timeout_graceful_shutdown=2)
        self.server = uvicorn.Server(config)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def link(self) -> str:
        return f"{self.origin}/?code={issue_code(self.folder)}"

    def stop(self) -> None:
        if self.thread.is_alive():
            asyncio.run_coroutine_threadsafe(self.app.state.live.close(), self.loop).result(10)
            self.server.should_exit = True
            self.thread.join(20)

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self.server.serve(sockets=[self.socket]))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        assert not os.environ.get("CI"), "CI must have chromium; `make system` installs it"
        pytest.skip("chromium is not installed; `make system` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.stop()


@pytest.fixture
def opened(browser: Browser, served: Served) -> Iterator[Callable[..., Page]]:
    """Opens the page by its link; afterwards nothing may have failed or left the origin."""
    faults: list[str] = []
    asked: list[str] = []
    contexts = []

    def open_page(**given: Any) -> Page:
        context = browser.new_context(viewport={"width": 1440, "height": 900}, **given)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda e: faults.append(str(e)))
        page.on("console", lambda m: faults.append(m.text) if m.type != "log" else None)
        page.on("request", lambda r: asked.append(r.url))
        page.goto(served.link())
        page.locator("#shards tbody tr").first.wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert all(url.startswith(served.origin) for url in asked), asked
    assert not [fault for fault in faults if "ERR_CONNECTION_REFUSED" not in fault], faults


def colours(page: Page) -> int:
    """How many colours the map has."""
    return int(
        page.evaluate("""() => {
          const map = document.getElementById("map");
          const raw = map.getContext("2d").getImageData(0, 0, map.width, map.height).data;
          return new Set(new Uint32Array(raw.buffer)).size;
        }""")
    )


def figure(page: Page, name: str) -> Locator:
    return page.locator(".cell", has_text=name).locator(".figure").first


def test_the_page_shows_the_living_chain(opened: Callable[..., Page]) -> None:
    page = opened()

    expect(page.locator("#mode-word")).to_have_text("Normal")
    expect(page.locator("#link-word")).to_have_text("live")
    expect(page.locator("#clock-kind")).to_contain_text("replay ×21,600, 1 day in 4 s")
    expect(figure(page, "Delivered")).to_have_text("700")
    expect(figure(page, "Departed")).to_have_text("243")
    expect(page.locator("#shards tbody tr")).to_have_count(8)
    expect(page.locator("#shards tbody tr").first).to_contain_text("● serving")
    expect(page.locator("#map-shown")).to_have_text("243 with a position")
    expect(page.locator("#map-synthetic")).to_be_visible()
    expect(page.locator("#late .case").first).to_contain_text("demo/telemetry (synthetic)")
    expect(page.locator("#eta-shown")).to_have_text("showing 50 of 554 open, by model/eta@1")
    expect(page.locator("#etas tbody tr")).to_have_count(50)
    expect(page.locator("#legend")).to_contain_text("28")
    page.wait_for_function("document.getElementById('legend').textContent.includes('sites')")
    assert colours(page) > 50


def test_positions_and_the_clock_move_between_ticks(opened: Callable[..., Page]) -> None:
    page = opened()
    page.get_by_role("tab", name="Table").click()
    spot = page.locator("#view-table tbody tr").first.locator("td").nth(5)
    before, then = spot.inner_text(), page.locator("#now-hour").inner_text()

    expect(spot).not_to_have_text(before)

    expect(page.locator("#now-hour")).not_to_have_text(then)
    assert "," in before


def test_pause_holds_everything_still_until_resumed(opened: Callable[..., Page]) -> None:
    page = opened()
    page.get_by_role("button", name="Pause").click()
    held = page.locator("#now-hour").inner_text() + page.locator("#now-day").inner_text()
    expect(page.locator("#link-word")).to_have_text("paused")

    page.wait_for_timeout(700)  # three ticks

    assert page.locator("#now-hour").inner_text() + page.locator("#now-day").inner_text() == held
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#link-word")).to_have_text("live")


def test_a_shipment_opens_with_all_its_values_and_closes_by_keyboard(
    opened: Callable[..., Page],
) -> None:
    page = opened()
    case = page.locator("#late .case").nth(6)
    case.focus()

    page.keyboard.press("Enter")

    detail = page.locator("#detail")
    expect(detail.locator("h2")).to_contain_text("Shipment")
    expect(detail).to_contain_text("Lane baseline")
    expect(detail.locator("tr.group").first).to_contain_text("confidence")
    expect(detail.locator("tr.group").first).to_contain_text("as of 2013-")
    expect(detail).to_contain_text("scms/orders")
    expect(case).to_have_attribute("aria-current", "true")
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    expect(case).to_be_focused()


def test_the_map_has_the_same_rows_as_a_table(opened: Callable[..., Page]) -> None:
    page = opened()
    page.get_by_role("tab", name="Map").focus()

    page.keyboard.press("ArrowRight")

    expect(page.get_by_role("tab", name="Table")).to_be_focused()
    expect(page.locator("#view-table tbody tr")).to_have_count(243)
    expect(page.locator("#view-map")).to_be_hidden()


def test_the_map_answers_to_the_keyboard(opened: Callable[..., Page]) -> None:
    page = opened()
    page.wait_for_function("document.getElementById('legend').textContent.includes('28')")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(1000)  # what moves comes to rest
    picture = page.locator("#map").screenshot()

    page.locator("#map").focus()
    for key in ("+", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    page.wait_for_timeout(200)

    assert page.locator("#map").screenshot() != picture


def test_a_degraded_twin_says_why(opened: Callable[..., Page], served: Served) -> None:
    page = opened()

    served.world.away = {"shipment/east/1"}

    expect(page.locator("#mode-word")).to_have_text("Degraded")
    expect(page.locator("#banner")).to_contain_text("shipment/east/1 is recovering")
    expect(page.locator("#shards")).to_contain_text("◐ recovering")
    served.world.away = set()
    expect(page.locator("#banner")).to_be_hidden()


def test_a_silent_gateway_leaves_the_last_known_state_and_says_so(
    opened: Callable[..., Page], served: Served
) -> None:
    page = opened()

    served.stop()

    expect(page.locator("#mode-word")).to_have_text("Frozen", timeout=PATIENCE_MS)
    expect(page.locator("#link-word")).to_contain_text("silent for")
    expect(figure(page, "Delivered")).to_have_text("700")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone(opened: Callable[..., Page], scheme: str) -> None:
    page = opened(color_scheme=scheme, reduced_motion="reduce")

    page.set_viewport_size({"width": 390, "height": 844})

    page.wait_for_function("document.getElementById('legend').textContent.includes('28')")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert colours(page) > 50


def test_every_control_has_a_name_and_is_reached_by_tab(opened: Callable[..., Page]) -> None:
    page = opened()
    reached = []

    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.textContent.slice(0, 24)"
            )
        )

    assert reached[:3] == ["Skip to exceptions", "pause", "tab-map"]
    assert {"map", "zoom-in", "zoom-out", "zoom-all", "shards", "late"} <= set(reached)
    nameless = page.evaluate("""() => {
      const named = (e) => e.textContent.trim() || e.getAttribute("aria-label");
      return [...document.querySelectorAll("button, canvas, [role=region]")]
        .filter((e) => !named(e)).length;
    }""")
    assert nameless == 0


def test_a_used_link_tells_how_to_get_another(browser: Browser, served: Served) -> None:
    link = served.link()
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    context.clear_cookies()

    page.goto(link)

    expect(page.locator("h1")).to_have_text("This link does not work any more")
    expect(page.locator("code")).to_have_text("twin status --link")
    context.close()
