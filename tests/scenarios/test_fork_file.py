"""A fork on disk: the same fork when it comes back, or refused."""

import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios import fork_file
from tests.scenarios.forks import delivered, forked, shipment
from twin.errors import BadRequest

STATE = forked(shipment("a"), delivered("b", 2), aggregators=("depot",))
texts = st.text(max_size=12)


@settings(deadline=None)
@given(st.lists(st.tuples(texts, texts, st.integers(-100, 100)), max_size=6))
def test_a_saved_fork_comes_back_as_it_was(tmp_path_factory, facts):
    file = tmp_path_factory.mktemp("forks") / "state.npz"
    rows = [shipment(f"{i}", p, supplier=s, mode=m) for i, (s, m, p) in enumerate(facts)]
    state = forked(*rows, offsets={"shipment/east/0": 7})

    fork_file.save(state, file)
    back = fork_file.load(file)

    assert back.name == state.name
    assert back.columns["supplier"].tolist() == state.columns["supplier"].tolist()
    assert dict(back.offsets) == {"shipment/east/0": 7}


def test_a_kept_fork_is_found_by_the_first_digits_of_its_name(tmp_path):
    fork_file.keep(STATE, tmp_path)

    assert fork_file.find(STATE.name[:4], tmp_path).name == STATE.name
    assert fork_file.find(STATE.name, tmp_path).aggregators == {"depot"}


@pytest.mark.parametrize("name", ["zzzz", "", STATE.name[:3], "../etc"])
def test_a_name_of_no_fork_or_too_short_a_one_is_refused(tmp_path, name):
    fork_file.keep(STATE, tmp_path)

    with pytest.raises(BadRequest, match=STATE.name) as raised:
        fork_file.find(name, tmp_path)

    assert raised.value.code == "SNAPSHOT_UNKNOWN"


def test_only_the_latest_forks_are_kept(tmp_path):
    states = [forked(shipment("a", i)) for i in range(5)]
    for number, state in enumerate(states):
        file = fork_file.keep(state, tmp_path, kept=3)
        os.utime(file, (number, number))

    fork_file.keep(states[4], tmp_path, kept=3)

    assert {file.stem for file in tmp_path.glob("*.npz")} == {state.name for state in states[2:]}


def test_a_file_that_was_altered_is_refused(tmp_path):
    file = tmp_path / "state.npz"
    fork_file.save(STATE, file)
    with np.load(file) as held:
        arrays = dict(held)
    arrays["shipment.promised_at"] = arrays["shipment.promised_at"] + 1
    np.savez_compressed(file, **arrays)

    with pytest.raises(BadRequest, match="not what it was saved with") as raised:
        fork_file.load(file)

    assert raised.value.code == "SNAPSHOT_INVALID"


def test_a_file_with_pickled_objects_is_refused_without_reading_them(tmp_path):
    file = tmp_path / "state.npz"
    fork_file.save(STATE, file)
    with np.load(file) as held:
        arrays = dict(held)
    arrays["shipment.promised_at"] = np.array([{"not": "a number"}, 2], object)
    np.savez(file, **arrays)

    with pytest.raises(BadRequest, match="it is no fork"):
        fork_file.load(file)


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04 not a zip", b"name = 'a scenario'"])
def test_a_file_that_is_no_fork_is_refused(tmp_path, raw):
    file = tmp_path / "state.npz"
    file.write_bytes(raw)

    with pytest.raises(BadRequest, match="it is no fork"):
        fork_file.load(file)


def test_a_file_that_unpacks_into_too_much_is_refused(tmp_path):
    file = tmp_path / "state.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("head.json.npy", b"0" * 2_000_000)

    with pytest.raises(BadRequest, match="unpacks into more"):
        fork_file.load(file, largest=1_000_000)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(BadRequest, match="there is no snapshot file") as raised:
        fork_file.load(tmp_path / "none.npz")

    assert raised.value.code == "SNAPSHOT_UNKNOWN"
