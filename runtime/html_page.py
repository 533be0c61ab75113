"""Self-contained HTML pages: no external resources, and all plain text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, NewType

COLOURS: Final = ("#3d85c6", "#d9782d", "#3f9a5a", "#9a6bc0", "#cc4f4f", "#2f9c9c", "#b08a2e", "#d060a0")
"""Colours of lines and marks with sufficient contrast on both light and dark pages."""

Markup = NewType("Markup", str)
"""HTML that is safe to insert into a page; plain text is converted by `escape_text`."""


@dataclass(frozen=True)
class DataTable:
    """Table with a header.

    Attributes:
        header: Names of the columns.
        rows: Cells as plain text, the first of which is the heading of its row.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class PageExtras:
    """Additions to a document.

    Attributes:
        head: Elements of the head.
        style: Style sheet, after the common one.
        top: Elements before the title.
        scripts: Elements at the end.
    """

    head: Markup = Markup("")
    style: str = ""
    top: Markup = Markup("")
    scripts: Markup = Markup("")


@dataclass(frozen=True)
class Section:
    """A section of a page, listed in its table of contents.

    Attributes:
        anchor: HTML id, unique within the page.
        title: Heading, as plain text.
        body: Content below the heading.
    """

    anchor: str
    title: str
    body: Markup


def escape_text(plain: object) -> Markup:
    """Escape plain text."""
    return Markup(escape(str(plain)))


def join_markup(parts: Iterable[Markup]) -> Markup:
    """Concatenate markup, separated by line breaks."""
    return Markup("\n".join(parts))


def make_paragraph(plain: str, css_class: str = "") -> Markup:
    """Return a paragraph of plain text with an optional CSS class."""
    return Markup(f'<p class="{escape(css_class)}">{escape(plain)}</p>' if css_class else f"<p>{escape(plain)}</p>")


def make_heading(plain: str) -> Markup:
    """Return a heading within a section."""
    return Markup(f"<h3>{escape(plain)}</h3>")


