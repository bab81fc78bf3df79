"""`InputTwins`: Python twins of the page's changes to the input: undo, choice of observation, own pictures.

Not for the canvas, which sets `stimulus`, nor for the content of documents (`editor.py`).
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
    """Methods that change the input of a probe."""

    def undo(self) -> None:
        """Undo the last step, whether it was made on the page or in Python."""
        past = self.document["past"]
        if past and "observation" in past[-1]:
            self._cross(past[-1])
        else:
            self._set(document=doc.undo(self.document))

    def redo(self) -> None:
        """Redo the last undone step."""
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
        """Open your own picture, like Open, drop and paste on the page. It stays in the list of observations;
        `undo` restores the previous picture with its drawings.

        Parameters
        ----------
        image : path, bytes of an image file, Pillow image, NumPy array or Picture.
        question : question; None (default) keeps the current one.
        context : context; None (default) keeps the current one.
        answer : true answer, or None (default); `truth` sets it later.
        name : name in the list of observations; None (default): the name of the file.

        Raises
        ------
        InputError : unreadable image, or a text of the wrong type.
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
        """The true answer for the current input, or None. You can set it for your own picture, as on the
        page. `InputError`: the observation belongs to the data set.
        """
        return self._current().truth

    @truth.setter
    def truth(self, answer: str | bool | int | None) -> None:
        with self._exclusive(), self.hold_sync():
            self.document = self._editor.tell_truth(answer, self.document)
            self._refresh(wait=True)
        self._follow()

    def choose(self, index: int) -> None:
        """Choose an observation of the data set, or one of your own pictures (numbered after them), without
        drawings. One `undo` restores its former drawings.
        """
        protocol.check_index(index, self._editor.count)
        if index == self._editor.index:
            self._set(document=self._editor.bare(self.document))
        else:
            self._set(observation_index=index)

    def reshuffle(self, part: str = "context") -> None:
        """Choose a different random "image" or "context" of the data set.

        Raises
        ------
        InputError : the data set has none.
        """
        operation = self._editor.reshuffled(self._current(), protocol.check_part(part))
        kept = [item for item in self.document["operations"] if item["op"] != part]
        self._set(document=doc.step(self.document, [*kept, operation]))

    def cut(self, operation: int, observation: int) -> Stimulus:
        """Take a copied patch from the image of another observation of the data set ("of observation" on the
        page): the same region in that image.

        operation : number of the patch among `stimulus.operations`.
        observation : number of the observation in the data set; the current one copies from the image itself.
            Raises `InputError` if there is none.
        """
        with self._exclusive():
            self.stimulus = self._editor.cut(self._current(), operation, observation)
        return self.stimulus
