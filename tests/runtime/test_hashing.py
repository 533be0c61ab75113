"""Digests stay what they are: folders of datasets are named after them. The figures are coreutils' sha256sum's."""

from __future__ import annotations

from pathlib import Path

from runtime import hashing


def test_a_file_has_the_digest_that_sha256sum_says(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("abc")
    assert hashing.hash_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_values_have_the_digest_of_their_json_in_order_of_keys() -> None:
    assert hashing.hash_values([1, {"b": "ö", "a": 2.5}]) == "468f768fb1ab8cfc"
    assert hashing.hash_values([1, {"a": 2.5, "b": "ö"}]) == "468f768fb1ab8cfc"