def make_table(rows: Iterable[tuple[str, str]]) -> Markup:
    """Return a table of names and values, given as plain text."""
    lines = (f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    return Markup(f'<div class="scroll"><table>{"".join(lines)}</table></div>')


def make_data_table(table: DataTable, css_class: str = "data") -> Markup:
    """Return a table with a header, which scrolls by keyboard too where it is wider than the window."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
    rows = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in table.rows
    )
    return Markup(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.header[0] or "table")}">'
        f'<table class="{escape(css_class)}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def make_figure(figure: Markup, caption: str, *, wide: bool = False) -> Markup:
    """Return a figure with a plain-text caption; a wide figure scrolls in a narrow window instead of shrinking."""
    attributes = ' class="wide"' if wide else ""
    return Markup(f"<figure{attributes}>{figure}<figcaption>{escape(caption)}</figcaption></figure>")


def make_grid(parts: Iterable[Markup], css_class: str = "") -> Markup:
    """Return elements arranged side by side where the window is wide enough, with an optional further CSS class."""
    return Markup(f'<div class="{escape(f"grid {css_class}".strip())}">{join_markup(parts)}</div>')


def make_card(title: str, parts: Iterable[Markup]) -> Markup:
    """Return a box with a plain-text title."""
    return Markup(f'<article class="card"><h4>{escape(title)}</h4>{join_markup(parts)}</article>')


def make_audio(content: bytes, label: str) -> Markup:
    """Return an audio player.

    Args:
        content: Content of a WAV file.
        label: Description of the sound, as plain text.
    """
    data = base64.b64encode(content).decode()
    return Markup(
        f'<div class="player"><audio controls preload="metadata" aria-label="{escape(label)}" '
        f'src="data:audio/wav;base64,{data}"></audio><span>{escape(label)}</span></div>'
    )


def make_document(
    title: str,
    lead: str,
    notices: Sequence[str],
    facts: Markup,
    sections: Sequence[Section],
    extras: PageExtras = PageExtras(),  # immutable
) -> str:
    """Return the complete HTML document.

    Args:
        title: Title of the page, as plain text.
        lead: Introductory sentence, as plain text.
        notices: Restrictions to be shown first, as plain text; the first one introduces the others.
        facts: Table of the key figures.
        sections: Sections in their order on the page.
        extras: Additions of the kind of page.
    """
    contents = "".join(f'<li><a href="#{escape(s.anchor)}">{escape(s.title)}</a></li>' for s in sections)
    parts = "".join(
        f'<section id="{escape(s.anchor)}"><h2>{escape(s.title)}</h2>{s.body}</section>\n' for s in sections
    )
    noted = "".join(f"<li>{escape(notice)}</li>" for notice in notices[1:])
    noted = f"<ul>{noted}</ul>" if noted else ""
    noted = f'<div class="notice" role="note"><p>{escape(notices[0])}</p>{noted}</div>' if notices else ""
    document = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"{extras.head}<style>{_THEMES}{_STYLE}{extras.style}</style>\n</head>\n<body>\n{extras.top}<main>\n<header><h1>{escape(title)}</h1><p>{escape(lead)}</p>"
        f"{noted}</header>\n{facts}\n"
        f'<nav aria-label="Contents"><ol>{contents}</ol></nav>\n{parts}</main>\n{extras.scripts}</body>\n</html>\n'
    )
    return document.encode("utf-8", "replace").decode()  # file names are not necessarily valid Unicode


_LIGHT: Final = """
  color-scheme: light; --theme: light;
  --ink: #23272e; --soft: #5d6673; --paper: #fbfbf9; --card: #ffffff; --line: #dfe1e4; --accent: #1f6f8b;
  --noticed: #fdf3d7; --noticed-line: #d9b24a;
"""
_DARK: Final = """
  color-scheme: dark; --theme: dark;
  --ink: #dfe3e8; --soft: #9aa4b1; --paper: #15181c; --card: #1c2025; --line: #323840; --accent: #6dbad3;
  --noticed: #2f2917; --noticed-line: #8b7433;
"""
_THEMES: Final = (
    f":root {{{_LIGHT}}}\n@media (prefers-color-scheme: dark) {{ :root {{{_DARK}}} }}\n"
    f":root[data-theme=light] {{{_LIGHT}}}\n:root[data-theme=dark] {{{_DARK}}}"
)
"""The theme of the browser, unless a page sets its own; scripts read its name from `--theme`."""

_STYLE: Final = """
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 2rem clamp(1rem, 3vw, 2.5rem) 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; margin: 0 0 .8rem; padding-top: 1.6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .6rem; }
h4 { font-size: .95rem; margin: 0 0 .6rem; }
p { margin: .4rem 0; max-width: 62rem; }
header p, .soft, figcaption, .player span { color: var(--soft); }
.notice { background: var(--noticed); border-left: 4px solid var(--noticed-line); color: var(--ink);
  padding: .7rem 1rem; margin: 1rem 0; border-radius: 0 6px 6px 0; }
.notice { max-width: 62rem; }
header .notice p { color: var(--ink); }
.notice ul { margin: .4rem 0; padding-left: 1.3rem; font-size: .92rem; }
section { margin-top: 2.2rem; scroll-margin-top: 1rem; }
nav ol { display: flex; flex-wrap: wrap; gap: .35rem .6rem; list-style: none; margin: 1.2rem 0; padding: 0; }
nav a { display: block; padding: .2rem .8rem; border: 1px solid var(--line); border-radius: 999px; color: var(--accent);
  text-decoration: none; background: var(--card); overflow-wrap: anywhere; }
nav a:hover, nav a:focus-visible { border-color: var(--accent); }
table { border-collapse: collapse; font-size: .93rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem 1.2rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 500; color: var(--soft); min-width: 9rem; }
td { overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: .8rem 0; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17.5rem), 1fr)); gap: 1rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1rem;
  margin: 0 0 1rem; }
figure { margin: 0; min-width: 0; }
figure > svg { display: block; width: 100%; height: auto; color: var(--ink); }
.grid > figure > svg { max-width: 30rem; }
.card > figure { overflow-x: auto; }
.card > figure.wide > svg { min-width: 42rem; }
figcaption { font-size: .85rem; line-height: 1.4; margin-top: .2rem; }
.player { display: flex; flex-wrap: wrap; align-items: center; gap: .3rem 1rem; margin-top: .7rem; font-size: .85rem; }
audio { width: min(100%, 22rem); height: 2.4rem; }
@media print { audio { display: none; } .card { break-inside: avoid; } }
"""
