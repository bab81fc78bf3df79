"""`page_of_chapters`: a report made of blocks as one HTML file. Not for trials (`document`)."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from isi_widget.report.blocks import Block, Chapter, Code, Example, Grid, Heading, Pairs, Plot, Words
from isi_widget.report.figures import figure_bytes
from isi_widget.report.page.skeleton import Page, code, heading, own_direction, pairs, paragraph, text
from isi_widget.tables import to_csv


def page_of_chapters(title: str, byline: str, chapters: Sequence[Chapter]) -> bytes:
    """Return an HTML document.

    Parameters
    ----------
    title : title.
    byline : line below it.
    chapters : sections.
    """
    page = Page(title, byline)
    for chapter in chapters:
        page.add(chapter.key, chapter.title, "".join(map(_block, chapter.blocks)), note=chapter.note)
    return page.html()


def _block(block: Block) -> str:
    match block:
        case Words(words, quiet):
            return paragraph(words, "quiet" if quiet else "")
        case Heading(words, note):
            return heading(words, note)
        case Pairs(rows):
            return pairs(rows)
        case Code(words):
            return code(words)
        case Grid():
            return _grid(block)
        case Plot():
            return _plot(block)
        case Example():
            return _example(block)


def _grid(grid: Grid) -> str:
    if not grid.rows:
        return ""

    def kind(column: int) -> str:
        return "" if column in grid.words else ' class="number"'

    heads = "".join(f'<th scope="col"{kind(at)}>{text(head)}</th>' for at, head in enumerate(grid.heads))
    rows = "".join(
        "<tr>"
        + "".join(
            _cell(cell, (row, column) in grid.marked, kind(column), grid.heads[column], column == 0)
            for column, cell in enumerate(cells)
        )
        + "</tr>"
        for row, cells in enumerate(grid.rows)
    )
    table = f'<table class="cards"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    table = f'<div class="wide">{table}</div>'
    if grid.frame is None or not grid.name:
        return table
    data = base64.b64encode(to_csv(grid.frame).encode()).decode("ascii")
    return (
        f'{table}<p class="download"><a download="{text(grid.name)}.csv" href="data:text/csv;base64,{data}">'
        "Save this table with all its columns (CSV)</a></p>"
    )


def _cell(cell: str, marked: bool, kind: str, head: str, first: bool) -> str:
    value, _, interval = cell.partition("\n")
    shown = own_direction(value) if value else ""
    shown = f"<mark>{shown}</mark>" if marked and shown else shown
    if interval:
        shown += f' <span class="quiet">{own_direction(interval)}</span>'
    if first:
        return f'<th scope="row">{shown}</th>'
    label = f' data-label="{text(head)}"' if shown else ""
    return f"<td{kind}{label}>{shown}</td>"


def _plot(plot: Plot) -> str:
    data = base64.b64encode(figure_bytes(plot.figure(), "svg", enlarge=False)).decode("ascii")
    caption = f"<figcaption>{text(plot.caption)}</figcaption>" if plot.caption else ""
    return (
        f'<figure><img class="plot" src="data:image/svg+xml;base64,{data}" alt="{text(plot.caption)}"/>'
        f"{caption}</figure>"
    )


def _example(example: Example) -> str:
    picture = ""
    if example.picture is not None:
        data = base64.b64encode(example.picture).decode("ascii")
        picture = (
            f'<figure><img src="data:image/jpeg;base64,{data}" alt="an example of the condition"/></figure>'
        )
    body = pairs(example.rows) + (code(example.code) if example.code else "")
    return f'{heading(example.title)}<div class="inputs example"><div>{picture}</div><div>{body}</div></div>'
