"""The page's files: small, self-contained, legible in both colour schemes."""

from __future__ import annotations

import gzip
import re
from importlib import resources

import pytest

FILES = {one.name: one for one in resources.files("serving").joinpath("static").iterdir()}
TEXTS = ("--text", "--dim", "--link", "--go", "--ok", "--warn", "--bad", "--warm")


def schemes() -> dict[str, dict[str, str]]:
    css = FILES["page.css"].read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = re.compile(r"(--[\w-]+): (#[0-9a-f]{6})")
    return {"light": dict(colours.findall(light)), "dark": dict(colours.findall(dark))}


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance and contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        line = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * line[0] + 0.7152 * line[1] + 0.0722 * line[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("text", TEXTS)
def test_every_text_colour_keeps_its_contrast(scheme: str, text: str) -> None:
    colours = schemes()[scheme]

    for ground in ("--panel", "--raised", "--ground", "--sea"):
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_banner_and_a_chosen_row_are_legible(scheme: str) -> None:
    colours = schemes()[scheme]

    assert contrast(colours["--warn"], colours["--warn-ground"]) >= 4.5
    assert contrast(colours["--bad"], colours["--bad-ground"]) >= 4.5
    for text in TEXTS:
        assert contrast(colours[text], colours["--select"]) >= 4.5, text


def test_the_page_is_small() -> None:
    packed = {name: len(gzip.compress(one.read_bytes())) for name, one in FILES.items()}

    assert sum(packed.values()) < 60_000, packed


def test_the_page_names_no_other_host_and_has_nothing_inline() -> None:
    for name, one in FILES.items():
        text = one.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")

        assert not re.search(r"https?://|//cdn|@import|@font-face", text), name
        if name.endswith(".html"):
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text), name


def test_the_outline_of_the_land_needs_no_network() -> None:
    assert len(FILES["land.json"].read_bytes()) < 62_000
