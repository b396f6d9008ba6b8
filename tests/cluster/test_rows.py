"""Rows of every format: each line is accounted for, and batches say what the file says."""

import bz2
import csv
import gzip
import io
import json
import random
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.rows import SIZE, File, source
from cluster.unpacked import STEP
from twin.errors import BadRequest


def opened(path, size=SIZE, **options):
    return File(source(path, **options), lambda _: True, size)


def read(path, **options):
    """Return (line, cells) of every row of a file, and what was parked."""
    file = opened(path, **options)
    good, parked = [], []
    for batch in file.batches():
        cells = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        good += zip(batch.lines.tolist(), cells, strict=True)
        parked += batch.parked
    return file.header, good, [(p.line, p.reason, p.value) for p in parked]


@pytest.fixture
def of(tmp_path):
    def make(content, name="rows.csv", **options):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read(path, **options)

    return make


def test_cells_are_trimmed_and_empty_ones_are_absent(of):
    header, good, parked = of('\ufeff id , name\n1,  x \n2,\n3,"  "\n')

    assert header == ["id", "name"]
    assert good == [(2, ("1", "x")), (3, ("2", None)), (4, ("3", None))]
    assert parked == []


def test_each_row_knows_its_line_across_breaks_in_cells_empty_lines_and_bad_rows(of):
    text = 'id,name\n1,"a\nb\nc"\n\n2,x\n3\n4,"y"\n5,6,7\n8,"""q"""\n9,5" pipe\n'

    _, good, parked = of(text)

    assert good == [
        (4, ("1", "a\nb\nc")),
        (6, ("2", "x")),
        (8, ("4", "y")),
        (10, ("8", '"q"')),
        (11, ("9", '5" pipe')),
    ]
    assert parked == [
        (7, "ROW_MALFORMED", "1 cells, not 2"),
        (9, "ROW_MALFORMED", "3 cells, not 2"),
    ]


def test_a_bad_row_at_the_end_is_parked_too(of):
    _, good, parked = of("id,name\n1,x\n2\n3\n")

    assert [line for line, _ in good] == [2]
    assert [line for line, *_ in parked] == [3, 4]


def test_bytes_that_are_no_text_park_their_row_and_no_other(of):
    _, good, parked = of(b"id,name\n1,\xc3\xa9\n2,\xff\n3,x\n")

    assert [cells for _, cells in good] == [("1", "é"), ("3", "x")]
    assert parked == [(3, "ROW_MALFORMED", "bytes that are no UTF-8")]


def test_another_delimiter_and_another_encoding_can_be_said(of):
    assert of("id;name\n1;x,y\n", delimiter=";")[1] == [(2, ("1", "x,y"))]
    assert of("id\tname\n1\tx\n", "rows.tsv")[1] == [(2, ("1", "x"))]
    assert of("id,name\n1,Côte\n".encode("latin-1"), encoding="latin-1")[1] == [(2, ("1", "Côte"))]


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("rows.csv.gz", gzip.compress),
        ("rows.csv.bz2", bz2.compress),
        ("rows.csv.zst", lambda raw: pa.Codec("zstd").compress(raw, asbytes=True)),
    ],
)
def test_a_packed_file_is_unpacked_by_its_name(of, name, pack):
    assert of(pack(b"id,name\n1,x\n"), name)[1] == [(2, ("1", "x"))]


def test_lines_of_json_are_rows_and_a_field_may_be_missing_or_come_late(of):
    lines = [{"id": 1}, {"id": "2", "name": "x"}, {"name": None, "id": 3.5}, {"id": True}]
    text = "\n".join(map(json.dumps, lines)) + "\n\nno json\n[1]\n"

    path_header, good, parked = of(text, "rows.jsonl")

    assert path_header == ["id"]
    assert good == [(1, ("1",)), (2, ("2",)), (3, ("3.5",)), (4, ("true",))]
    assert [(line, why) for line, why, _ in parked] == [(6, "ROW_MALFORMED"), (7, "ROW_MALFORMED")]


def test_json_is_searched_until_every_column_that_is_wanted_was_seen(tmp_path):
    path = tmp_path / "rows.ndjson"
    path.write_text('{"id": 1}\n{"id": 2, "name": "x"}\n{"id": 3, "more": 1}\n')

    file = File(source(path), lambda names: "name" in names)

    assert file.header == ["id", "name"]


def test_parquet_keeps_its_types_and_counts_rows_from_1(tmp_path):
    path = tmp_path / "rows.parquet"
    moments = pa.array([1, 2], pa.timestamp("ms", "Europe/Paris"))
    days = pa.array([0, 1], pa.date32())
    table = pa.table(
        {
            "id": ["a", None],
            "n": pa.array([1, 2], pa.int32()),
            "x": [0.5, None],
            "yes": [True, False],
            "at": moments,
            "day": days,
            "word": pa.array(["p", "q"]).dictionary_encode(),
        }
    )
    pq.write_table(table, path)

    header, good, _ = read(path)

    assert header == table.column_names
    assert good == [
        (1, ("a", 1, 0.5, True, 1000, "1970-01-01", "p")),
        (2, (None, 2, None, False, 2000, "1970-01-02", "q")),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", b""),
        ("rows.csv", b"\n\n"),
        ("rows.csv.gz", gzip.compress(b"id,at\n" * 9999, mtime=0)[:60]),
        ("rows.csv.gz", b"no gzip"),
        ("rows.csv.zst", b"no zst"),
        ("rows.parquet", b"PAR1 no parquet"),
        ("rows.jsonl", b""),
        ("rows.csv", b"id,id\n1,2\n"),
        ("none.csv", None),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, name, content):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(BadRequest) as caught:
        read(path)

    assert caught.value.code == "FILE_UNREADABLE"


