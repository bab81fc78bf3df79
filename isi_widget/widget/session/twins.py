"""`SessionTwins`: the methods of a probe that keep its work: `session`, `keep`, `save`, `save_observation`.

Not for how it is kept (`keeper.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import EllipsisType
from typing import overload

from isi_widget.datasets import Observation, save_observation
from isi_widget.errors import InputError
from isi_widget.files.writing import write_for_user
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
                "work into one file with probe.save(path)."
            )
        keeper.flush()
        if keeper.problem:
            raise InputError(keeper.problem)
        return keeper.folder

    def save_observation(
        self,
        folder: str | Path,
        *,
        id: str | None = None,
        answer: str | bool | int | EllipsisType | None = ...,
        labels: str | Sequence[str] | None = None,
    ) -> Observation:
        """Append the current input to a data set of your own, with what was drawn; returns the observation.

        `isi.datasets.isi_vqa(folder)` reads it back. The picture without drawings, the picture as the model
        is shown it, the texts, the contexts of the presets, and the drawn boxes as COCO and YOLO; see
        `isi.datasets.save_observation`.

        Parameters
        ----------
        folder : folder of the data set; it is made if it does not exist.
        id : name of the observation; None (default): that of the chosen one. A taken one gets a number.
        answer : true answer; ... (default): the known truth of the current input, if any.
        labels : name of the drawn boxes, or one for each; None (default): the texts written at them.

        Raises
        ------
        InputError : the folder cannot be written, or holds a table of another kind.
        """
        with self._exclusive():
            stimulus, chosen, name = self._current(), self._editor.observation, self._editor.name
        boxes = stimulus.boxes or (() if chosen is None or chosen.is_scene else chosen.boxes)
        return save_observation(
            folder,
            stimulus,
            id=id or name,
            answer=answer,
            level=None if chosen is None else chosen.level,
            boxes=boxes,
            labels=labels,
            metadata=None if chosen is None else chosen.metadata,
        )

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
        return write_for_user("The saved probe", path, made)
