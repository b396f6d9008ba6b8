"""What a process does without, each seen in a process of its own."""

import subprocess
import sys

SETTLED = """
import gc, sys
import pyarrow as pa
from actors import lean

lean.settled()
assert gc.isenabled() and gc.get_freeze_count() > 10_000
assert pa.array([1, 2]).to_pylist() == [1, 2]
assert "pandas" not in sys.modules
"""

ASKED_FOR = """
frame = pa.table({"n": [1, 2]}).to_pandas()
assert "pandas" in sys.modules
import pandas
assert isinstance(frame, pandas.DataFrame) and frame.n.tolist() == [1, 2]
assert pa.Table.from_pandas(frame).column("n").to_pylist() == [1, 2]
assert pa.array(frame.n).to_pylist() == [1, 2]
"""

HERE_ALREADY = """
import sys
import pandas, pyarrow as pa
from actors import lean

before = list(sys.meta_path)
lean.without_pandas()
assert sys.meta_path == before
assert pa.array(pandas.Series([1.0, None])).null_count == 1
"""

FAILED = """
import gc
from actors import lean

try:
    with lean.loading():
        assert not gc.isenabled()
        raise LookupError
except LookupError:
    assert gc.isenabled()
"""


def test_arrays_are_made_without_pandas_which_whoever_asks_for_it_still_gets():
    _run(SETTLED + ASKED_FOR)


def test_pandas_that_is_there_already_stays_known():
    _run(HERE_ALREADY)


def test_garbage_is_collected_again_after_a_load_that_failed():
    _run(FAILED)


def _run(code):
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
