"""The still of a probe: what it shows, as a static page and a picture, without a kernel and without scripts.

A notebook keeps both beside the live widget, which hides them; they are seen wherever no widget can be: the
notebook reopened, on the web, converted, printed. Not for figures that one publishes (`Trial.plot`), nor for
the page itself (`js/`).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from isi_widget.interventions import Intervention, keyed
from isi_widget.report.html import picture_html, trial_html, verdict
from isi_widget.report.pictures import data_uri
from isi_widget.report.svg import NO_FORMULAS, QUIET, escape
from isi_widget.stimulus import Stimulus
from isi_widget.trial import Trial
from isi_widget.widget.preview import reduced

SIDE = 480  # pixels of the picture
#: Bytes of the page: larger ones leave out the details, then the bars.
MAX_PAGE = 100_000
#: Bytes of the picture: a larger one has fewer pixels.
MAX_PICTURE = 60_000
#: Trials in the strip, the newest ones.
STRIP = 12
_LONGEST = 2_000  # characters of a text, where space is short
_TO_GO_ON = (
    "This is a still of the probe, kept in the notebook. To use the probe, run the notebook from its first "
    "cell to this one: Run > Run All Above Selected Cell, then this cell."
)
_KEPT = " The session {folder!r} brings all work back."
# Hidden while the widget of this probe is on the page; and what stands in a widget's place where there is
# none ("model not found", or a line of text) is hidden beside a still. Without scripts: a sanitiser may drop
# it all, and then no widget is there either.
_STYLE = """<style>
body:has(.isi-probe[data-probe="{id}"]) .isi-kept[data-probe="{id}"],
.jp-OutputArea:has(.isi-probe[data-probe="{id}"]) > .jp-OutputArea-child:has(.isi-kept[data-probe="{id}"]),
.jp-OutputArea-child:not(:has(.isi-probe)):has(+ .jp-OutputArea-child .isi-kept[data-probe="{id}"]) {{
  display: none;
}}
</style>"""


@dataclass(frozen=True)
class Still:
    """What a still is made of.

    Parameters
    ----------
    id : id of the probe's widget.
    number : counts the stills of a probe.
    stimulus : stimulus on the canvas.
    trial : the trial that is shown, or None.
    entries : trials as the page gets them, oldest first.
    shown : the number of the trial that is shown.
    notes : notes by number of the trial.
    view : view of the shown trial, as `Trial.view(details=True)`; None makes it.
    session : folder in which the work is kept, or "".
    """

    id: str
    number: int
    stimulus: Stimulus
    trial: Trial | None
    entries: Sequence[Mapping[str, Any]]
    shown: int
    notes: Mapping[int, str]
    view: dict[str, Any] | None = None
    session: str = ""

    def bundle(self) -> dict[str, str]:
        """Return the output that a notebook keeps, by MIME type."""
        return {"text/html": self.page(), "image/png": base64.b64encode(self.picture()).decode("ascii")}

    def page(self) -> str:
        """Return the static page, of at most `MAX_PAGE` bytes."""
        strip = self._strip()
        for make in (self._whole, self._without_details, self._short):
            page = self._framed(make() + strip)
            if len(page.encode()) <= MAX_PAGE:
                break
        return page

    def picture(self) -> bytes:
        """Return PNG of the picture alone, for what shows no HTML (LaTeX, for one): drawing the trial's
        figure takes seconds of a thread, after each run.
        """
        return _png(self.stimulus.render())

    def _framed(self, body: str) -> str:
        style = _STYLE.format(id=escape(self.id))
        advice = _TO_GO_ON + (_KEPT.format(folder=self.session) if self.session else "")
        return (
            f'<div class="isi-kept {NO_FORMULAS}" data-probe="{escape(self.id)}" data-still="{self.number}">'
            f'{style}{body}<div style="{QUIET};margin-top:4px">{escape(advice)}</div></div>'
        )

    def _whole(self) -> str:
        return self._short() if self.trial is None else trial_html(self.trial, self.view)

    def _without_details(self) -> str:
        return self._short() if self.trial is None else trial_html(self.trial, self.view, details=False)

    def _short(self) -> str:
        """Return picture, texts and answer only, each of bounded length."""
        stimulus = self.stimulus if self.trial is None else self.trial.stimulus
        answer = "" if self.trial is None or self.trial.answer is None else self.trial.answer.text
        texts = [stimulus.current_context, stimulus.current_question, answer]
        lines = "".join(f'<div dir="auto">{escape(_cut(text, _LONGEST))}</div>' for text in texts if text)
        return picture_html(stimulus) + lines

    def _strip(self) -> str:
        """Return the newest trials in one row: picture, number, answer, entropy, note."""
        if not self.entries:
            return ""
        items = "".join(self._item(entry) for entry in self.entries[-STRIP:])
        first = self.entries[-STRIP:][0]["id"]
        earlier = len([entry for entry in self.entries if entry["id"] < first])
        more = f", and {earlier} earlier" if earlier else ""
        return (
            f'<div style="margin-top:8px"><span style="{QUIET}">Trials{more}</span>'
            f'<div style="display:flex;flex-wrap:wrap;gap:6px">{items}</div></div>'
        )

    def _item(self, entry: Mapping[str, Any]) -> str:
        number, view = entry["id"], entry["view"]
        answer, uncertainty, note = view["answer"], view["uncertainty"], self.notes.get(number, "")
        said = "no answer asked" if answer is None else _cut(answer["text"], 60)
        marks = [f"{number}", verdict(answer, full=False) if answer else ""]
        facts = []
        if uncertainty is not None:
            entropy = uncertainty["entropies"][0]
            if entropy["value"] is not None:
                facts.append(f"{entropy['label'].lower()} {entropy['value']:.2f}")
        if note:
            facts.append(_cut(note, 80))
        frame = "2px solid currentColor" if number == self.shown else "1px solid rgba(128,128,128,.5)"
        source = data_uri(bytes(entry["thumbnail"]))
        return (
            f'<div style="border:{frame};padding:4px;max-width:13em;overflow-wrap:anywhere">'
            f'<img src="{source}" alt="" style="max-width:64px;max-height:48px"/>'
            f"<div>{escape(' '.join(part for part in marks if part))}</div>"
            f'<div dir="auto">{escape(said)}</div>'
            f'<div style="{QUIET}" dir="auto">{escape("; ".join(facts))}</div></div>'
        )


def still_picture(
    stimulus: Stimulus, trial: Trial | None, interventions: Sequence[Intervention] = ()
) -> bytes:
    """Return a PNG of the trial's figure if it has this input, else of the stimulus."""
    if trial is None or trial.key != keyed(stimulus.key, interventions):
        return _png(stimulus.render())
    out = io.BytesIO()
    figure = trial.plot()
    figure.savefig(out, format="png", dpi=72, bbox_inches="tight")
    figure.clear()
    return out.getvalue()


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"


def _png(image: Image.Image) -> bytes:
    """Return a PNG of 256 colours, small enough."""
    side = SIDE
    while True:
        out = io.BytesIO()
        small = reduced(image, side)
        small.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(out, "PNG", optimize=True)
        if len(out.getvalue()) <= MAX_PICTURE or side < 100:
            return out.getvalue()
        side = round(side * 0.7)
