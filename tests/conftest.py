"""What every test may use: hypothesis with printed seeds, and the one Ray of a run."""

import os
import random
import secrets
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from cluster.haproxy_environment import environment as serve_environment

# With `-n 2` a worker inherits what its controller set for itself: each has a Ray of its own.
has_own = "PYTEST_XDIST_WORKER" in os.environ
keep = os.environ.__setitem__ if has_own else os.environ.setdefault
# Read when Ray is first imported, so set before any test module is.
RAY_HOME = Path(tempfile.gettempdir()) / f"twt-{secrets.token_hex(3)}"  # short: sockets lie in it
keep("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
keep("RAY_USAGE_STATS_ENABLED", "0")
keep("RAY_AUTH_MODE", "token")
keep("RAY_AUTH_TOKEN_PATH", str(RAY_HOME / "ray_token"))
keep("RAY_TMPDIR", str(RAY_HOME))
SERVE_HOME = Path(tempfile.mkdtemp(prefix="tws-"))
for name, value in serve_environment(SERVE_HOME, 21_000 + secrets.randbelow(5000)).items():
    keep(name, value)

TWINS = ("test_serve.py", "test_drill_kill.py", "test_sql_process.py", "test_bench_cases.py")

settings.register_profile("quick", max_examples=50, deadline=None, print_blob=True)
settings.register_profile("slow", max_examples=2000, deadline=None, print_blob=True)


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, default=None, help="of the random histories; printed")


def pytest_configure(config):
    settings.load_profile("quick")
    if config.option.seed is None:
        config.option.seed = secrets.randbelow(2**32)


class Scheduling(LoadScopeScheduling):
    """Keeps together on one worker what shares a fixture: a file, and all whole twins and Rays."""

    def _split_scope(self, nodeid):
        path = nodeid.split("::")[0]
        return "twins" if _is_whole(path) else path


def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)


def pytest_collection_modifyitems(items):
    """Begin with whole twins: they take one worker for as long as all others take the other."""
    items.sort(key=lambda item: not _is_whole(item.nodeid.split("::")[0]))


def _is_whole(path):
    return path.startswith("tests/system/") or path.endswith(TWINS)


def pytest_unconfigure():
    shutil.rmtree(SERVE_HOME, ignore_errors=True)


def pytest_report_header(config):
    return f"random histories: --seed {config.option.seed}"


@pytest.fixture
def seed(request):
    """Return the seed of this run, which the header names."""
    return request.config.option.seed


@pytest.fixture
def rng(seed):
    """Return random numbers that `--seed` gives again."""
    return random.Random(seed)


@pytest.fixture(scope="session")
def ray_session():
    """Start the one Ray of this test run, on loopback, with a token and a folder of its own."""
    import ray

    RAY_HOME.mkdir(mode=0o700)
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    ray.init(
        address="local",
        namespace="twin",
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=str(RAY_HOME),
    )
    yield ray
    ray.shutdown()
    shutil.rmtree(RAY_HOME, ignore_errors=True)
