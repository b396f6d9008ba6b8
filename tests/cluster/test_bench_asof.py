"""bench asof, tiny: a real shard in Ray whose every answer about the past is held to the stream."""

import numpy as np
import pytest

from cluster.bench import asof, peer_history
from cluster.bench.figures import Asked


@pytest.mark.ray
def test_every_answer_about_the_past_is_right(tmp_path, ray_session, monkeypatch):
    monkeypatch.setattr(peer_history, "postgres_folder", lambda: None)  # as on most machines
    notes = []
    asked = Asked("", 0.05, 2, 5000, 500, tmp_path, lambda text: None, notes.append)

    found = {figure.case: figure.line() for figure in asof.run(asked)}

    assert list(found) == [
        "asof-one-5k",
        "asof-one-5k-p99",
        "asof-table-5k",
        "asof-table-event-5k",
    ]
    assert all(len(line["runs"]) == 2 for line in found.values())
    assert any(note.startswith("peer postgresql: ") for note in notes)


def test_what_decides_follows_from_the_numbers_alone():
    life = asof.Life(50, 6)
    every = np.arange(life.size)
    keys, times = life.key(every), life.time(every)

    assert len(set(times.tolist())) == life.size
    for known, at in ((life.size, 2**62), (170, 2**62), (life.size, int(np.median(times)))):
        for key in range(life.twins):
            mine = every[(keys == key) & (every < known) & (times <= at)]
            best = int(mine[times[mine].argmax()]) if mine.size else -1
            assert life.decided(np.array([key]), known, at)[0] == best
