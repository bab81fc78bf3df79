"""`Page`: a self-contained HTML document, built of sections, with a list of its contents.

No script, no network: a policy inside the file forbids both, so that even a mistake in escaping runs nothing.
All texts pass `text`, which escapes them. Not for what stands in the sections.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from isi_widget._version import __version__
from isi_widget.report import embedding
from isi_widget.report.pdf.fonts import clean

#: Nothing is loaded and nothing runs: pictures, fonts and styles are in the file.
_POLICY = "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'"


def text(value: object) -> str:
    """Return text made safe for HTML, also inside attributes; control characters as Python writes them."""
    return html.escape(clean(str(value), selectors=True), quote=True)


def own_direction(value: object) -> str:
    """Return text in its own direction, which does not change that of the text around it."""
    return f"<bdi>{text(value)}</bdi>"


@dataclass(frozen=True)
class Section:
    """One section, in the list of contents.

    Attributes
    ----------
    key : its address in the document: letters, digits and "-".
    title : title, plain text.
    body : HTML, made safe.
    note : small text behind the title; default "".
    badge : a word in a frame behind the title; default "".
    within : key of the section that it belongs to in the list of contents; default "".
    """

    key: str
    title: str
    body: str
    note: str = ""
    badge: str = ""
    within: str = ""


@dataclass
class Page:
    """A document under construction.

    Attributes
    ----------
    title : title, plain text.
    byline : line below the title, plain text.
    sections : its sections.
    after : HTML at the end, made safe; default "".
    data : more HTML at the end, made safe, whose texts need no fonts; default "".
    """

    title: str
    byline: str
    sections: list[Section] = field(default_factory=list)
    after: str = ""
    data: str = ""

    def add(
        self, key: str, title: str, body: str, *, note: str = "", badge: str = "", within: str = ""
    ) -> None:
        """Append a section; see `Section`."""
        self.sections.append(Section(key, title, body, note, badge, within))

    def html(self) -> bytes:
        """Return the document as UTF-8."""
        body = "".join(
            [
                f'<header><h1 dir="auto">{text(self.title)}</h1><p class="quiet">{text(self.byline)}</p>'
                "</header>",
                self._contents(),
                "<main>",
                *(self._section(section) for section in self.sections),
                "</main>",
                f'<footer class="quiet">{self.after}<p>Made by isi_widget {text(__version__)}.</p></footer>',
            ]
        )
        rules = embedding.faces(_texts(body))
        named = ", ".join(f'"{name}"' for name in embedding.families(rules)) or "sans-serif"
        style = rules + _style().replace("FAMILIES", named)
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
            f'<meta http-equiv="Content-Security-Policy" content="{text(_POLICY)}"/>'
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
            '<meta name="color-scheme" content="light dark"/>'
            f'<meta name="generator" content="isi_widget {text(__version__)}"/>'
            f"<title>{text(self.title)}</title><style>{style}</style></head><body>{body}{self.data}</body></html>\n"
        ).encode()

    def _contents(self) -> str:
        if len(self.sections) < 2:
            return ""
        inside: dict[str, list[Section]] = {}
        for section in self.sections:
            inside.setdefault(section.within, []).append(section)

        def listed(key: str) -> str:
            items = "".join(
                f"<li>{_link(section)}{listed(section.key)}</li>" for section in inside.get(key, ())
            )
            return f"<ol>{items}</ol>" if items else ""

        return f'<nav aria-label="Contents"><h2>Contents</h2>{listed("")}</nav>'

    def _section(self, section: Section) -> str:
        note = f" <small>{text(section.note)}</small>" if section.note else ""
        return (
            f'<section id="{section.key}"><h2 dir="auto">{text(section.title)}'
            f"{_badge(section.badge)}{note}</h2>{section.body}</section>"
        )


def _link(section: Section) -> str:
    return f'<a href="#{section.key}">{own_direction(section.title)}</a>{_badge(section.badge)}'


def _badge(word: str) -> str:
    return f' <span class="pin">{text(word)}</span>' if word else ""


@cache
def _style() -> str:
    return (Path(__file__).parent / "page.css").read_text("utf-8")


def _texts(body: str) -> list[str]:
    """Return every text of HTML made here, which is XML too."""
    return list(ElementTree.fromstring(f"<body>{body}</body>").itertext())


def heading(title: str, note: str = "") -> str:
    """Return a heading inside a section, with a remark behind it."""
    return f"<h3>{text(title)}" + (f" <small>{text(note)}</small>" if note else "") + "</h3>"


def pairs(rows: Sequence[tuple[str, str, str]], *, tall: bool = False) -> str:
    """Return names, values and remarks as a list of definitions.

    rows : plain texts; rows without a value are left out.
    tall : whether values stand below their names; default False.
    """
    items = "".join(
        f'<dt>{text(name)}</dt><dd dir="auto">{text(value)}'
        + (f' <span class="remark">{text(remark)}</span>' if remark else "")
        + "</dd>"
        for name, value, remark in rows
        if value
    )
    return f"<dl{_classed('tall' if tall else '')}>{items}</dl>" if items else ""


def paragraph(value: str, kind: str = "") -> str:
    """Return a paragraph of plain text, of a class of the style sheet."""
    return f'<p dir="auto"{_classed(kind)}>{text(value)}</p>'


def code(value: str) -> str:
    """Return Python as it is."""
    return f'<pre dir="ltr"><code>{text(value)}</code></pre>'


def _classed(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
