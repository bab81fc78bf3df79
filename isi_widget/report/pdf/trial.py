"""One trial in the PDF report: inputs, answer, uncertainty, attention, how it was run, and the Python for it.

Every number comes from `Trial.view`, every definition from `style` and `pdf_words`. Not for several side by
side (see `pdf_compare`).
"""

from __future__ import annotations

import io
from dataclasses import replace

from isi_widget.report.differences import differences
from isi_widget.report.entries import Entry, Group
from isi_widget.report.html import verdict
from isi_widget.report.pdf import charts as charts
from isi_widget.report.pdf.results import write_answer, write_attention, write_measures, write_uncertainty
from isi_widget.report.pdf.sheet import (
    BODY,
    BOLD,
    INK,
    LABEL,
    MARGIN,
    QUIET,
    SMALL,
    Sheet,
    Style,
)
from isi_widget.report.pdf.words import interventions
from isi_widget.report.properties import model_rows, record_rows, settings_rows
from isi_widget.report.style import (
    NEUTRAL,
    SEGMENT_COLORS,
)

_PICTURE = 190.0
_ANSWER = Style(11.0, 15.0)
_VALUE = replace(LABEL, color=INK)
_MANY = 600  # more characters are set below the picture, not beside it


def draw_picture(
    sheet: Sheet, entry: Entry, x: float, y: float, width: float, height: float
) -> tuple[float, float]:
    """Draw the image of a trial at the top left inside a box; returns its size on paper."""
    scale = min(width / entry.size[0], height / entry.size[1])
    wide, high = entry.size[0] * scale, entry.size[1] * scale
    sheet.image(io.BytesIO(entry.picture), x, y, wide, high, alt_text="the image as the model was shown it")
    return wide, high


def write_trial(
    sheet: Sheet,
    entry: Entry,
    *,
    group: Group | None = None,
    definitions: bool = True,
    model: bool = True,
    settings: bool = True,
) -> None:
    """Write the whole trial from the current height.

    group : the trials that it stands among, for its differences from the baseline; None for none.
    definitions, model, settings : False where they stand elsewhere in the document, once for all trials.
    """
    _inputs(sheet, entry, definitions)
    if group is not None:
        _differences(sheet, entry, group)
    write_answer(sheet, entry.view["answer"])
    write_uncertainty(sheet, entry.view["uncertainty"], definitions)
    write_attention(sheet, entry.view["attention"], definitions)
    write_measures(sheet, entry.view["measures"], definitions)
    if entry.view["notes"]:
        sheet.heading("Notes", below=12)
        for note in entry.view["notes"]:
            sheet.write_text(note)
    if model:
        write_model(sheet, entry)
    if settings:
        write_settings(sheet, entry)
    _record(sheet, entry)
    _code(sheet, entry)


# ---------------------------------------------------------------------------------------------- inputs
def _inputs(sheet: Sheet, entry: Entry, definitions: bool) -> None:
    """Write the picture on the left; question, truth and answer next to it; long texts continue below."""
    view, top = entry.view, sheet.y
    wide, high = draw_picture(sheet, entry, MARGIN, top, _PICTURE, _PICTURE)
    charts.outline(sheet, MARGIN, top, wide, high, "#BBBBBB")
    below: list[tuple[str, str]] = []
    x = MARGIN + _PICTURE + 18
    width = sheet.w - MARGIN - x

    def item(name: str, text: str, style: Style = BODY, color: str | None = None) -> None:
        shown = text if text.strip() else "(empty)"
        room = _PICTURE * 1.6 + top - sheet.y - 60
        long = len(shown) > _MANY or sheet.height_of(shown, width - 10, style) > room
        if long:
            below.append((name, text))
            shown = f"{len(text):,} characters, below."
        start = sheet.y
        sheet.line_of(name, x, sheet.y, width, LABEL)
        sheet.y += LABEL.leading
        quiet = long or not text.strip()
        sheet.write_text(shown, replace(style, color=QUIET) if quiet else style, x, width)
        if color is not None:
            charts.box(sheet, x - 8, start + 1, 2.5, sheet.y - start - 1, color)
        sheet.y += 5

    item("question", view["question"], color=SEGMENT_COLORS["question"])
    item("context" + _preset(view["context_preset"]), view["context"], color=SEGMENT_COLORS["context"])
    of = "truth" if view["truth_holds"] or view["truth"] is None else "truth of the original picture"
    item(of, "not known" if view["truth"] is None else view["truth"])
    if entry.note:
        item("your note", entry.note)
    if view["intervention_lines"]:
        item(f"changed inside ({view['interventions']})", ", ".join(view["intervention_lines"]))
    answer = view["answer"]
    if answer is not None:
        cut = "" if answer["finished"] else " (cut off by max_new_tokens)"
        item(f"answer{cut}", answer["text"], _ANSWER)
        if answer["correct"] is not None:
            sheet.y -= 3
            sheet.write_text(verdict(answer), BOLD, x, width)
            sheet.y += 5
        if answer["yes_no"] is not None:
            sheet.y += 3
            for name, share in answer["yes_no"].items():
                sheet.line_of(f"p({name})", x, sheet.y, 50, LABEL)
                charts.interval_bar(sheet, x + 50, sheet.y + 2, 110, share, 1.0, color=NEUTRAL)
                sheet.line_of(f"{share:.3f}", x + 168, sheet.y, 60, _VALUE)
                sheet.y += LABEL.leading + 1
            if definitions:
                sheet.write_text(answer["yes_no_definition"], SMALL, x, width)
    sheet.y = max(sheet.y, top + high + 4)
    _done(sheet, entry)
    for name, text in below:
        color = SEGMENT_COLORS.get(name.split()[0], NEUTRAL)
        sheet.heading(name.capitalize(), f"{len(text):,} characters", below=24)
        with sheet.bar_beside(color):
            sheet.write_text(text, BODY, MARGIN + 9)


