"""`Notes`: what was noted of the trials of a probe, to be read, and written as JSON. Not for writing notes
(`Probe.note`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from isi_widget.report.svg import NO_FORMULAS, TABLE, escape


class Notes(dict[int, str]):
    """{number of a trial: its note}, rising; a dict that cannot be changed in place."""

    def __init__(self, notes: Mapping[int, str] | None = None) -> None:
        super().__init__(sorted((notes or {}).items()))

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(
            "The notes are read-only. probe.note(number, text) writes one, an empty text deletes it."
        )

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return Notes, (dict(self),)

    def _repr_html_(self) -> str:
        if not self:
            return "<em>No notes. probe.note(number, text) writes one.</em>"
        rows = "".join(
            f'<tr><th scope="row" style="text-align:right;padding:1px 10px 1px 0">trial {number}</th>'
            f'<td dir="auto" style="text-align:left;white-space:pre-wrap">{escape(text)}</td></tr>'
            for number, text in self.items()
        )
        return f'<table class="isi-notes {NO_FORMULAS}" style="{TABLE}">{rows}</table>'
