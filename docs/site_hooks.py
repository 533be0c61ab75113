"""Hooks of the documentation site: pages from the repository's root, and links that leave the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parent.parent
ROOT_PAGES: Final = {
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK: Final = re.compile(r"\[([^\]]+)\]\(([^)#:]+)((?:#[^)]*)?)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the repository's root, and the list of decisions."""
    for source, page in ROOT_PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        for other, target in ROOT_PAGES.items():
            text = text.replace(f"]({other})", f"]({target})")
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "decisions/index.md", content=list_decisions()))
    return files


def list_decisions() -> str:
    """Return a page that lists the decision records with their status."""
    lines = ["# Design decisions", "", "| record | status |", "|---|---|"]
    for path in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        heading, status = path.read_text(encoding="utf-8").split("\n", 3)[0:3:2]
        lines.append(f"| [{heading.removeprefix('# ')}]({path.name}) | {status} |")
    return "\n".join(lines) + "\n"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace links to files outside the site by the names of these files."""
    del config, files
    folder = (ROOT / "docs" / page.file.src_uri).parent

    def replace(link: re.Match[str]) -> str:
        inside = (folder / link[2]).resolve().is_relative_to(ROOT / "docs")
        return link[0] if inside and link[2].endswith((".md", ".png")) else f"`{link[1].strip('`')}`"

    return _LINK.sub(replace, markdown)
