"""`pdf_of_chapters`: a report made of blocks as a PDF; its plots stay vector graphics. Not for trials
(`document`).

fpdf2 leaves room for the plots; pypdf lays the pages that matplotlib wrote into it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from isi_widget.report.blocks import Block, Chapter, Code, Example, Grid, Heading, Pairs, Plot, Words
from isi_widget.report.figures import figure_bytes
from isi_widget.report.pdf.charts import box, outline
from isi_widget.report.pdf.sheet import (
    BODY,
    INK,
    LABEL,
    MARGIN,
    MARK,
    QUIET,
    SECTION,
    SMALL,
    TITLE,
    TOP,
    Sheet,
    Style,
)
from isi_widget.tables import to_csv

_CELL = Style(7.0, 9.6)
_HEAD = replace(LABEL, size=7.0, leading=9.6)
_PICTURE, _GAP = 120.0, 8.0
#: Most of the height of a page for a plot, which has to fit below what is written.
_OF_PAGE = 0.62


@dataclass(frozen=True)
class _Placed:
    """A plot and its place: page from 0, left, top, width and height in points."""

    data: bytes
    page: int
    x: float
    y: float
    width: float
    height: float


def pdf_of_chapters(
    title: str, byline: str, chapters: Sequence[Chapter], created: datetime
) -> tuple[bytes, set[str]]:
    """Return a PDF, and the characters that no font draws.

    Parameters
    ----------
    title : title.
    byline : line below it.
    chapters : sections.
    created : date of the document.
    """
    sheet = Sheet(
        title, created, [title, byline, *(text for chapter in chapters for text in chapter.texts())]
    )
    sheet.add_page()
    sheet.write_text(title, TITLE)
    sheet.write_text(byline, LABEL)
    placed: list[_Placed] = []
    for chapter in chapters:
        sheet.skip(16)
        sheet.need(110)
        sheet.section = chapter.title
        sheet.start_section(sheet.drawable(chapter.title))
        sheet.write_text(chapter.title, SECTION)
        if chapter.note:
            sheet.write_text(chapter.note, LABEL)
        sheet.y += 4
        for block in chapter.blocks:
            _write(sheet, block, placed)
    return _with_plots(bytes(sheet.output()), sheet.h, placed), sheet.undrawn


def _write(sheet: Sheet, block: Block, placed: list[_Placed]) -> None:
    match block:
        case Words(words, quiet):
            sheet.write_text(words, SMALL if quiet else BODY)
            sheet.y += 3
        case Heading(words, note):
            sheet.heading(words, note)
        case Pairs(rows):
            sheet.pairs([row for row in rows if row[1]], (110.0, 140.0))
            sheet.y += 3
        case Code(words):
            with sheet.bar_beside("#D8D8D8"):
                sheet.write_code(words, MARGIN + 9)
        case Grid():
            _grid(sheet, block)
        case Plot():
            _plot(sheet, block, placed)
        case Example():
            _example(sheet, block)


# ------------------------------------------------------------------------------------------ tables
def _grid(sheet: Sheet, grid: Grid) -> None:
    if not grid.rows:
        return
    widths = _widths(sheet, grid)
    _heads(sheet, grid, widths)
    for number, cells in enumerate(grid.rows):
        height = max(
            sheet.height_of(cell, width - _GAP, _CELL) for cell, width in zip(cells, widths, strict=True)
        )
        if sheet.y + min(height, 200.0) + 4 > sheet.page_break_trigger:
            sheet.add_page()
            _heads(sheet, grid, widths)
        top, x = sheet.y, MARGIN
        page = sheet.page_no()
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            sheet.y = top
            if (number, column) in grid.marked and cell:
                box(sheet, x - 2, top, width - _GAP + 4, sheet.height_of(cell, width - _GAP, _CELL), MARK)
            align: Any = None if column in grid.words else "R"
            sheet.write_text(cell, _CELL, x, width - _GAP, align)
            x += width
            if sheet.page_no() != page:  # a cell of many lines went on: the others of its row stay there
                top, page = TOP, sheet.page_no()
        sheet.y = max(top + height, sheet.y) + 2
        sheet.rule(sheet.y, color="#EAEAEA")
        sheet.y += 2
    sheet.y += 4
    if grid.frame is not None and grid.name:
        sheet.embed_file(
            bytes=to_csv(grid.frame).encode(),
            basename=f"{grid.name}.csv",
            mime_type="text/csv",
            compress=True,
            checksum=True,
            modification_date=sheet.creation_date,
            desc="The table with all its columns.",
        )


def _heads(sheet: Sheet, grid: Grid, widths: Sequence[float]) -> None:
    height = max(
        sheet.height_of(head, width - _GAP, _HEAD) for head, width in zip(grid.heads, widths, strict=True)
    )
    sheet.need(height + 40)
    top, x = sheet.y, MARGIN
    for column, (head, width) in enumerate(zip(grid.heads, widths, strict=True)):
        sheet.y = top
        sheet.write_text(head, _HEAD, x, width - _GAP, None if column in grid.words else "R")
        x += width
    sheet.y = top + height + 2
    sheet.rule(sheet.y)
    sheet.y += 3


def _widths(sheet: Sheet, grid: Grid) -> list[float]:
    """Return the widths of the columns: numbers as wide as they are, words share the rest."""
    rows = grid.rows[:100]
    wanted = []
    for column, head in enumerate(grid.heads):
        lines = [line for row in rows for line in row[column].split("\n")]
        longest = max((sheet.width_of(line[:200], _CELL) for line in lines), default=0.0)
        word = max((sheet.width_of(word, _HEAD) for word in head.split()), default=0.0)
        wanted.append(max(longest, word) + _GAP)
    words = [column for column in range(len(wanted)) if column in grid.words]
    room = sheet.epw - sum(width for column, width in enumerate(wanted) if column not in words)
    need = sum(wanted[column] for column in words)
    if words and need > room:
        room = max(room, 50.0 * len(words))
        for column in words:
            wanted[column] = max(40.0, wanted[column] * room / need)
    scale = min(1.0, sheet.epw / sum(wanted))
    return [width * scale for width in wanted]


# ------------------------------------------------------------------------------------------ pictures
def _example(sheet: Sheet, example: Example) -> None:
    sheet.heading(example.title, below=_PICTURE)
    top = sheet.y
    high = 0.0
    if example.picture is not None:
        from PIL import Image

        with Image.open(io.BytesIO(example.picture)) as image:
            scale = min(_PICTURE / image.width, _PICTURE / image.height)
            wide, high = image.width * scale, image.height * scale
        sheet.image(
            io.BytesIO(example.picture), MARGIN, top, wide, high, alt_text=f"example of {example.title}"
        )
        outline(sheet, MARGIN, top, wide, high, "#BBBBBB")
    x, page = MARGIN + _PICTURE + 14, sheet.page_no()
    for name, value, _ in example.rows:
        if value:
            sheet.write_text(name, LABEL, x)
            sheet.write_text(value, replace(LABEL, color=INK), x)
            sheet.y += 2
    if sheet.page_no() == page:
        sheet.y = max(sheet.y, top + high + 4)
    if example.code:
        with sheet.bar_beside("#D8D8D8"):
            sheet.write_code(example.code, MARGIN + 9)


def _plot(sheet: Sheet, plot: Plot, placed: list[_Placed]) -> None:
    """Leave room for a plot, at most as wide as the text."""
    import pypdf

    data = figure_bytes(plot.figure(), "pdf", width=sheet.epw / 72, enlarge=False)
    size = pypdf.PdfReader(io.BytesIO(data)).pages[0].mediabox
    most = (sheet.page_break_trigger - TOP) * _OF_PAGE
    scale = min(1.0, most / float(size.height))
    width, height = float(size.width) * scale, float(size.height) * scale
    sheet.need(height + 14)
    placed.append(_Placed(data, sheet.page_no() - 1, MARGIN, sheet.y, width, height))
    sheet.y += height + 2
    if plot.caption:
        sheet.write_text(plot.caption, replace(SMALL, color=QUIET))
    sheet.y += 6


def _with_plots(data: bytes, page_height: float, placed: Sequence[_Placed]) -> bytes:
    """Return the document with the plots at their places."""
    if not placed:
        return data
    import pypdf

    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    for plot in placed:
        drawn = pypdf.PdfReader(io.BytesIO(plot.data)).pages[0]
        scale = plot.width / float(drawn.mediabox.width)
        place = pypdf.Transformation().scale(scale).translate(plot.x, page_height - plot.y - plot.height)
        writer.pages[plot.page].merge_transformed_page(drawn, place)
    for number in sorted({plot.page for plot in placed}):
        writer.pages[number].compress_content_streams()
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
