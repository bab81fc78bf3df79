"""`InputTwins`: the Python twins of what the page does to the input: undo, another observation, own pictures.

Not for the canvas itself, which sets `stimulus`, nor for what a document means (`editor.py`).
"""

from __future__ import annotations

import os
from pathlib import Path

from isi_widget.datasets import Observation
from isi_widget.stimulus import ImageSource, Stimulus
from isi_widget.widget import document as doc
from isi_widget.widget import protocol
from isi_widget.widget.sync import Synced


class InputTwins(Synced):
    """What changes the input of a probe."""

    def undo(self) -> None:
        """Take back the last gesture, whether it was made in the page or in Python."""
        past = self.document["past"]
        if past and "observation" in past[-1]:
            self._cross(past[-1])
        else:
            self._set(document=doc.undo(self.document))

    def redo(self) -> None:
        """Make the gesture again that was taken back last."""
        future = self.document["future"]
        if future and "observation" in future[0]:
            self._cross(future[0])
        else:
            self._set(document=doc.redo(self.document))

    def open_image(
        self,
        image: ImageSource,
        question: str | None = None,
        context: str | None = None,
        answer: str | bool | int | None = None,
        name: str | None = None,
    ) -> Observation:
        """Look at a picture of your own, as Open, drop and paste on the page do. It stays among the
        observations that can be chosen; `undo` brings back what was there before, with all that was drawn.

        Parameters
        ----------
        image : a path, bytes of an image file, a Pillow image, a NumPy array or a Picture.
        question, context : None: those that are shown now.
        answer : the true answer, or None; `truth` tells it later.
        name : in the list of observations; None: the name of the file.

        Raises
        ------
        InputError : the image cannot be read, or a text is none.
        """
        now = self._current()
        if name is None and isinstance(image, str | os.PathLike):
            name = Path(image).name
        observation = Observation(
            image,
            now.current_question if question is None else question,
            now.current_context if context is None else context,
            answer,
            id=name or "own",
        )
        self._show_own(observation)
        return observation

    @property
    def truth(self) -> str | None:
        """The true answer to what is shown now, or None; of a picture of your own it can be set, as on the
        page. `InputError`: the observation is one of the data set.
        """
        return self._current().truth

    @truth.setter
    def truth(self, answer: str | bool | int | None) -> None:
        with self._exclusive(), self.hold_sync():
            self.document = self._editor.tell_truth(answer, self.document)
            self._refresh(wait=True)
        self._follow()

    def choose(self, index: int) -> None:
        """Look at another observation of the data set, or at a picture of your own (numbered after them), as
        it is. What was done to it before (or to the present one, if that is chosen again) is one `undo` away.
        """
        protocol.check_index(index, self._editor.count)
        if index == self._editor.index:
            self._set(document=self._editor.bare(self.document))
        else:
            self._set(observation_index=index)

    def reshuffle(self, part: str = "context") -> None:
        """Another random "image" or "context" of the data set, never the one that is shown.

        Raises
        ------
        InputError : there is none.
        """
        operation = self._editor.reshuffled(self._current(), protocol.check_part(part))
        kept = [item for item in self.document["operations"] if item["op"] != part]
        self._set(document=doc.step(self.document, [*kept, operation]))

    def cut(self, operation: int, observation: int) -> Stimulus:
        """Cut a patch that is drawn from the image of another observation of the data set ("of observation"
        on the page): the region of one image in the other.

        operation : the number of the patch among `stimulus.operations`. observation : its number in the data
        set; the present one cuts from the image itself. Raises `InputError` if there is no such one.
        """
        with self._exclusive():
            self.stimulus = self._editor.cut(self._current(), operation, observation)
        return self.stimulus
