"""Who may ask over HTTP, the page, predictions and reports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from serving.access import issue_code
from tests.serving.http_surface import Surface, cookie_of


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "TOKEN_MISSING"),
        ({"authorization": "Basic dXNlcjpwYXNz"}, 401, "TOKEN_MISSING"),
        ({"authorization": "Bearer nonsense"}, 401, "TOKEN_INVALID"),
        ({"authorization": "Bearer " + "x" * 5000}, 431, "TOKEN_TOO_LARGE"),
    ],
)
def test_nothing_is_told_without_a_token(
    surface: Surface, headers: dict[str, str], status: int, code: str
) -> None:
    for path in ("/v1/status", "/v1/search", "/v1/live", "/v1/shipments/78000", "/v1/reports"):
        answer = surface.open(path, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("www-authenticate" in answer.headers) is (status == 401)


def test_a_token_for_another_region_or_scope_is_refused(surface: Surface) -> None:
    elsewhere = surface.ask("/v1/status", token=surface.token(region="west"))
    writer = surface.ask("/v1/status", token=surface.token("write"))

    assert (elsewhere.status_code, elsewhere.json()["code"]) == (401, "TOKEN_AUDIENCE")
    assert (writer.status_code, writer.json()["code"]) == (403, "SCOPE_MISSING")


def test_the_page_asks_for_a_link_when_nobody_is_known(surface: Surface) -> None:
    answer = surface.open("/")

    assert answer.status_code == 401
    assert "twin status --link" in answer.text


def test_a_link_works_once_and_leaves_a_strict_cookie(surface: Surface) -> None:
    code = issue_code(surface.folder)

    first = surface.open(f"/?code={code}")
    second = surface.open(f"/?code={code}")

    kept = first.headers["set-cookie"]
    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=900"} <= set(kept.split("; "))
    assert kept.startswith("twin-7400=")
    assert (second.status_code, "set-cookie" in second.headers) == (401, False)
    assert "does not work any more" in second.text


def test_the_cookie_opens_the_page_and_is_renewed_by_use(surface: Surface) -> None:
    kept = cookie_of(surface.open(f"/?code={issue_code(surface.folder)}"))

    page, status = surface.open("/", headers=kept), surface.open("/v1/status", headers=kept)

    assert "<canvas" in page.text
    assert status.status_code == 200
    renewed = cookie_of(status)
    assert surface.open("/v1/status", headers=renewed).status_code == 200


def test_a_cookie_changes_nothing_for_another_site(surface: Surface) -> None:
    kept = cookie_of(surface.open(f"/?code={issue_code(surface.folder)}"))

    for sent in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
        answer = surface.open("/v1/predict/eta", method="POST", headers=kept | sent, json={})

        assert (answer.status_code, answer.json()["code"]) == (403, "CROSS_SITE")


def test_every_answer_forbids_foreign_content(surface: Surface) -> None:
    for path in ("/", "/healthz", "/static/page.js", "/v1/status", "/nothing"):
        headers = surface.open(path).headers

        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_static_files_are_packed_and_known_by_their_tag(surface: Surface) -> None:
    plain = surface.open("/static/land.json", headers={"accept-encoding": "identity"})
    packed = surface.open("/static/land.json", headers={"accept-encoding": "gzip"})
    again = surface.open("/static/land.json", headers={"if-none-match": plain.headers["etag"]})

    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert (again.status_code, again.content) == (304, b"")


def test_predictions_are_passed_on_with_their_mode(tmp_path: Path) -> None:
    async def predict(body: dict[str, Any]) -> tuple[int, dict[str, Any], str]:
        return 200, {"id": body["id"], "answered_by": "lane table"}, "degraded"

    surface = Surface(tmp_path, predict=predict)

    answer = surface.ask("/v1/predict/eta", method="POST", json={"id": "78000"})

    assert answer.json() == {"id": "78000", "answered_by": "lane table"}
    assert answer.headers["twin-mode"] == "degraded"


def test_a_refused_prediction_is_a_problem_like_any_other(tmp_path: Path) -> None:
    async def predict(_: dict[str, Any]) -> tuple[int, dict[str, Any], str]:
        return 404, {"code": "ENTITY_NOT_FOUND", "detail": "no shipment has this id"}, "normal"

    answer = Surface(tmp_path, predict=predict).ask("/v1/predict/eta", method="POST", json={})

    assert (answer.status_code, answer.json()["code"]) == (404, "ENTITY_NOT_FOUND")
    assert answer.headers["content-type"] == "application/problem+json"


def test_without_models_a_prediction_is_refused_for_now(surface: Surface) -> None:
    answer = surface.ask("/v1/predict/eta", method="POST", json={"id": "78000"})

    assert (answer.status_code, answer.json()["code"]) == (503, "SERVE_UNAVAILABLE")
    assert answer.json()["retry_after"] > 0


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "MALFORMED"),
        (b"[1]", 400, "MALFORMED"),
        (b"{'id': 1}", 400, "MALFORMED"),
        (b'{"id": "\xff"}', 400, "MALFORMED"),
        (b'{"id": "1", "id": "2"}', 400, "DUPLICATE_FIELD"),
        (b'{"lat": NaN}', 400, "NOT_FINITE"),
        (b'{"lat": 1e999}', 400, "NOT_FINITE"),
        (b'{"n": ' + b"9" * 5000 + b"}", 400, "NUMBER_TOO_LONG"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "TOO_DEEP"),
        (b'{"a": ' + b"[" * 16 + b"]" * 16 + b"}", 400, "TOO_DEEP"),
        (b'{"a": ' + b"[" * 700 + b"]" * 700 + b"}", 400, "TOO_DEEP"),
        (b'{"a": "' + b"x" * (1 << 20) + b'"}', 413, "MESSAGE_TOO_LARGE"),
    ],
    ids=range(12),
)
def test_a_body_that_could_mean_two_things_is_refused(
    surface: Surface, body: bytes, status: int, code: str
) -> None:
    answer = surface.ask("/v1/predict/eta", method="POST", content=body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_reports_are_listed_newest_first_and_shown_in_a_sandbox(surface: Surface) -> None:
    reports = surface.folder / "reports"
    reports.mkdir()
    for at, name in enumerate(("old.html", "new.html", "raw.arrow", ".hidden.html")):
        (reports / name).write_text(f"<p>{name}")
        os.utime(reports / name, (at + 1, at + 1))
    (reports / "link.html").symlink_to(surface.folder / "key")

    told = surface.ask("/v1/reports").json()
    shown = surface.ask("/reports/new.html")
    linked = surface.ask("/reports/link.html")

    assert [one["name"] for one in told["reports"]] == ["new.html", "old.html"]
    assert (told["shown"], told["total"]) == (2, 2)
    assert shown.text == "<p>new.html"
    assert "sandbox" in shown.headers["content-security-policy"]
    assert linked.status_code == 404


def test_the_schema_names_every_address(surface: Surface) -> None:
    paths = surface.open("/v1/openapi.json").json()["paths"]

    assert {"/v1/status", "/v1/search", "/v1/live", "/v1/shipments/{id}"} <= set(paths)
