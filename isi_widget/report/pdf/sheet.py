"""`Sheet`: paper to write on: fonts and what they cannot draw, paragraphs that flow over pages, tables.

All lengths are points (1/72 inch), y runs downwards. Every text is set as text: nothing in it is markup, an
address or a command. Not for what stands in a report (`pdf_trial`, `pdf_compare`), nor for bars
(`pdf_charts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from fpdf import FPDF, ViewerPreferences
from fpdf.enums import MethodReturnValue, XPos, YPos

from isi_widget._version import __version__
from isi_widget.report.fonts import UNDRAWABLE, characters
from isi_widget.report.pdf.fonts import (
    MONO,
    PAGES,
    SANS,
    clean,
    goes_left,
    others,
    readable,
    shipped,
    with_direction,
)

MARGIN, TOP, BOTTOM = 54.0, 60.0, 66.0
INK, QUIET, HAIR, MARK = "#1A1A1A", "#666666", "#D0D0D0", "#F8DFAF"
_NAMED_AT_MOST = 8
_INDENT = 4  # letters; indent of a continued line of code
_LONGEST_LINE = 300  # letters; more than fit on a line of this paper


@dataclass(frozen=True)
class Style:
    """How a text is set: size and distance of lines in points, colour, bold, monospaced."""

    size: float = 8.5
    leading: float = 12.0
    color: str = INK
    bold: bool = False
    mono: bool = False


BODY = Style()
BOLD = Style(bold=True)
SMALL = Style(7.0, 9.6, QUIET)
LABEL = Style(7.5, 10.5, QUIET)
CODE = Style(7.0, 10.0, mono=True)
TITLE = Style(15.0, 20.0, bold=True)
SECTION = Style(12.5, 17.0, bold=True)
HEADING = Style(10.5, 15.0, bold=True)


def rgb(color: str) -> tuple[int, int, int]:
    """Return #RRGGBB as three numbers from 0 to 255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


