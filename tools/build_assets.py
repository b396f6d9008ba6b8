"""How cluster/assets and serving/static/land.json were made from the public originals.

A place gets a position only from a published list: UN/LOCODE, else the World Port Index, else the
airport of the same code in Natural Earth. Whatever no list can place stays without one.

    python tools/build_assets.py --scms scms.csv.gz --unlocode unlocode.csv.gz \
        --ports world_port_index.csv.gz --airports ne_10m_airports.geojson \
        --land ne_110m_land.geojson
"""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SOURCES = ("UN/LOCODE", "World Port Index", "Natural Earth 1:10m airports")
# Where the deliveries of each country are taken to: its main port, or a landlocked one's capital.
_DESTINATIONS = """
AOLAD BIBJM BJCOO BWGBE BZBZE CDFIH CIABJ CMDLA DOSDQ ETADD GHTEM GNCKY GTGUA GYGEO HTPAP KEMBA
KGFRU KZALA LBBEY LRMLW LSMSU LYTIP MLBKO MWLLW MZMPM NAWVB NGLOS PKKHI RWKGL SDPZU SLFNA SNDKR
SSJUB SZEZU TZDAR UGKLA VNSGN ZADUR ZMLUN ZWHRE
"""
DESTINATIONS = tuple(_DESTINATIONS.split())
# Cities of the programme's three regional warehouses; the rows do not say which one sent a line.
DEPOTS = ("GHACC", "KENBO", "ZAJNB")
# Manufacturing sites whose text names a town that a list has a position for.
TOWNS = {
    "ABBVIE Ludwigshafen Germany": "DELUH",
    "Aspen-OSD, Port Elizabeth, SA": "ZAPLZ",
    "BMS Evansville, US": "USEVV",
    "BMS Meymac, France": "FRMEM",
    "Cipla, Goa, India": "INMRM",
    "Emcure Plot No.P-2, I.T-B.T. Park, Phase II, MIDC, Hinjwadi, Pune, India": "INPNQ",
    "GSK Cape Town Factory (South Africa)": "ZACPT",
    "GSK Mississauga (Canada)": "CAMIS",
    "Guilin OSD site, No 17, China": "CNGUI",
    "Hetero Unit III Hyderabad IN": "INHYD",
    "Ipca Dadra/Nagar Haveli IN": "INDAD",
    "KHB Test Kit Facility, Shanghai China": "CNSGH",
    "MSD Manati, Puerto Rico, (USA)": "PRMAN",
    "MSD Midrand, J'burg, SA": "ZAMRD",
    "MSD South Granville Australia": "AUGRN",
    "Medopharm Malur Factory, INDIA": "INMLR",
    "Micro Labs, Hosur, India": "INHSU",
    "Micro labs, Verna, Goa, India": "INVER",
    "Mylan (formerly Matrix) Nashik": "INISK",
    "Remedica, Limassol, Cyprus": "CYLMS",
    "Roche Basel": "CHBBS",
    "Roche Madrid": "ESMAD",
    "ABBVIE (Abbott) St. P'burg USA": "USPIE",
    "Strides, Bangalore, India.": "INBLR",
}
# Texts that name only a country, or a town without a published position: a gateway near by.
GATEWAYS = {
    "INBOM": """Aurobindo Unit III, India|Aurobindo Unit VII, IN|Ranbaxy, Paonta Shahib, India
        |Cipla, Kurkumbh, India|Hetero, Jadcherla, unit 5, IN|Premier Med. Corp Ltd. India
        |Cipla, Patalganga, India|Cipla Ltd A-42 MIDC Mahar. IN|Macleods Daman Plant INDIA
        |Micro Labs Ltd. (Brown & Burk), India|Meditab (for Cipla) Daman IN""",
    "JPTYO": "Inverness Japan|ABBVIE (Abbott) Japan Co. Ltd.",
    "KRINC": "Standard Diagnostics, Korea",
    "THBKK": "Pacific Biotech, Thailand",
    "GBLON": "ABBVIE (Abbott) Logis. UK|GSK Ware (UK)|GSK Crawley|OMEGA Diagnostics, UK",
    "GBMME": "GSK Barnard Castle UK",
    "NLAMS": "MSD, Haarlem, NL",
    "DEFRA": "ABBVIE GmbH & Co.KG Wiesbaden|BI, Ingelheim, Germany",
    "DEBER": "Gilead(Nycomed) Oranienburg DE",
    "FRLEH": "ABBVIE (Abbott) France",
    "ITROM": "Bristol-Myers Squibb Anagni IT|Janssen-Cilag, Latina, IT",
    "ESBUR": "GSK Aranda",
    "GRPIR": "Boehringer Ing., Koropi, GR",
    "USNYC": """MSD Elkton USA|Orasure Technologies, Inc USA|Inverness USA
        |Novartis Pharma Suffern, USA|Boehringer Ingelheim Roxane US|EY Laboratories, USA""",
    "USUGN": "ABBVIE Labs North Chicago US",
    "PRSJU": "Janssen Ortho LLC, Puerto Rico",
    "CAMTR": "MSD Patheon, Canada",
    "CHBBS": "Novartis Pharma AG, Switzerland",
    "PLGDN": "GSK, U1, Poznan, Poland",
    "CYLMS": "Medochemie Factory A, CY",
    "NOOSL": "Weifa A.S., Hausmanngt. 6, P.O. Box 9113 GrÃ¸nland, 0133, Oslo, Norway",
}