def test_rows_can_be_skipped_whatever_became_of_them(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("id,name\n" + "".join(f"{n},x\n" if n % 4 else f"{n}\n" for n in range(20)))

    for skip in range(21):
        behind = list(opened(path, 3).batches(skip))
        lines = sorted(
            [line for b in behind for line in b.lines.tolist()]
            + [p.line for b in behind for p in b.parked]
        )
        assert lines == list(range(2 + skip, 22))


cell = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6)


@given(st.lists(st.tuples(cell, cell), max_size=20), st.integers(1, 7))
def test_a_csv_is_read_as_python_reads_it(tmp_path_factory, pairs, size):
    path = tmp_path_factory.getbasetemp() / "property.csv"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b"), *pairs])
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    reader = csv.reader(io.StringIO(text.getvalue(), newline=""))
    next(reader)
    expected = [
        (reader.line_num, tuple(c.strip() or None for c in cells))
        for cells in reader
        if any(c.strip() for c in cells)
    ]

    _, good, parked = read(path, size=size)

    assert [line for line, _ in good] == [line for line, _ in expected]
    assert parked == []


CELLS = ["plain", "", '"in, quotes"', '"two\nlines"', '"a ""word"" \n"', '5" pipe', '"\n,\n"']


def table(seed, rows):
    """Return a CSV whose cells take every turn, and what a whole file of it says."""
    draw = random.Random(seed)
    return "id,name\n" + "".join(f"{n},{draw.choice(CELLS)}\n" for n in range(rows))


def damaged(path, size=SIZE, **options):
    """Return the rows that came before the damage."""
    file, good = opened(path, size, **options), []
    batches = file.batches()

    def all_of_them():
        for batch in batches:
            cells = (column.to_pylist() for column in batch.columns)
            good.extend(zip(batch.lines.tolist(), *cells, strict=True))

    with pytest.raises(BadRequest) as caught:
        all_of_them()
    assert caught.value.code == "FILE_UNREADABLE"
    return good


@settings(max_examples=40)
@given(st.integers(0, 9), st.integers(1, 400), st.floats(0.05, 0.95), st.integers(1, 50))
def test_what_is_whole_before_the_damage_is_read_and_no_row_in_part(
    tmp_path_factory, seed, rows, share, size
):
    folder, text = tmp_path_factory.getbasetemp(), table(seed, rows)
    packed = gzip.compress(text.encode(), 1)
    cut = packed[: int(len(packed) * share)]
    (folder / "whole.csv").write_text(text, newline="")
    (folder / "cut.csv.gz").write_bytes(cut)
    unpacked = zlib.decompressobj(31).decompress(cut)
    _, whole, _ = read(folder / "whole.csv")
    due = [
        row for row in whole if len("\n".join(text.split("\n")[: row[0]])) < len(unpacked) - STEP
    ]

    try:
        good = damaged(folder / "cut.csv.gz", size)
    except BadRequest:  # not so much as its header is there
        good = []

    flat = [(line, *cells) for line, cells in whole]
    assert good == flat[: len(good)]
    assert len(good) >= len(due)


@pytest.mark.parametrize(
    ("end", "pack"),
    [
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".zst", lambda raw: pa.Codec("zstd").compress(raw, asbytes=True)),
    ],
)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_packed_file_that_ends_too_soon_gives_every_batch_before(tmp_path, end, pack, form):
    draw = random.Random(7)
    names = [f"{draw.getrandbits(128):x}" for _ in range(60_000)]
    lines = {
        "csv": ["id,name", *(f"{n},{name}" for n, name in enumerate(names))],
        "jsonl": [json.dumps({"id": n, "name": name}) for n, name in enumerate(names)],
    }[form]
    path = tmp_path / f"rows.{form}{end}"
    packed = pack("".join(f"{line}\n" for line in lines).encode())
    path.write_bytes(packed[: len(packed) * 2 // 3])

    good = damaged(path)

    assert [name for *_, name in good] == names[: len(good)]
    assert len(good) > 20_000


def test_a_row_that_never_ends_is_damage_and_what_came_before_is_read(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('id,name\n1,x\n2,y\n3,"' + "z" * (3 << 20))

    assert [line for line, *_ in damaged(path)] == [2, 3]


def test_bytes_that_are_not_of_the_encoding_are_damage_and_what_came_before_is_read(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("id,name\n1,x\n2,y\n".encode("utf-16") + b"\x00\xd8\x00\x00")

    good = damaged(path, encoding="utf-16")

    assert [line for line, *_ in good] == [2, 3]
