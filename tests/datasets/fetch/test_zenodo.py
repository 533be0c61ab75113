"""Listings of records in the forms that Zenodo's interface has had, and what is wrong with others."""

from __future__ import annotations

import json

import pytest

from datasets.fetch.zenodo import TAU_NIGENS_2020, Archive, choose_archives, parse_record
from runtime.errors import InputError

MD5 = {"a.zip": "0" * 31 + "a", "b.z01": "0" * 31 + "b"}
SIZES = {"a.zip": 10, "b.z01": 20}
EXPECTED = tuple(Archive(name, SIZES[name], MD5[name], f"https://host/{name}/content") for name in ("a.zip", "b.z01"))


def url(name: str) -> str:
    return f"https://host/{name}/content"


def entry(name: str, **changes: object) -> dict[str, object]:
    return {"key": name, "size": SIZES[name], "checksum": f"md5:{MD5[name]}", "links": {"self": url(name)}} | changes


def described(name: str) -> dict[str, object]:
    """An entry whose `self` is not the file."""
    return entry(name, links={"self": f"https://host/{name}", "content": url(name)})


def deposited(name: str) -> dict[str, object]:
    links = {"self": "https://host/1aab3fb6", "download": url(name)}
    return {"id": "1aab3fb6", "filename": name, "filesize": SIZES[name], "checksum": MD5[name], "links": links}


@pytest.mark.parametrize(
    "listing",
    [
        {"id": 1, "files": [entry("b.z01"), entry("a.zip")]},
        {"files": {"enabled": True, "count": 2, "entries": {name: described(name) for name in ("b.z01", "a.zip")}}},
        {"enabled": True, "entries": [described("a.zip"), described("b.z01")]},
        {"files": [deposited("a.zip"), deposited("b.z01")]},
    ],
    ids=["record", "record of InvenioRDM", "files of InvenioRDM", "deposition"],
)
def test_every_form_says_the_same(listing: object) -> None:
    assert parse_record(json.dumps(listing), "here") == EXPECTED


@pytest.mark.parametrize(
    "text", ["", "<html>", "[]", "{}", '{"files": []}', '{"files": {"enabled": false}}', "7", '"x"']
)
def test_what_is_no_listing_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_record(text, "here")
    assert caught.value.place == "here"
    assert TAU_NIGENS_2020 in caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"key": "../a.zip"}, "plain name"),
        ({"key": "/etc/passwd"}, "plain name"),
        ({"key": ".bashrc"}, "plain name"),
        ({"key": None}, "plain name"),
        ({"size": "10"}, "size"),
        ({"size": -1}, "size"),
        ({"size": True}, "size"),
        ({"checksum": "sha256:" + "0" * 64}, "MD5"),
        ({"checksum": None}, "MD5"),
        ({"links": {}}, "address"),
        ({"links": None}, "address"),
        ({"links": {"self": "file:///etc/passwd"}}, "address"),
        ({"key": "b.z01"}, "distinct names"),
    ],
)
def test_a_bad_entry_is_refused(changes: dict[str, object], rule: str) -> None:
    with pytest.raises(InputError, match=rule) as caught:
        parse_record(json.dumps({"files": [entry("b.z01"), entry("a.zip", **changes)]}), "here")
    assert caught.value.place.startswith("here")


def test_an_entry_that_is_no_description_is_refused() -> None:
    with pytest.raises(InputError, match="plain name"):
        parse_record('{"files": ["a.zip"]}', "here")


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ([], ["a.zip", "b.z01"]),
        (["*.zip"], ["a.zip"]),
        (["b.*", "a.*"], ["a.zip", "b.z01"]),
        (["b.z01", "b*"], ["b.z01"]),
    ],
)
def test_patterns_choose_files(patterns: list[str], names: list[str]) -> None:
    assert [archive.name for archive in choose_archives(EXPECTED, patterns)] == names


def test_a_pattern_that_fits_nothing_is_answered_with_what_there_is() -> None:
    with pytest.raises(InputError, match=r"a\.zip, b\.z01"):
        choose_archives(EXPECTED, ["a*", "c*"])
