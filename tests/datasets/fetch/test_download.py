"""Downloads from servers that break off, ignore what they are asked, lie, or are not there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from datasets.fetch.download import HttpOptions, download_archive, is_verified, read_text
from datasets.fetch.zenodo import Archive
from runtime.errors import InputError
from tests.datasets.fetch.server import Server, nobody, serving

CONTENT = np.random.default_rng(0).bytes(300_000)
PATH = "/foa_dev.zip"


class Naps(list[float]):
    """A sleep that only notes for how long."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def archive(server: Server | str, content: bytes = CONTENT) -> Archive:
    url = server if isinstance(server, str) else server.url
    return Archive("foa_dev.zip", len(content), hashlib.md5(content).hexdigest(), url + PATH)


def network(naps: Naps | None = None) -> HttpOptions:
    return HttpOptions((1.0, 2.0, 4.0), 10.0, naps if naps is not None else Naps())


def part(folder: Path) -> Path:
    return folder / "foa_dev.zip.part"


def test_a_file_arrives_whole_and_without_a_part_left_over(tmp_path: Path) -> None:
    seen: list[int] = []
    with serving(files={PATH: CONTENT}) as server:
        path = download_archive(archive(server), tmp_path, network(), lambda _, have: seen.append(have))
    assert path == tmp_path / "foa_dev.zip"
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in tmp_path.iterdir()] == ["foa_dev.zip"]
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)
    assert server.asked == [(PATH, None)]


@pytest.mark.parametrize("resets", [False, True])
def test_what_breaks_off_is_continued_from_its_last_byte(tmp_path: Path, resets: bool) -> None:
    naps = Naps()
    with serving(files={PATH: CONTENT}, cuts=[100_000, 50_000, 1], resets=resets) as server:
        assert download_archive(archive(server), tmp_path, network(naps)).read_bytes() == CONTENT
    starts = [0 if given is None else int(given[6:-1]) for _, given in server.asked]
    if not resets:  # a reset may throw away what was on its way
        assert starts == [0, 100_000, 150_000, 150_001]
        assert naps == [1.0, 1.0, 1.0]  # each try brought something
    assert starts == sorted(starts)
    assert server.asked[0] == (PATH, None)


def test_a_part_from_an_earlier_run_is_continued(tmp_path: Path) -> None:
    part(tmp_path).write_bytes(CONTENT[:200_000])
    with serving(files={PATH: CONTENT}) as server:
        assert download_archive(archive(server), tmp_path, network()).read_bytes() == CONTENT
    assert server.asked == [(PATH, "bytes=200000-")]


def test_a_whole_part_only_has_to_be_checked(tmp_path: Path) -> None:
    part(tmp_path).write_bytes(CONTENT)
    assert download_archive(archive(nobody()), tmp_path, network()).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_given_up(tmp_path: Path) -> None:
    part(tmp_path).write_bytes(CONTENT + b"more")
    with serving(files={PATH: CONTENT}, wrong={0}) as server:  # the part does not count as the first of two tries
        assert download_archive(archive(server), tmp_path, network()).read_bytes() == CONTENT


def test_where_range_is_ignored_the_file_comes_anew(tmp_path: Path) -> None:
    part(tmp_path).write_bytes(b"x" * 1_000)
    with serving(files={PATH: CONTENT}, ignores_range=True, cuts=[200_000]) as server:
        assert download_archive(archive(server), tmp_path, network()).read_bytes() == CONTENT
    assert [given for _, given in server.asked] == ["bytes=1000-", "bytes=200000-"]


def test_a_part_other_than_asked_for_is_not_appended(tmp_path: Path) -> None:
    part(tmp_path).write_bytes(CONTENT[:1_000])
    with serving(files={PATH: CONTENT}, shift=7) as server:
        assert download_archive(archive(server), tmp_path, network()).read_bytes() == CONTENT
    assert [given for _, given in server.asked] == ["bytes=1000-", None]


def test_a_server_that_always_breaks_off_at_the_same_place_is_given_up_in_the_end(tmp_path: Path) -> None:
    naps = Naps()
    with serving(files={PATH: CONTENT}, ignores_range=True, cuts=[1_000] * 9) as server:
        with pytest.raises(InputError) as caught:
            download_archive(archive(server), tmp_path, network(naps))
        assert caught.value.place == server.url + PATH
    assert len(server.asked) == 4
    assert naps == [1.0, 2.0, 4.0]


