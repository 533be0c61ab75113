"""The command from a listing to unpacked folders, with a server on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from datasets.fetch import __main__ as fetch
from datasets.fetch.download import HttpOptions
from datasets.fetch.unpack import PackedArchive, group_archives, unpack_archive
from datasets.fetch.zenodo import Archive
from tests.datasets.fetch.server import nobody, serving

QUICK = HttpOptions((0.0,), 10.0, lambda _: None)


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/") + ".csv", text)
    return buffer.getvalue()


FILES = {
    "metadata_dev.zip": zipped(metadata_dev__fold1_room1_mix001_ov1="0,0,0,0,0\n"),
    "metadata_eval.zip": zipped(mix001="1,0,0,0,0\n"),
    "foa_dev.z01": b"first half",
    "foa_dev.zip": b"second half",
    "README.md": b"read me",
}


def listing(url: str, files: dict[str, bytes] = FILES) -> str:
    entries = [
        {"key": name, "size": len(data), "checksum": f"md5:{md5(data)}", "links": {"self": f"{url}/{name}"}}
        for name, data in files.items()
    ]
    return json.dumps({"files": entries})


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def run(folder: Path, *words: str, files: dict[str, bytes] = FILES, **settings: object) -> tuple[int, list[str]]:
    """Exit status, and what the server was asked for besides the listing."""
    with serving(files={f"/{name}": data for name, data in files.items()}, **settings) as server:
        server.files["/record"] = listing(server.url, files).encode()
        status = fetch.main(["--record", f"{server.url}/record", "--to", str(folder), *words], QUICK)
        return status, [path[1:] for path, _ in server.asked[1:]]


@pytest.fixture(autouse=True)
def without_7z(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)


def test_everything_is_fetched_and_unpacked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "tau"
    status, asked = run(folder)
    assert (status, sorted(asked)) == (0, sorted(FILES))
    for name, content in FILES.items():
        assert (folder / name).read_bytes() == content
    assert (folder / "metadata_dev" / "fold1_room1_mix001_ov1.csv").read_text() == "0,0,0,0,0\n"
    assert (folder / "metadata_eval" / "mix001.csv").read_text() == "1,0,0,0,0\n"
    said = capsys.readouterr().out
    assert "unpacked metadata_dev" in said
    assert f"zip -s 0 {folder / 'foa_dev.zip'}" in said
    assert not list(folder.rglob("*.part"))


def test_a_second_run_asks_for_nothing_but_the_listing(tmp_path: Path) -> None:
    run(tmp_path)
    label = tmp_path / "metadata_dev" / "fold1_room1_mix001_ov1.csv"
    label.write_text("corrected by hand")
    assert run(tmp_path) == (0, [])
    assert label.read_text() == "corrected by hand"


def test_a_new_version_of_an_archive_is_unpacked_again(tmp_path: Path) -> None:
    run(tmp_path, "--only", "metadata_dev.zip")
    newer = FILES | {"metadata_dev.zip": zipped(metadata_dev__fold1_room1_mix001_ov1="9,0,0,0,0\n")}
    assert run(tmp_path, "--only", "metadata_dev.zip", files=newer) == (0, ["metadata_dev.zip"])
    assert (tmp_path / "metadata_dev" / "fold1_room1_mix001_ov1.csv").read_text() == "9,0,0,0,0\n"


def test_only_what_fits_is_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--only", "README*", "--only", "foa_dev.zip") == (0, ["README.md", "foa_dev.zip"])
    assert "foa_dev is not unpacked: foa_dev.z01 has not been downloaded" in capsys.readouterr().out


def test_a_list_downloads_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "new", "--list") == (0, [])
    assert not (tmp_path / "new").exists()
    said = capsys.readouterr().out
    assert all(f"{name} " in said and md5(content) in said for name, content in FILES.items())


def test_a_listing_can_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    with serving(files={"/README.md": FILES["README.md"]}) as server:
        path.write_text(listing(server.url))
        assert fetch.main(["--record", str(path), "--to", str(tmp_path), "--only", "README.md"], QUICK) == 0
    assert (tmp_path / "README.md").read_bytes() == b"read me"


def test_a_split_archive_is_given_to_7z(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "7z"
    tool.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\n')
    tool.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(tool) if name == "7z" else None)
    folder = tmp_path / "tau"
    assert run(folder, "--only", "foa_dev.*")[0] == 0
    assert (tmp_path / "said").read_text().split() == ["x", "-y", f"-o{folder}", str(folder / "foa_dev.zip")]
    (tmp_path / "said").unlink()
    assert run(folder, "--only", "foa_dev.*") == (0, [])
    assert not (tmp_path / "said").exists()


def test_what_7z_complains_of_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = tmp_path / "7z"
    tool.write_text("#!/bin/sh\necho 'ERROR: Data Error' >&2\nexit 2\n")
    tool.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(tool))
    assert run(tmp_path, "--only", "foa_dev.*")[0] == 2
    assert "ERROR: Data Error" in capsys.readouterr().err
    assert not (tmp_path / ".foa_dev.unpacked").exists()


def test_a_spoilt_archive_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"metadata_dev.zip": FILES["metadata_dev.zip"][:50]}
    assert run(tmp_path, files=files)[0] == 2
    assert f"error: {tmp_path / 'metadata_dev.zip'}\n" in capsys.readouterr().err


def test_no_name_in_an_archive_leads_out_of_the_folder(tmp_path: Path) -> None:
    files = {"a.zip": zipped(**{"..__..__outside": "gone", "a__inside": "here"})}
    folder = tmp_path / "deep" / "down"
    assert run(folder, files=files)[0] == 0
    assert not list(tmp_path.glob("*outside*"))
    assert (folder / "a" / "inside.csv").is_file()


def test_a_full_disk_is_answered_before_anything_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 52}))
    files = {"a.z01": b"x" * 10, "a.zip": b"x" * 10, "README.md": b"x" * 3}
    assert run(tmp_path, files=files) == (2, [])  # 23 to fetch, 30 to unpack
    assert "needs 53 B free" in capsys.readouterr().err
    (tmp_path / "a.z01.part").write_bytes(b"x" * 2)
    assert run(tmp_path, files=files)[0] == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--only", "nothing*"],
        ["--ony", "x"],
        ["--record", "no-such-file.json"],
        ["--record", __file__],
    ],
)
def test_mistakes_are_answered_without_a_traceback(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "new", *words) == (2, [])
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "new").exists()


def test_a_target_that_is_no_folder_is_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file") == (2, [])
    assert capsys.readouterr().err.startswith("error: --to\n")


def test_no_network_is_answered_with_a_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.main(["--record", nobody(), "--to", str(tmp_path)], QUICK) == 2
    assert "check the network" in capsys.readouterr().err


def test_parts_are_put_in_order_and_other_files_left_out() -> None:
    names = ["foa_dev.zip", "foa_dev.z02", "mic_dev.z01", "README.md", "foa_dev.z01", "metadata_dev.zip"]
    packed = group_archives(Archive(name, 1, "0" * 32, "") for name in names)
    assert {one.stem: [part.name for part in one.parts] for one in packed} == {
        "foa_dev": ["foa_dev.z01", "foa_dev.z02", "foa_dev.zip"],
        "metadata_dev": ["metadata_dev.zip"],
    }


ZIP, UNZIP = shutil.which("zip"), shutil.which("unzip")


@pytest.mark.skipif(not (ZIP and UNZIP), reason="needs zip and unzip")
def test_the_command_offered_for_a_split_archive_unpacks_it(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(100_000)
    (tmp_path / "from" / "foa_dev").mkdir(parents=True)
    (tmp_path / "from" / "foa_dev" / "a.wav").write_bytes(content)
    folder = tmp_path / "to it"
    folder.mkdir()
    words = ["zip", "-q", "-r", "-s", "64k", str(folder / "foa_dev.zip"), "foa_dev"]
    subprocess.run(words, cwd=tmp_path / "from", check=True, env=os.environ)
    parts = tuple(Archive(name, 0, "0" * 32, "") for name in ("foa_dev.z01", "foa_dev.zip"))
    assert all((folder / part.name).is_file() for part in parts)
    offered = unpack_archive(PackedArchive("foa_dev", parts), folder)
    assert offered is not None
    subprocess.run(offered, shell=True, check=True, capture_output=True)
    assert (folder / "foa_dev" / "a.wav").read_bytes() == content
    assert not (folder / "foa_dev_joined.zip").exists()
