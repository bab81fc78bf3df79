"""A session as one file: a zip file with the layout of the folder. Not for reading one (`sources.py`)."""

from __future__ import annotations

import io
import time
import warnings
import zipfile
from typing import TYPE_CHECKING

from isi_widget.errors import InputError
from isi_widget.stimulus import Picture
from isi_widget.widget.session import layout
from isi_widget.widget.session.collecting import Collector, Moment, as_json, trial_record

if TYPE_CHECKING:
    from isi_widget.widget.probe import Probe


def pack(probe: Probe) -> bytes:
    """Return the work of a probe as a zip file."""
    moment, collector = Moment.of(probe), Collector()
    state = as_json({**collector.state(moment), "generation": 1})
    pictures: dict[str, Picture] = dict(collector.pictures)
    files = {layout.STATE: state}
    for number, trial in moment.trials.items():
        try:
            record, found = trial_record(trial, moment.contributions.get(number))
        except (InputError, TypeError, ValueError) as error:  # of a measure of the user's own
            warnings.warn(f"Trial {number} cannot be saved: {error!s:.300}", UserWarning, stacklevel=3)
            continue
        pictures |= found
        files[layout.trial_name(number)] = record
    named = {
        digest
        for content in files.values()
        for digest in layout.DIGEST.findall(content.decode("utf-8", "surrogatepass"))
    }
    made = io.BytesIO()
    now = time.localtime()[:6]
    with zipfile.ZipFile(made, "w") as file:
        for name, content in files.items():
            file.writestr(zipfile.ZipInfo(name, now), content, zipfile.ZIP_DEFLATED)
        for digest in sorted(named & pictures.keys()):
            entry = zipfile.ZipInfo(layout.picture_name(digest), now)
            file.writestr(entry, pictures[digest].png(), zipfile.ZIP_STORED)
    return made.getvalue()
