"""Writing the folder of a session: each file completely or not at all, each picture once.

Not for when something is written, nor what (`keeper.py`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from isi_widget.files.writing import write_file
from isi_widget.stimulus import Picture
from isi_widget.widget.session import journal, layout
from isi_widget.widget.session.collecting import as_json

#: Changes are written into a new state when they are larger than this, and than the state: bytes.
_LONG = 256 * 1024
#: `SessionFolder.mark` of a folder without a session.
NOTHING = (-1, -1)


class SessionFolder:
    """The files of one session.

    Parameters
    ----------
    path : folder.
    generation : number of the present state; 0 without one.
    pictures : SHA-256 of the present pictures.
    """

    def __init__(self, path: Path, generation: int, pictures: set[str]) -> None:
        self.path = path
        self._generation = generation
        self._pictures = pictures
        self._size = 0
        self._appended = 0

    @property
    def is_long(self) -> bool:
        """Whether it is time to write the state anew."""
        return self._appended > max(_LONG, 2 * self._size)

    @property
    def mark(self) -> tuple[int, int]:
        """What another writer would have changed: sizes of the state and of its changes; -1 without a
        file.
        """
        sizes = []
        for name in (layout.STATE, layout.CHANGES):
            try:
                sizes.append((self.path / name).stat().st_size)
            except OSError:
                sizes.append(-1)
        return sizes[0], sizes[1]

    def forget(self) -> None:
        """Look for the written pictures again: a write has failed, or the folder was deleted."""
        folder = self.path / layout.PICTURES
        self._pictures = {path.stem for path in folder.iterdir()} if folder.is_dir() else set()

    def write_state(self, state: journal.State, keep_changes: bool = False) -> None:
        """Write the whole state; the changes before it then count no more.

        keep_changes : whether the file of changes is kept under another name, since it is damaged.
        """
        for name in (layout.TRIALS, layout.PICTURES):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        self._generation += 1
        content = as_json({**state, "generation": self._generation})
        write_file(self.path / layout.STATE, content)
        changes = self.path / layout.CHANGES
        if keep_changes and changes.exists():
            changes.replace(_free(self.path, f"damaged-{layout.CHANGES}"))
        changes.unlink(missing_ok=True)
        self._size, self._appended = len(content), 0

    def append(self, changes: journal.State) -> None:
        """Append one line of changes. A line that is cut off by a kill is ignored when it is read."""
        line = as_json({"of": self._generation, "changes": changes}) + b"\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(self.path / layout.CHANGES, flags, 0o666), "ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._appended += len(line)

    def write_pictures(self, record: bytes, pictures: Mapping[str, Picture]) -> None:
        """Write the pictures that a record names and that are not there yet."""
        for digest in sorted(set(layout.DIGEST.findall(record.decode("utf-8", "surrogatepass")))):
            if digest in pictures and digest not in self._pictures:
                target = self.path / layout.picture_name(digest)
                target.parent.mkdir(parents=True, exist_ok=True)
                write_file(target, pictures[digest].png())
                self._pictures.add(digest)

    def write_trial(self, number: int, record: bytes) -> None:
        """Write the file of a trial."""
        target = self.path / layout.trial_name(number)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_file(target, record)

    def has_trial(self, number: int) -> bool:
        """Return whether the file of a trial is there."""
        return (self.path / layout.trial_name(number)).is_file()

    def remove_trial(self, number: int) -> None:
        """Delete the file of a trial; nothing happens if there is none."""
        (self.path / layout.trial_name(number)).unlink(missing_ok=True)


def _free(folder: Path, name: str) -> Path:
    path = folder / name
    number = 1
    while path.exists():
        number += 1
        path = folder / f"{number}-{name}"
    return path
