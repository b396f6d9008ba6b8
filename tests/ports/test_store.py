"""The store port: what every store promises, a folder and a bucket alike."""

from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from actors import object_store
from actors.archive import Archive
from actors.disk import OsDisk
from actors.object_store import BucketStore, open_store
from actors.store import FolderStore
from tests.actors.archives import PLACE, archived
from tests.actors.shards import named, offer
from tests.ports.bucket_server import bucket_server
from tests.ports.sim_disk import Crash, SimOs
from twin.errors import Fenced


@pytest.fixture
def served(monkeypatch):
    """A bucket that is served over HTTP, and what the environment says of it."""
    with bucket_server() as server:
        monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("AWS_REGION", "none")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        yield server


@pytest.fixture(
    params=["folder", "simulated folder", "memory bucket", "local bucket", "served bucket"]
)
def store(request, tmp_path, rng):
    if request.param == "served bucket":
        request.getfixturevalue("served")
        return open_store("s3://bucket/prefix")
    if request.param == "folder":
        return open_store(f"file://{tmp_path}/not/there/yet")
    if request.param == "simulated folder":
        return FolderStore(OsDisk(SimOs(rng)), Path("/store"))
    if request.param == "memory bucket":
        return BucketStore("memory://", MemoryStore())
    return BucketStore(f"file://{tmp_path}", LocalStore(tmp_path))


def test_an_object_is_put_once_and_read_whole(store):
    assert store.create("a/b/one", b"first")
    assert not store.create("a/b/one", b"second")

    assert store.read("a/b/one") == b"first"


def test_names_are_those_right_in_a_place(store):
    store.create("a/b/one", b"1")
    store.create("a/b/two", b"2")
    store.create("a/b/c/three", b"3")
    store.create("a/bcd/four", b"4")

    assert {"one", "two"} <= set(store.names("a/b")) <= {"one", "two", "c"}
    assert store.names("nowhere") == []


def test_an_object_that_is_not_there_is_an_error_of_the_system(store):
    with pytest.raises(FileNotFoundError):
        store.read("a/nothing")


def test_an_object_can_be_taken_away_twice(store):
    store.create("a/one", b"1")

    store.remove("a/one")
    store.remove("a/one")

    assert store.names("a") == []
    assert store.create("a/one", b"another")


def test_an_empty_object_is_one(store):
    assert store.create("a/empty", b"")
    assert store.read("a/empty") == b""


def test_a_bucket_that_does_not_answer_is_an_error_of_the_system():
    bucket = BucketStore("http://127.0.0.1:9", _nobody())

    for act in (
        lambda: bucket.read("a"),
        lambda: bucket.create("a", b"x"),
        lambda: bucket.names("a"),
    ):
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            act()


def _nobody():
    from obstore.store import S3Store

    return S3Store(
        "bucket",
        endpoint="http://127.0.0.1:9",
        region="none",
        access_key_id="x",
        secret_access_key="x",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def test_what_was_put_outlives_a_power_cut_and_a_cut_put_is_not_there(rng):
    whole = cut = 0
    for left in range(30):
        system = SimOs(rng)
        store = FolderStore(OsDisk(system), Path("/store"))
        system.left = left
        put = False
        try:
            put = store.create("a/one", b"content")
        except Crash:
            cut += 1
        system.power_cut()

        names = FolderStore(OsDisk(system), Path("/store")).names("a")

        assert names in ([], ["one"])
        if put:
            whole += 1
            assert names == ["one"]
        if names:
            assert store.read("a/one") == b"content"
    assert whole > 3
    assert cut > 5


def test_an_address_whose_account_nobody_gave_is_an_error_of_the_system(monkeypatch):
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(OSError, match="az://container/prefix"):
        open_store("az://container/prefix")


def test_an_endpoint_of_ones_own_may_speak_plain_http(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "none")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setattr(object_store, "RETRIES", 0)

    with pytest.raises(OSError, match="s3://bucket/prefix") as away:
        open_store("s3://bucket/prefix").names("journal")

    assert "builder error" not in str(away.value), "it did not even try"


def test_a_served_bucket_is_asked_to_create_and_refuses_the_second(served):
    store = open_store("s3://bucket/prefix")

    assert store.create("a/one", b"first")
    assert not store.create("a/one", b"second")

    assert [asked for asked in served.asked if asked[0] == "PUT"] == [("PUT", 200), ("PUT", 412)]
    assert served.objects == {"prefix/a/one": b"first"}


def test_a_shard_is_archived_in_a_served_bucket_and_comes_home(served, tmp_path):
    archive = Archive(open_store("s3://bucket/twin"), PLACE)
    one, beside = archived(tmp_path / "disk", archive)
    offer(one, *named("a", "b", "c"))
    one.checkpoint()
    beside.step()

    again, _ = archived(tmp_path / "new", Archive(open_store("s3://bucket/twin"), PLACE), 2)

    assert again.digests() == one.digests()
    with pytest.raises(Fenced):
        beside.step()