class Sheet(FPDF):
    """An A4 document with its running head, page numbers, and a line about characters that no font draws.

    Parameters
    ----------
    title : title at the top of the pages and in the metadata.
    created : date of the document.
    texts : all texts that may be written, to find fonts before the first line.
    """

    def __init__(self, title: str, created: datetime, texts: Iterable[str]) -> None:
        super().__init__(unit="pt", format="A4")
        self.render_color_fonts = False
        for face in shipped():
            self.add_font(face.family, face.style, face.path)
        self._drawn = readable() | self._find_more(texts)
        self.undrawn: set[str] = set()  # characters that no font draws
        self._missing: dict[str, None] = {}  # those of this page
        self._going_on: dict[str, None] = {}  # those of the paragraph that is being written
        self._bar: tuple[float, float, str] | None = None  # x, top on this page, colour
        self.section = ""
        self.title_text = title
        self.alias_nb_pages(PAGES)
        self.c_margin = 0.0
        self.set_margins(MARGIN, TOP, MARGIN)
        self.set_auto_page_break(True, BOTTOM)
        self.set_text_shaping(True)
        self.set_title(clean(title))
        self.set_lang("en")
        self.set_creator(f"isi_widget {__version__}")
        self.set_creation_date(created)
        self.viewer_preferences = ViewerPreferences(display_doc_title=True)

    def _find_more(self, texts: Iterable[str]) -> frozenset[int]:
        """Add the computer's fonts for what the shipped ones lack; the code points that they draw."""
        wanted = frozenset(ord(c) for text in texts for c in set(clean(text))) - readable() - {10}
        faces = others(wanted) if wanted else []
        for face in faces:
            self.add_font(face.family, face.style, face.path)
        self.set_fallback_fonts([SANS, MONO, *(face.family for face in faces)], exact_match=False)
        return frozenset().union(*(characters(face.path) for face in faces))

    # ---- head and foot
    def header(self) -> None:
        """Write the running head from the second page on; a paragraph and its bar continue."""
        self._missing |= self._going_on
        if self._bar is not None:
            self._bar = (self._bar[0], TOP, self._bar[2])
        if self.page_no() > 1:
            half = self.epw / 2 - 10
            self.line_of(self.title_text, MARGIN, 32, half, LABEL)
            self.line_of(self.section, MARGIN + half + 20, 32, half, LABEL, "R")
            self.rule(46)
        self.set_xy(MARGIN, TOP)

    def footer(self) -> None:
        """Write the page number, and the characters that could not be drawn on the page."""
        self._draw_bar()
        y = self.h - BOTTOM + 12
        if self._missing:
            names = [f"U+{ord(c):04X}" for c in sorted(self._missing)]
            more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
            note = (
                f"{UNDRAWABLE} stands for what no font of the computer that made this report draws: "
                f"{', '.join(names[:_NAMED_AT_MOST])}{more}. The attached file has the text."
            )
            self.undrawn |= self._missing.keys()
            self._missing = {}
            self._use(SMALL)
            self.set_xy(MARGIN, y)
            self._cells(note, self.epw, SMALL)
        self._use(LABEL)
        self.set_xy(MARGIN, y + 24)
        self.cell(self.epw, 10, f"{self.page_no()} / {PAGES}", align="C")

    # ---- text
    def _use(self, style: Style) -> None:
        family = MONO if style.mono else SANS
        self.set_font(family, "B" if style.bold and not style.mono else "", style.size)
        self.set_text_color(*rgb(style.color))

    def drawable(self, text: str) -> str:
        """Return `clean` text; characters that no font draws are replaced."""
        return with_direction(
            "".join(c if c == "\n" or ord(c) in self._drawn else UNDRAWABLE for c in clean(text))
        )

    def _note(self, text: str) -> str:
        """Return `drawable` text; the foot of this page then names the replaced characters."""
        self._missing |= self._lacking(text)
        return self.drawable(text)

    def _lacking(self, text: str) -> dict[str, None]:
        return dict.fromkeys(c for c in clean(text) if c != "\n" and ord(c) not in self._drawn)

    def _cells(self, text: str, width: float, style: Style, **more: Any) -> Any:
        """Return one paragraph by fpdf2, which shapes letters, orders directions, breaks lines and long
        words.
        """
        align: Literal["L", "R"] = more.pop("align", None) or ("R" if goes_left(text) else "L")
        return self.multi_cell(
            width,
            style.leading,
            text,
            align=align,
            new_x=XPos.LEFT,
            new_y=YPos.NEXT,
            print_sh=style.mono,
            **more,
        )

    def height_of(self, text: str, width: float, style: Style = BODY) -> float:
        """Return the height of a text in lines of at most `width`."""
        self._use(style)
        output = MethodReturnValue.HEIGHT
        self.set_auto_page_break(False, BOTTOM)  # else fpdf2 turns pages, heads and feet, while it measures
        try:
            return sum(
                float(self._cells(line, width, style, dry_run=True, output=output)) if line else style.leading
                for line in self.drawable(text).split("\n")
            )
        finally:
            self.set_auto_page_break(True, BOTTOM)

    def width_of(self, text: str, style: Style = BODY) -> float:
        """Return the width of one line."""
        self._use(style)
        return float(self.get_string_width(self.drawable(text)))

    def write_text(
        self,
        text: str,
        style: Style = BODY,
        x: float = MARGIN,
        width: float | None = None,
        align: Literal["L", "R"] | None = None,
    ) -> None:
        """Write lines from the current height, on as many pages as needed; ends below them."""
        wide = self.w - MARGIN - x if width is None else width
        for line in text.split("\n"):
            self.need(style.leading)
            self.set_x(x)
            if not clean(line):
                self.y += style.leading
                continue
            shown = self._note(line)
            self._going_on = self._lacking(line)
            self._use(style)
            self._cells(shown, wide, style, align=align)
            self._going_on = {}

    def line_of(
        self, text: str, x: float, y: float, width: float, style: Style = BODY, align: str = "L"
    ) -> None:
        """Write one line at a position, shortened if too long; the current height stays."""
        shown = self.shortened(" ".join(text.split()), width, style, 1)
        back = self.x, self.y
        self._use(style)
        self.set_xy(x, y)
        self.cell(width, style.leading, self._note(shown), align=align)
        self.set_xy(*back)

    def shortened(self, text: str, width: float, style: Style, lines: int) -> str:
        """Return the text, shortened with an ellipsis to this number of lines."""
        room = lines * style.leading + 0.1

        def fits(candidate: str) -> bool:
            if lines == 1:
                return "\n" not in clean(candidate) and self.width_of(candidate, style) <= width
            return self.height_of(candidate, width, style) <= room

        low, high = 0, min(len(text), _LONGEST_LINE * lines)
        if high == len(text) and fits(text):
            return text
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(_cut(text, middle)) else (low, middle - 1)
        return _cut(text, low)

    def write_code(self, text: str, x: float) -> None:
        """Write monospaced lines; long ones are broken at a space and continue indented, after an arrow."""
        step = self.width_of(" ", CODE)
        for line in text.split("\n"):
            for index, part in enumerate(self._broken(line, self.w - MARGIN - x, step)):
                self.need(CODE.leading)
                if index:
                    self._hook(x + step, self.y + CODE.leading / 2, 2 * step)
                left = x + _INDENT * step if index else x
                shown = self._note(part)
                self._use(CODE)
                self.set_x(left)
                self.cell(self.w - MARGIN - left, CODE.leading, shown, align="L")
                self.set_xy(MARGIN, self.y + CODE.leading)

    def _broken(self, line: str, width: float, step: float) -> Iterator[str]:
        """Yield the parts of a line of code, at most so wide; all but the first leave room for the indent.

        step : the width of every letter, but for those that come from another font.
        """

        def fits(part: str) -> bool:
            return (len(part) * step if part.isascii() else self.width_of(part, CODE)) <= room + 0.1

        room = width
        while not fits(line[:_LONGEST_LINE]):
            low, high = 1, min(len(line), _LONGEST_LINE) - 1
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (middle, high) if fits(line[:middle]) else (low, middle - 1)
            space = line.rfind(" ", low // 2, low)
            cut = low if space < 0 else space + 1
            yield line[:cut]
            line, room = line[cut:], width - _INDENT * step
        yield line

    def _hook(self, x: float, y: float, width: float) -> None:
        self.set_draw_color(*rgb("#999999"))
        self.set_line_width(0.6)
        self.polyline([(x, y - 3), (x, y), (x + width, y)])

    # ---- blocks
    def need(self, height: float) -> None:
        """Start a new page unless this height is left."""
        if self.y + height > self.page_break_trigger and self.y > TOP:
            self.add_page()

    def skip(self, height: float) -> None:
        """Leave vertical space, but not at the top of a page."""
        if self.y > TOP:
            self.y = min(self.y + height, self.page_break_trigger)

    def rule(self, y: float, x: float = MARGIN, width: float | None = None, color: str = HAIR) -> None:
        """Draw a thin line."""
        self.set_draw_color(*rgb(color))
        self.set_line_width(0.5)
        self.line(x, y, x + (self.epw if width is None else width), y)

    def heading(self, text: str, note: str = "", below: float = 40.0) -> None:
        """Write a heading and a remark in small print, kept together with the next `below` points."""
        self.skip(12)
        self.need(HEADING.leading + below)
        top = self.y
        width = self.width_of(text, HEADING)
        self.line_of(text, MARGIN, top, self.epw, HEADING)
        if note:
            x = MARGIN + width + 8
            self.line_of(note, x, top + 3.2, self.w - MARGIN - x, LABEL)
        self.y = top + HEADING.leading
        self.rule(self.y + 1)
        self.y += 6

    @contextmanager
    def bar_beside(self, color: str, x: float = MARGIN) -> Iterator[None]:
        """Draw a vertical bar to the left of the text inside the context, on every page that it reaches."""
        self.need(BODY.leading)
        self._bar = (x, self.y, color)
        try:
            yield
        finally:
            self._draw_bar()
            self._bar = None

    def _draw_bar(self) -> None:
        if self._bar is not None:
            x, top, color = self._bar
            bottom = min(self.y, self.page_break_trigger)
            if bottom > top:
                self.set_fill_color(*rgb(color))
                self.rect(x, top + 1, 2.5, bottom - top - 2, style="F")

    def pairs(
        self, rows: Sequence[tuple[str, str, str]], columns: tuple[float, float] = (100.0, 130.0)
    ) -> None:
        """Write a table of name, value and remark; values and remarks wrap, and continue on the next page."""
        name_width, value_width = columns
        for name, value, remark in rows:
            wide = value_width if remark else self.epw - name_width
            remark_x = MARGIN + name_width + value_width + 10
            height = max(
                self.height_of(name, name_width - 8, LABEL),
                self.height_of(value, wide, replace(LABEL, color=INK)),
                self.height_of(remark, self.w - MARGIN - remark_x, LABEL) if remark else 0.0,
            )
            self.need(min(height, 60.0))
            top, page = self.y, self.page_no()
            self.write_text(name, LABEL, MARGIN, name_width - 8)
            if self.page_no() == page:
                self.y = top
            self.write_text(value, replace(LABEL, color=INK), MARGIN + name_width, wide)
            if remark and self.page_no() == page:
                self.y = top
                self.write_text(remark, LABEL, remark_x)
            if self.page_no() == page:
                self.y = top + height


def _cut(text: str, length: int) -> str:
    return text[:length].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
