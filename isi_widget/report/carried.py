"""The trials inside an HTML report: written as a file that a browser can save, and found again.

The file is gzipped, with one JSON record a line: first {"schema", "single", "pictures": {SHA-256: PNG in
base64}}, then {"number", "trial"} for each trial. Each picture is in it once: the pictures of a trial's
stimulus are a list of their digests. Not for checking the records: `isi_widget.trial.reports` does.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from collections.abc import Sequence
from typing import Any

from isi_widget.errors import InputError
from isi_widget.report.drawable import Drawable

SCHEMA = 1
_BEGIN, _END = b'data-isi-trials="', b'"'
_HEAD = b"data:application/gzip;base64,"
_LINK = re.compile(
    re.escape(_BEGIN) + rb'\d+" href="' + re.escape(_HEAD) + rb"([A-Za-z0-9+/=]*)" + re.escape(_END)
)


def download(trials: Sequence[tuple[int, Drawable]], *, single: bool) -> str:
    """Return a link that saves the trials as trials.jsonl.gz; the report carries them in it.

    trials : numbers and trials.
    single : whether the report is of one trial, not of a list.
    """
    pictures: dict[str, str] = {}
    lines: list[Any] = []
    for number, trial in trials:
        record = trial.to_dict()
        stimulus = dict(record["stimulus"])
        pictures |= stimulus["pictures"]
        stimulus["pictures"] = list(stimulus["pictures"])
        lines.append({"number": number, "trial": {**record, "stimulus": stimulus}})
    head = {"schema": SCHEMA, "single": single, "pictures": pictures}
    content = "\n".join(json.dumps(line, allow_nan=False, separators=(",", ":")) for line in [head, *lines])
    data = base64.b64encode(gzip.compress(content.encode(), 6, mtime=0)).decode("ascii")
    return (
        f'<p class="download"><a download="trials.jsonl.gz" data-isi-trials="{SCHEMA}" '
        f'href="{_HEAD.decode()}{data}">Save the trials as a file</a></p>'
    )


def find(page: bytes, most: int) -> list[bytes] | None:
    """Return the records in an HTML report, the head first; None if it has none.

    most : largest number of bytes of all records.

    Raises
    ------
    InputError : the file inside is damaged or too large.
    """
    found = _LINK.search(page, max(page.rfind(_BEGIN), 0))
    if found is None:
        return None
    reader = zlib.decompressobj(wbits=31)
    try:
        content = reader.decompress(base64.b64decode(found[1], validate=True), most)
    except (ValueError, zlib.error) as error:
        raise InputError(f"the trials inside are damaged: {error}.") from None
    if reader.unconsumed_tail:
        raise InputError(f"there are more than {most >> 20} MB of trials inside.")
    if not reader.eof:
        raise InputError("the trials inside are damaged: they end too early.")
    return content.split(b"\n")