def _preset(name: str | None) -> str:
    return "" if name is None else f" (preset {name})"


def _done(sheet: Sheet, entry: Entry) -> None:
    """Write the caption of the picture: its size and the operations in words."""
    stimulus = entry.trial.stimulus
    width, height = stimulus.current_image.size
    reduced = (
        ""
        if entry.size == (width, height)
        else (
            f" On this page it is reduced to {entry.size[0]} \N{MULTIPLICATION SIGN} {entry.size[1]} px; the "
            "attached file has every pixel."
        )
    )
    lines = interventions(stimulus)
    sheet.skip(4)
    sheet.write_text(
        f"The image as the model was shown it: {entry.view['image_preset']}, {width} \N{MULTIPLICATION SIGN} "
        f"{height} px.{reduced} " + ("Interventions, in their order:" if lines else "No interventions."),
        LABEL,
    )
    for number, (line, operation) in enumerate(zip(lines, stimulus.operations, strict=True), 1):
        sheet.need(LABEL.leading)
        color = operation.to_dict().get("color")
        sheet.line_of(f"{number}", MARGIN, sheet.y, 16, LABEL)
        if isinstance(color, str) and len(color) == 7 and color.startswith("#"):
            charts.box(sheet, MARGIN + 17, sheet.y + 2, 6.5, 6.5, color)
            charts.outline(sheet, MARGIN + 17, sheet.y + 2, 6.5, 6.5, "#999999")
        sheet.write_text(line, _VALUE, MARGIN + 28)


def _differences(sheet: Sheet, entry: Entry, group: Group) -> None:
    """Write what differs from the baseline trial, one line each."""
    if entry is group.baseline:
        return
    sheet.heading(f"Differences from trial {group.baseline.number}", group.baseline.label, below=24)
    for line in differences(entry.view, group.baseline.view):
        sheet.write_text(line)


# ------------------------------------------------------------------------------------------ how it was run
def write_model(sheet: Sheet, entry: Entry) -> None:
    """Write the model and the entailment model."""
    rows = model_rows(entry)
    sheet.heading("Model", below=LABEL.leading * min(len(rows), 14))
    sheet.pairs(rows)


def write_settings(sheet: Sheet, entry: Entry) -> None:
    """Write every setting with its value."""
    rows = settings_rows(entry)
    sheet.heading("Settings", below=LABEL.leading * (len(rows) + 2))
    sheet.pairs(rows, (100.0, 70.0))


def _record(sheet: Sheet, entry: Entry) -> None:
    """Write date, times and versions."""
    sheet.heading("Record")
    sheet.pairs([(name, value, "") for name, value in record_rows(entry)])


def _code(sheet: Sheet, entry: Entry) -> None:
    sheet.heading(
        "Python that repeats it",
        "trial = isi.open_report(...) reads it back; trial.code() is this text",
        below=30,
    )
    with sheet.bar_beside("#D8D8D8"):
        sheet.write_code(entry.view["code"], MARGIN + 9)
