"""A search's files, in a folder and in a bucket: whole or not there, and only the bucket's count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.errors import InputError
from runtime.files import require_writable
from search.results import SearchFolder
from tests.datasets import bucket
from tests.datasets.bucket import Bucket


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with bucket.serving() as served:
        served.buckets.add("results")
        yield served


@pytest.fixture(params=["folder", "bucket"])
def where(request: pytest.FixtureRequest, tmp_path: Path, server: Bucket) -> str:
    server.objects.clear()
    return str(tmp_path / "runs") if request.param == "folder" else server.uri("results/deep")


@pytest.fixture
def folder(where: str, tmp_path: Path) -> SearchFolder:
    return SearchFolder.from_storage(where, "toy", str(tmp_path / "cache"))


def write(folder: SearchFolder, path: Path, content: bytes) -> None:
    with folder.write_file(path) as temporary:
        temporary.write_bytes(content)


def test_what_one_machine_writes_another_reads_as_it_is_now(folder: SearchFolder, where: str, tmp_path: Path) -> None:
    other = SearchFolder.from_storage(where, "toy", str(tmp_path / "another"))
    assert not other.has_file(other.model_path(7))
    assert not other.fetch_file(other.model_path(7)).exists()
    for content in (b"first", b"again"):
        write(folder, folder.model_path(7), content)
        assert other.has_file(other.model_path(7))
        assert other.fetch_file(other.model_path(7)).read_bytes() == content
    folder.remove_file(folder.model_path(7))
    assert not other.has_file(other.model_path(7))
    assert not other.fetch_file(other.model_path(7)).exists()  # a copy from before would be another trial's


def test_a_process_that_fails_while_it_writes_changes_nothing(folder: SearchFolder) -> None:
    write(folder, folder.model_path(0), b"whole")

    def fail() -> None:
        with folder.write_file(folder.model_path(0)) as temporary:
            temporary.write_bytes(b"ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert folder.fetch_file(folder.model_path(0)).read_bytes() == b"whole"
    assert list(folder.trial_path(0).glob(".*.part")) == []


def test_a_search_set_aside_keeps_its_files_and_its_study(folder: SearchFolder) -> None:
    names = []
    for content in (b"first", b"second"):
        folder.write_identity({"epochs": 3})
        folder.write_identity({"epochs": 3})  # as every launch does
        names.append(folder.study_name())
        write(folder, folder.checkpoint_path(0), content)
        printed = folder.archive_search()
        assert printed.endswith(f"toy.old{len(names)}")
        assert not folder.is_started()
        assert not folder.has_file(folder.checkpoint_path(0))
    assert len(set(names)) == 2
    for number, content in ((1, b"first"), (2, b"second")):
        old = SearchFolder(folder.storage, f"toy.old{number}", folder.bucket)
        assert old.study_name() == names[number - 1]
        assert old.fetch_file(old.checkpoint_path(0)).read_bytes() == content


def test_the_same_bucket_on_two_servers_has_two_folders_for_copies(tmp_path: Path) -> None:
    uris = ["s3://b/p", "s3://b/p?endpoint_override=here", "s3://k:s@b/p?endpoint_override=here"]
    folders = [SearchFolder.from_storage(uri, "toy", str(tmp_path)).storage for uri in uris]
    assert len(set(folders)) == 3
    assert all(folder.parent == tmp_path for folder in folders)


def test_a_file_is_shown_where_a_person_finds_it(tmp_path: Path) -> None:
    local = SearchFolder.from_storage(str(tmp_path), "toy")
    assert local.display_path(local.model_path(3)) == str(
        tmp_path / "searches" / "toy" / "trials" / "0003" / "model.pt"
    )
    far = SearchFolder.from_storage("s3://key:secret@b/p?region=x", "toy", str(tmp_path))
    assert far.display_path(far.model_path(3)) == "s3://b/p/searches/toy/trials/0003/model.pt"


def test_a_bucket_that_is_closed_is_named(server: Bucket, tmp_path: Path) -> None:
    folder = SearchFolder.from_storage(server.uri("elsewhere"), "toy", str(tmp_path))
    with pytest.raises(InputError, match="the bucket must exist"):
        write(folder, folder.model_path(0), b"content")


@pytest.mark.parametrize("name", ["loop", "gone", "gone/below"])
@pytest.mark.parametrize("option", ["--storage", "--datasets"])
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, name: str, option: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to("/mnt/unplugged disk")
    with pytest.raises(InputError, match=f"{option}(.|\n)*{name.partition('/')[0]} → "):
        require_writable(str(tmp_path / name), option)
