"""`SessionTwins`: the methods of a probe that keep its work: `save`, `keep`, `session`.

Not for how it is kept (`keeper.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import overload

from isi_widget.errors import InputError
from isi_widget.files.writing import write_file
from isi_widget.widget.session.keeper import Keeper
from isi_widget.widget.sync import Synced


class SessionTwins(Synced):
    """Methods for the session of a probe."""

    _keeper: Keeper | None = None
    #: Numbers of trials whose files could not be read: they are not given again.
    _unread: frozenset[int] | set[int] = frozenset()

    @property
    def session(self) -> Path | None:
        """The folder in which the work is kept as it happens; None for a probe without one."""
        return None if self._keeper is None else self._keeper.folder

    def keep(self) -> Path:
        """Wait until everything is on the disk, and return the folder of the session.

        Not needed in a notebook: each change is written within moments. Raises `InputError` if the probe has
        no session, or its folder cannot be written.
        """
        keeper = self._keeper
        if keeper is None:
            raise InputError(
                'This probe has no session. Make it as isi.Probe(vlm, obs, session="folder"), or write its '
                "work "
                "into one file with probe.save(path)."
            )
        keeper.flush()
        if keeper.problem:
            raise InputError(keeper.problem)
        return keeper.folder

    @overload
    def save(self, path: None = None) -> bytes: ...

    @overload
    def save(self, path: str | Path) -> Path: ...

    def save(self, path: str | Path | None = None) -> bytes | Path:
        """Write all work of the probe into one file, like the page's Save: drawings with their undo history,
        trials, notes, pins and settings. `isi.open_probe(path)` opens it, also on another computer.

        path : the file to write, at once or not at all, such as "homework.isi"; None (default): the bytes are
            returned. Raises `InputError` if it cannot be written.
        """
        from isi_widget.widget.session.archive import pack

        made = pack(self)
        if path is None:
            return made
        target = Path(path).expanduser()
        try:
            write_file(target, made)
        except OSError as error:
            raise InputError(
                f"The probe cannot be saved to {str(path)!r}: {error.strerror or error}. Give a file in a "
                "folder "
                "that exists and may be written to."
            ) from None
        return target