def main(argv: list[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__)
    for name in ("scms", "unlocode", "ports", "airports", "land"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--assets", type=Path, default=ROOT / "cluster" / "assets")
    parser.add_argument("--map", type=Path, default=ROOT / "serving" / "static" / "land.json")
    args = parser.parse_args(argv)
    args.assets.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(args.scms, args.assets / "scms.csv.gz")
    origins = origin_places()
    names: dict[str, str] = {}
    for row in _rows(args.unlocode):
        names.setdefault(row["country"] + row["location"], row["nameWoDiacritics"])
    lists = [locodes(args.unlocode), ports(args.ports), airports(args.airports)]
    _write(args.assets / "places.csv", PLACE, places(origins, names, lists))
    _write(args.assets / "origins.csv", ("origin", "place"), sorted(origins.items()))
    args.map.write_text(json.dumps(land(args.land), separators=(",", ":")) + "\n")


PLACE = ("id", "name", "country", "function", "lat", "lon", "source")
STEP = 0.5  # degrees; a coast in finer steps than this cannot be seen on a map of the world
Spots = dict[str, tuple[str, float, float]]  # code -> name, latitude, longitude (degrees)


def origin_places() -> dict[str, str]:
    """Return text of a manufacturing site -> code of its town or gateway."""
    found = dict(TOWNS)
    for code, texts in GATEWAYS.items():
        found |= {" ".join(text.split()): code for text in texts.split("|")}
    return found


def places(
    origins: dict[str, str], names: dict[str, str], lists: list[Spots]
) -> list[tuple[object, ...]]:
    """Return one row per place, in the columns of PLACE. Raises KeyError if no list has it."""
    function = dict.fromkeys(GATEWAYS, "gateway") | dict.fromkeys(TOWNS.values(), "origin")
    function |= dict.fromkeys(DEPOTS, "depot") | dict.fromkeys(DESTINATIONS, "destination")
    rows: list[tuple[object, ...]] = []
    for code in sorted({*DESTINATIONS, *DEPOTS, *origins.values()}):
        at = next((i for i, spots in enumerate(lists) if code in spots), None)
        if at is None:
            raise KeyError(f"{code}: no list has a position for it")
        _, lat, lon = lists[at][code]
        row = (
            code,
            names[code],
            code[:2],
            function[code],
            round(lat, 3),
            round(lon, 3),
            SOURCES[at],
        )
        rows.append(row)
    return rows


def locodes(path: Path) -> Spots:
    spots: Spots = {}
    for row in _rows(path):
        if row["lat"]:
            spots.setdefault(
                row["country"] + row["location"],
                (row["nameWoDiacritics"], float(row["lat"]), float(row["lon"])),
            )
    return spots


def ports(path: Path) -> Spots:
    return {
        row["UN/LOCODE"].replace(" ", ""): (
            row["Main Port Name"],
            float(row["Latitude"]),
            float(row["Longitude"]),
        )
        for row in _rows(path)
    }


def airports(path: Path) -> Spots:
    """Return airports under each country's code that we need: Natural Earth knows only IATA."""
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    known = {f["properties"]["iata_code"]: f for f in features}
    own = {"UGKLA": "EBB"}  # a city whose airport has another code than the city
    spots: Spots = {}
    for code in (*DESTINATIONS, *DEPOTS, *origin_places().values()):
        feature: dict[str, Any] | None = known.get(own.get(code, code[2:]))
        if feature:
            lon, lat = feature["geometry"]["coordinates"]
            spots[code] = (feature["properties"]["name"], lat, lon)
    return spots


def land(path: Path) -> dict[str, object]:
    """Return the world's land as closed rings of [lon, lat], degrees to one decimal.

    The original is cut at the antimeridian already: no edge spans more than half the world but
    those that run along the map's lower border.
    """
    rings = []
    for feature in json.loads(path.read_text(encoding="utf-8"))["features"]:
        for ring in feature["geometry"]["coordinates"]:
            points: list[tuple[float, float]] = []
            for lon, lat in ring:
                point = (_tenth(lon), _tenth(lat))
                if (
                    not points
                    or abs(point[0] - points[-1][0]) + abs(point[1] - points[-1][1]) > STEP
                ):
                    points.append(point)
            points[-1:] = [points[0]]
            if len(points) >= 4:
                rings.append(points)
    for ring in rings:
        for (a, south), (b, north) in zip(ring, ring[1:], strict=False):
            if abs(a - b) > 180 and max(south, north) > -80:
                sys.exit(f"an edge crosses the antimeridian: {a} to {b} at {south}")
    return {"source": "Natural Earth 1:110m land, public domain", "rings": rings}


def _tenth(degrees: float) -> float:
    """Return degrees to one decimal, without a needless .0: the file is sent to every visitor."""
    near = round(degrees, 1)
    return int(near) if near == int(near) else near


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def _write(path: Path, header: tuple[str, ...], rows: list[Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
