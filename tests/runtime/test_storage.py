"""Where datasets lie: files are whole or not there, also where the disk is full or the bucket refuses."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.building import builder as build
from datasets.building.builder import Builder
from datasets.building.manifest import ShardEntry
from datasets.building.parts import Shard
from datasets.building.plan import WriteShard, missing_parts
from datasets.rooms.dataset import open_dataset
from runtime.errors import InputError
from runtime.storage import Storage, storage_at
from tests.datasets import bucket
from tests.datasets.bucket import Bucket
from tests.datasets.small import content, part_of, source

SECRET = "hunter2"


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with bucket.serving() as served:
        yield served


@pytest.fixture
def remote(server: Bucket) -> Bucket:
    """An account with one empty bucket."""
    server.objects.clear()
    server.refuses.clear()
    server.throttles = server.busy = 0
    server.asked.clear()
    server.buckets.add("sounds")
    return server


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path, remote: Bucket) -> Storage:
    return storage_at(str(tmp_path / "store") if request.param == "folder" else remote.uri("sounds/deep/down"))


def test_what_is_written_is_read_again(store: Storage) -> None:
    for name, written in (("part/a", b"first"), ("part/b", b""), ("c", np.random.default_rng(0).bytes(300_000))):
        assert (store.file_size(name), store.read_file(name)) == (None, None)
        store.write_file(name, written)
        assert (store.file_size(name), store.read_file(name)) == (len(written), written)
        assert store.compute_checksum(name) == hashlib.sha256(written).hexdigest()
    store.write_file("part/a", b"second")
    assert store.read_file("part/a") == b"second"
    assert store.file_size("part") is None  # a folder is no file


def test_a_store_survives_the_way_to_another_process(store: Storage) -> None:
    store.write_file("a", b"first")  # opens it
    again = pickle.loads(pickle.dumps(store))
    assert again == store
    assert again.read_file("a") == b"first"


def test_files_are_listed_and_removed(store: Storage) -> None:
    for name in ("a/one", "a/b/two", "ab/three"):
        store.write_file(name, name.encode())
    assert store.list_names("a") == ["a/b/two", "a/one"]
    assert store.list_names("nothing") == []
    for _ in range(2):
        store.delete_file("a/one")
    assert store.list_names("a") == ["a/b/two"]
    assert store.subtree("a").read_file("b/two") == b"a/b/two"


@pytest.mark.slow
def test_a_bucket_that_throttles_and_breaks_connections_is_waited_for(remote: Bucket) -> None:
    remote.throttles = 5
    store = storage_at(remote.uri("sounds"))
    large = np.random.default_rng(0).bytes(6_000_000)  # more than one request takes
    for number in range(10):
        store.write_file(f"{number}", large if number % 5 == 0 else b"small")
        assert store.compute_checksum(f"{number}") == hashlib.sha256(large if number % 5 == 0 else b"small").hexdigest()
    assert len(remote.asked) > 30


def test_a_bucket_is_tried_before_anything_begins(remote: Bucket) -> None:
    storage_at(remote.uri("sounds/deep")).require_open()
    assert [key for key in remote.objects if not key.endswith("/")] == []
    remote.refuses.add("PUT")
    with pytest.raises(InputError, match="open to these credentials") as caught:
        storage_at(remote.uri("sounds/deep").replace("SECRET", SECRET)).require_open()
    assert SECRET not in str(caught.value)


def test_a_bucket_that_throttles_a_few_requests_in_a_row_is_open(remote: Bucket) -> None:
    for busy in (1, 2, 3):
        remote.busy = busy
        storage_at(remote.uri("sounds/deep")).require_open()
        assert remote.busy == 0


def test_more_than_an_upload_s_part_arrives_whole(remote: Bucket) -> None:
    written = np.random.default_rng(0).bytes(11_000_000)
    store = storage_at(remote.uri("sounds"))
    store.write_file("large", written)
    assert remote.objects["sounds/large"] == written
    assert store.compute_checksum("large") == hashlib.sha256(written).hexdigest()


def test_only_a_local_store_has_paths(store: Storage, tmp_path: Path) -> None:
    if store.is_local:
        assert store.local_path("part/a") == tmp_path / "store" / "part" / "a"
    else:
        with pytest.raises(ValueError, match="not on this machine"):
            store.local_path("part/a")


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        (f"s3://me:{SECRET}@sounds/deep?region=x&scheme=http", "s3://sounds/deep"),
        ("s3://sounds/deep", "s3://sounds/deep"),
        ("runs/data@home?", "runs/data@home?"),
    ],
)
def test_a_store_is_shown_without_its_credentials(uri: str, name: str) -> None:
    assert storage_at(uri).name == name


@pytest.mark.slow  # pyarrow repeats each request for seconds
@pytest.mark.parametrize(
    ("method", "use"),
    [
        ("PUT", lambda store, _: store.write_file("new", b"content")),
        ("POST", lambda store, _: store.write_file("new", bytes(11_000_000))),
        ("HEAD", lambda store, _: store.file_size("old")),
        ("GET", lambda store, _: store.read_file("old")),
        ("GET", lambda store, _: store.compute_checksum("old")),
        ("GET", lambda store, to: store.fetch_verified("old", hashlib.sha256(b"content").hexdigest(), to)),
    ],
)
def test_a_bucket_that_refuses_is_named_without_the_key(remote: Bucket, tmp_path: Path, method: str, use: Any) -> None:
    remote.objects["sounds/old"] = b"content"
    store = storage_at(remote.uri("sounds").replace("SECRET", SECRET))
    remote.refuses.add(method)
    with pytest.raises(InputError, match="must exist and be open") as caught:
        use(store, tmp_path / "copy")
    assert caught.value.place == "s3://sounds"
    assert SECRET not in str(caught.value)
    assert "sounds/new" not in remote.objects
    assert not (tmp_path / "copy").exists()


def test_a_bucket_that_is_not_there_is_named(remote: Bucket) -> None:
    with pytest.raises(InputError, match="the bucket must exist") as caught:
        storage_at(remote.uri("sonds/deep")).write_file("a", b"content")
    assert caught.value.place == "s3://sonds/deep"


@pytest.mark.parametrize("uri", ["s3://", "nowhere://bucket/prefix", "s3://bucket/?no_such_option=1"])
def test_a_uri_that_is_none_is_named(uri: str) -> None:
    with pytest.raises(InputError, match="the bucket must exist") as caught:
        storage_at(uri).file_size("a")
    assert caught.value.place == storage_at(uri).name


def test_a_copy_is_made_once_and_only_of_what_was_written(remote: Bucket, tmp_path: Path) -> None:
    store, written = storage_at(remote.uri("sounds")), b"content"
    digest = hashlib.sha256(written).hexdigest()
    remote.objects["sounds/a"] = b"c0ntent"
    with pytest.raises(InputError, match="match its checksum") as caught:
        store.fetch_verified("a", digest, tmp_path / "copy")
    assert caught.value.place == "s3://sounds/a"
    assert [path.name for path in tmp_path.iterdir()] == [".copying.lock"]
    remote.objects["sounds/a"] = written
    for _ in range(2):
        store.fetch_verified("a", digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == written
    assert remote.asked.count(("GET", "sounds/a")) == 2  # the spoilt one and the whole one
    (tmp_path / "copy").write_bytes(b"cut")
    store.fetch_verified("a", digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == written


@pytest.mark.slow
def test_processes_of_one_machine_that_want_the_same_file_copy_it_once(remote: Bucket, tmp_path: Path) -> None:
    written = np.random.default_rng(0).bytes(3_000_000)
    remote.objects["sounds/a"] = written
    program = (
        "import sys; from pathlib import Path; from runtime.storage import storage_at\n"
        "storage_at(sys.argv[1]).fetch_verified('a', sys.argv[2], Path(sys.argv[3]))"
    )
    words = [remote.uri("sounds"), hashlib.sha256(written).hexdigest(), str(tmp_path / "cache" / "copy")]
    processes = [subprocess.Popen([sys.executable, "-c", program, *words]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert (tmp_path / "cache" / "copy").read_bytes() == written
    assert remote.asked.count(("GET", "sounds/a")) == 1  # pyarrow reads it in one request


@contextmanager
def full_disk(after: int) -> Iterator[None]:
    """Let files be written until so many bytes are, and no more."""
    written, write = 0, Path.write_bytes

    def until_full(path: Path, data: Any) -> int:
        nonlocal written
        fits = memoryview(data)[: max(0, after - written)]
        written += len(fits)
        write(path, fits)
        if len(fits) < len(memoryview(data)):
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(fits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", until_full)
        yield


def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(tmp_path: Path) -> None:
    store = storage_at(str(tmp_path))
    store.write_file("a", b"first")
    with full_disk(3), pytest.raises(InputError, match="free space for the dataset") as caught:
        store.write_file("a", b"second")
    assert caught.value.place == str(tmp_path / "a")
    assert "the same command continues" in caught.value.remedy
    assert content(tmp_path) == {"a": b"first"}


def test_one_builds_at_a_time_and_the_next_finds_what_is_there(tmp_path: Path) -> None:
    store, entered = storage_at(str(tmp_path / "data")), threading.Event()
    made: list[str] = []

    def over(factory: Callable[[], WriteShard], shards: Sequence[Shard]) -> Iterator[ShardEntry]:
        entered.set()
        made.extend(shard.name for shard in shards)
        return build.build_in_process(factory, shards)

    prepared = source()
    builders = [threading.Thread(target=Builder(store, over=over).build, args=(prepared,)) for _ in range(2)]
    with store.build_lock():
        for builder in builders:
            builder.start()
        assert not entered.wait(0.3)
    for builder in builders:
        builder.join()
    assert sorted(made) == sorted(shard.name for part in prepared.list_parts() for shard in part.list_shards())
    assert missing_parts(prepared, store) == ()


def test_a_build_that_waits_for_another_one_tells_which(tmp_path: Path) -> None:
    store, prepared, printed = storage_at(str(tmp_path / "data")), source(), list[str]()
    waits = threading.Event()

    def print_line(text: str) -> None:
        printed.append(text)
        waits.set()

    Builder(store, print_line=print_line).build(prepared)
    assert printed == []
    waiting = threading.Thread(target=Builder(store, print_line=print_line).build, args=(prepared,))
    with store.build_lock("room-1234"):
        waiting.start()
        assert waits.wait(10)
        holder = f"process {os.getpid()} on {platform.node()}, which is building room-1234"
        assert printed == [f"data     {prepared.fingerprint}: waiting for {holder} in {tmp_path / 'data'}"]
    waiting.join()
    assert "continuing" in printed[1]
    assert len(printed) == 2


def assert_all_whole(root: Path) -> None:
    """Every file under a final name is what its checksum says, and nothing else lies about."""
    for path in root.rglob("*"):
        if path.suffix == ".arrow":
            written = path.with_name(f"{path.name}.sha256").read_text().split()[0]
            assert hashlib.sha256(path.read_bytes()).hexdigest() == written
        elif path.suffix == ".sha256":
            assert path.stat().st_size == 64 + 2 + len("00000.arrow") + 1
        else:
            assert path.is_dir() or path.name == "manifest.json"


@pytest.mark.usefixtures("small_shards")
def test_a_build_that_fills_the_disk_goes_on_when_there_is_room(template: Path, tmp_path: Path) -> None:
    with full_disk(2_500_000), pytest.raises(InputError, match="free space for the dataset"):
        Builder(storage_at(str(tmp_path))).build(source())
    assert 0 < len(list(tmp_path.rglob("*.arrow"))) < len(list(template.rglob("*.arrow")))
    assert_all_whole(tmp_path)
    Builder(storage_at(str(tmp_path))).build(source())
    assert content(tmp_path) == content(template)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        refused = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    except FileNotFoundError:
        refused = "there is no mount"
    if refused:
        pytest.skip(f"a file system cannot be mounted here: {refused.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # music may still be mapped into memory


@pytest.mark.usefixtures("small_shards")
def test_a_disk_that_is_really_full_is_answered_too(template: Path, small_disk: Path) -> None:
    with pytest.raises(InputError, match="free space for the dataset") as caught:
        Builder(storage_at(str(small_disk))).build(source())
    assert caught.value.place.startswith(str(small_disk))
    assert_all_whole(small_disk)
    subprocess.run(["mount", "-o", "remount,size=32m", str(small_disk)], check=True)
    Builder(storage_at(str(small_disk))).build(source())
    assert content(small_disk) == content(template)


@pytest.mark.usefixtures("small_shards")
def test_a_dataset_in_a_bucket_is_built_mended_and_read_like_a_local_one(
    remote: Bucket, template: Path, tmp_path: Path
) -> None:
    store, cache, prepared = storage_at(remote.uri("sounds/data")), tmp_path / "cache", source()
    builder = Builder(store, cache=cache)
    assert builder.build(prepared) == ()
    assert remote.under("sounds/data") == content(template)
    assert missing_parts(prepared, store) == ()

    names = [part_of(name).list_shards()[0].name for name in ("music", "validate")]
    lost = part_of("S1").list_shards()[0].name
    for name in names:
        remote.objects[f"sounds/data/{name}"] = remote.objects[f"sounds/data/{name}"][:-9] + b"\0" * 9
    del remote.objects[f"sounds/data/{lost}"]
    assert missing_parts(prepared, store) == (part_of("S1"),)
    with pytest.raises(InputError, match="match its checksum"):
        open_dataset(prepared, store, tmp_path / "other")
    assert builder.build(prepared, verify=True) == tuple(sorted([*names, lost]))
    assert remote.under("sounds/data") == content(template)

    local = open_dataset(prepared, storage_at(str(template)), template)
    copied = open_dataset(prepared, store, cache)
    for split in prepared.spec.resolve_splits():
        rows = np.arange(len(local.open_split(split)))[::-1].copy()
        one, other = local.open_split(split).read_batch(rows), copied.open_split(split).read_batch(rows)
        assert one.waves.equal(other.waves)
        assert one.counts.equal(other.counts)
        np.testing.assert_array_equal(one.positions_m, other.positions_m)
    asked = len(remote.asked)
    open_dataset(prepared, store, cache)
    assert remote.asked[asked:] == []  # a warm cache asks for nothing at all