def test_what_is_whole_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "foa_dev.zip").write_bytes(CONTENT)
    assert download_archive(archive(nobody()), tmp_path, network()).read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1], b"\0" + CONTENT[1:]])
def test_a_file_that_is_not_whole_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "foa_dev.zip").write_bytes(content)
    with serving(files={PATH: CONTENT}) as server:
        assert download_archive(archive(server), tmp_path, network()).read_bytes() == CONTENT


def test_a_wrong_byte_costs_a_second_download(tmp_path: Path) -> None:
    with serving(files={PATH: CONTENT}, wrong={0}) as server:
        assert download_archive(archive(server), tmp_path, network()).read_bytes() == CONTENT
    assert server.asked == [(PATH, None)] * 2


def test_a_wrong_part_from_an_earlier_run_costs_a_second_download(tmp_path: Path) -> None:
    part(tmp_path).write_bytes(b"x" * 1_000)
    with serving(files={PATH: CONTENT}) as server:
        assert download_archive(archive(server), tmp_path, network()).read_bytes() == CONTENT
    assert server.asked == [(PATH, "bytes=1000-"), (PATH, None)]


def test_a_file_that_stays_wrong_is_named_and_not_kept(tmp_path: Path) -> None:
    with serving(files={PATH: CONTENT}, wrong={0, 1}) as server, pytest.raises(InputError) as caught:
        download_archive(archive(server), tmp_path, network())
    assert "MD5" in caught.value.rule
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [CONTENT[:-9], CONTENT + b"more", b"<html>Log in to the hotel's network</html>"])
def test_a_file_of_another_size_is_answered_at_once(tmp_path: Path, content: bytes) -> None:
    naps = Naps()
    with serving(files={PATH: content}) as server, pytest.raises(InputError) as caught:
        download_archive(archive(server), tmp_path, network(naps))
    assert "300000 bytes" in caught.value.rule
    assert caught.value.value == f"{len(content)} bytes"
    assert naps == []


def test_a_server_that_is_down_is_tried_patiently_and_then_named(tmp_path: Path) -> None:
    naps, url = Naps(), nobody()
    with pytest.raises(InputError) as caught:
        download_archive(archive(url), tmp_path, network(naps))
    assert naps == [1.0, 2.0, 4.0]
    assert caught.value.place == url + PATH
    assert "run the same command again" in caught.value.remedy


def test_a_busy_server_is_asked_again_when_it_says(tmp_path: Path) -> None:
    naps = Naps()
    with serving(files={PATH: CONTENT}, statuses=[(429, "30"), (503, "0"), (500, "soon")]) as server:
        assert download_archive(archive(server), tmp_path, network(naps)).read_bytes() == CONTENT
    assert naps == [30.0, 2.0, 4.0]


def test_a_refusal_is_answered_at_once(tmp_path: Path) -> None:
    naps = Naps()
    with serving(files={}) as server, pytest.raises(InputError) as caught:
        download_archive(archive(server), tmp_path, network(naps))
    assert "404" in str(caught.value.value)
    assert naps == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_full_disk_is_not_taken_for_a_broken_network(tmp_path: Path) -> None:
    part(tmp_path).symlink_to("/dev/full")
    with serving(files={PATH: CONTENT}) as server, pytest.raises(InputError) as caught:
        download_archive(archive(server), tmp_path, network())
    assert caught.value.place == str(part(tmp_path))
    assert "No space" in str(caught.value.value)


def test_a_listing_is_read_and_a_missing_network_is_said_soon() -> None:
    naps = Naps()
    with serving(files={"/record": "größe".encode()}, statuses=[(502, "")]) as server:
        assert read_text(server.url + "/record", network(naps)) == "größe"
    with pytest.raises(InputError, match="reachable"):
        read_text(nobody(), network(naps))
    assert naps == [1.0, 1.0, 2.0]


@pytest.mark.parametrize("url", ["http://[", "http://a b", "nonsense"])
def test_what_is_no_address_is_said_at_once(url: str) -> None:
    naps = Naps()
    with pytest.raises(InputError, match="address"):
        read_text(url, network(naps))
    assert naps == []


def test_whole_means_size_and_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert not is_verified(path, archive(""))
    path.write_bytes(CONTENT)
    assert is_verified(path, archive(""))
    assert not is_verified(path, archive("", CONTENT[:-1] + b"?"))
