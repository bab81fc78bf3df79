"""The layout of a session: names of files, their schema, and bounds on what is read.

    session.json            the whole state: observation, documents with their undo history, settings, ...
    changes.jsonl           what changed since then, one line for each change, in order
    trials/000001.json      one trial by its number; pictures are named by their SHA-256
    pictures/<sha256>.png   each picture once
    lock                    the process that writes

`session.json` has a number, its "generation"; lines of `changes.jsonl` that name another one are ignored, and
so is a last line that was cut off. docs/sessions.md describes the fields.
"""

from __future__ import annotations

import re

FORMAT = "isi_widget.session"
SCHEMA = 1
STATE, CHANGES, LOCK, TRIALS, PICTURES = "session.json", "changes.jsonl", "lock", "trials", "pictures"
ENDING = ".isi"
#: Names of files inside a session; a file of another name is not one of a session's.
TRIAL_NAME = re.compile(r"trials/(\d{6,9})\.json")
PICTURE_NAME = re.compile(r"pictures/([0-9a-f]{64})\.png")
DIGEST = re.compile(r'"([0-9a-f]{64})"')
#: The index of an observation that is not of the data set, and the indices of all.
INDEX = re.compile(r"-1|0|[1-9]\d{0,8}")

LONGEST_NAME = 1000  # characters of the name of a model, a data set, an entailment model
MOST_FILES = 200_000
MOST_OBSERVATIONS = 10_000
MOST_BYTES = 2_000_000_000  # of all files of a zip file, unpacked
MOST_PIXELS = 1_000_000_000  # of all pictures of a zip file


def trial_name(number: int) -> str:
    """Return the name of the file of a trial."""
    return f"{TRIALS}/{number:06d}.json"


def picture_name(digest: str) -> str:
    """Return the name of the file of a picture."""
    return f"{PICTURES}/{digest}.png"
