"""Clocks: the wall clock, the replay clock, and what a restart does to it."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cluster import clock
from cluster.clock import Clock, Replay
from cluster.host import SIM_START_US

DAY_US = 86_400_000_000


def test_without_a_file_now_is_the_wall_clock(tmp_path: Path) -> None:
    before = clock.wall_us()

    now = Clock(tmp_path).now_us()

    assert before <= now <= clock.wall_us()
    assert Clock(tmp_path).mode == "wall"


def test_a_replay_runs_at_its_speed_from_its_start() -> None:
    replay = Replay(wall_start_us=1_000_000, sim_start_us=SIM_START_US, speed=21_600.0)

    assert replay.at(1_000_000) == SIM_START_US
    assert replay.at(5_000_000) == SIM_START_US + DAY_US
    assert replay.at(0) == SIM_START_US


def test_a_clock_notices_when_a_replay_begins(tmp_path: Path) -> None:
    held = Clock(tmp_path)
    assert held.mode == "wall"

    clock.start(tmp_path, SIM_START_US, 60.0)

    assert (held.mode, held.speed) == ("replay", 60.0)
    assert SIM_START_US <= held.now_us() < SIM_START_US + DAY_US


def test_a_restart_goes_on_from_the_last_time_written_down(tmp_path: Path) -> None:
    week = 7 * DAY_US
    long_ago = Replay(wall_start_us=0, sim_start_us=0, speed=1.0, sim_last_us=week)
    clock._write(tmp_path, long_ago)  # a replay that stopped, by the wall, decades ago

    assert clock.resume(tmp_path, speed=2.0)

    found = clock.read(tmp_path)
    assert found is not None
    assert (found.sim_start_us, found.speed) == (week, 2.0)
    assert week <= Clock(tmp_path).now_us() < week + DAY_US


def test_there_is_nothing_to_resume_without_a_replay(tmp_path: Path) -> None:
    assert not clock.resume(tmp_path)
    clock.note(tmp_path)
    assert clock.read(tmp_path) is None


@given(
    start=st.integers(0, 2**50),
    speed=st.floats(0.01, 1e6),
    walls=st.lists(st.integers(0, 2**50), min_size=2),
)
def test_a_replay_never_runs_backwards(start: int, speed: float, walls: list[int]) -> None:
    replay = Replay(wall_start_us=2**40, sim_start_us=start, speed=speed)

    times = [replay.at(wall) for wall in sorted(walls)]

    assert times == sorted(times)
    assert times[0] >= start


def test_noting_the_time_does_not_move_it(tmp_path: Path) -> None:
    clock.start(tmp_path, SIM_START_US, 60.0)
    before = clock.read(tmp_path)

    clock.note(tmp_path)

    after = clock.read(tmp_path)
    assert before is not None
    assert after is not None
    assert after.at(10**18) == before.at(10**18)
    assert after.sim_last_us >= SIM_START_US


def test_the_replay_starts_where_the_loaded_history_ends() -> None:
    from cluster.world.load import START_US

    assert START_US == SIM_START_US
