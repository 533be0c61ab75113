"""A page as a browser's parser sees it."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from datasets.preview.__main__ import main

EMPTY = {"meta", "br", "img", "input", "link", "hr"}


class Page(HTMLParser):
    """Tags with their attributes, text, and what is not closed."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.written = written
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(written)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def sounds(self) -> list[tuple[NDArray[Any], int]]:
        """Samples and rate of every player, in steps of 16 bits, shape (samples, channels)."""
        found = []
        for player in self.all("audio"):
            kind, _, data = str(player["src"]).partition(",")
            assert kind == "data:audio/wav;base64"
            found.append(soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="int16", always_2d=True))
        return found


def preview(spec: Path, storage: Path, *words: str) -> Page:
    assert main([str(spec), "--storage", str(storage), *words]) == 0
    return Page((storage / "previews" / f"{spec.stem}.html").read_text(encoding="utf-8"))


def played(wave: NDArray[Any]) -> NDArray[Any]:
    """What a player should hold of sound at a peak of 0.7, in steps of 16 bits."""
    return np.asarray(wave * (0.7 / np.abs(wave).max()) * 32_767)
