"""`Requests`: what a page asks for by a message, and the answer. Each kind of message has one method here.

Quick ones are done at once; what takes time is done in a worker, the newest of a kind. Not for the check of
messages (`messages.py`), nor for the synced values that a page sets (`sync.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from isi_widget.datasets import Observation
from isi_widget.errors import InputError
from isi_widget.stimulus import load_image
from isi_widget.stimulus.lettering import FONT
from isi_widget.stimulus.loading import noting
from isi_widget.uncertainty.judge import EMBEDDED, RULES
from isi_widget.uncertainty.judges import AUTO
from isi_widget.widget import judges, messages, protocol
from isi_widget.widget import preview as pictures
from isi_widget.widget import trials as tr
from isi_widget.widget.assets import asset
from isi_widget.widget.counts import Counts
from isi_widget.widget.jobs import Job, Worker
from isi_widget.widget.maps import Maps
from isi_widget.widget.models import Source, offer
from isi_widget.widget.uploads import ImageFile, Parts

if TYPE_CHECKING:
    from isi_widget.widget.probe import Probe


class Requests:
    """Answers the messages of the pages of one probe."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._worker = Worker("isi-requests")
        self._parts = Parts()
        self._counts = Counts()
        self._maps = Maps()

    def release(self) -> None:
        """Keep no thread without work from now on."""
        self._worker.release()

    def receive(self, content: Any, buffers: Sequence[Any]) -> None:
        """One custom message of the page. Hands over and returns: this may be the kernel's only thread, or a
        sub-shell's.
        """
        id = content.get("id") if isinstance(content, Mapping) else None
        id = id if isinstance(id, str) and len(id) <= 200 else None
        try:
            self._probe._runs.controller.watched = True
            message = messages.parse_message(content, buffers)
            with self._probe._for_page():
                getattr(self, f"_on_{type(message).__name__.lower()}")(message)
        except Exception as error:
            self._probe._fail(error, id)

    def _later(self, kind: str, work: Callable[[], object], id: str | None = None) -> None:
        """Do what a page asked for in the worker, and tell of what goes wrong; the newest of a kind waits."""

        def told(job: Job) -> None:
            try:
                work()
            except BaseException as error:  # in the loader's thread: nobody else would learn of it
                self._probe._fail(error, id)

        self._worker.submit(Job(id or kind, told, kind=kind))

    def _on_run(self, asked: messages.Run) -> None:
        self._probe._runs.start(asked.id, asked.what, asked.settings or {})

    def _on_cancel(self, asked: messages.Cancel) -> None:
        self._probe._runs.controller.cancel(asked.id)

    def _on_load(self, asked: messages.Load) -> None:
        self._probe._runs.load(asked.id, Source(asked.name, {"quantization": asked.quantization}))

    def _on_models(self, asked: messages.Models) -> None:
        self._later("models", lambda: self._probe.send({"kind": "models", **offer(self._probe._runs.slot)}))

    def _on_judges(self, asked: messages.Judges) -> None:
        self._later("judges", lambda: self._probe.send({"kind": "judges", **judges.offer(self._probe.vlm)}))

    def _on_judge(self, asked: messages.Judge) -> None:
        def take() -> None:
            self._probe.entailment = asked.name

        if asked.name in (AUTO, RULES, EMBEDDED):
            take()
            return
        with self._probe._exclusive():
            self._probe.error = None
        self._probe._runs.controller.load_judge(asked.id, asked.name, take)

    def _on_history(self, asked: messages.History) -> None:
        with self._probe._exclusive():
            self._probe._send_whole_document()

    def _on_upload(self, asked: messages.Upload) -> None:
        data = self._parts.add(asked)
        if data is not None:
            self._worker.submit(Job("upload", lambda job: self._upload(asked.name, data)))

    def _upload(self, name: str, data: bytes) -> None:
        try:
            with noting() as notes:
                picture = load_image(data)
            now = self._probe._current()
            image = ImageFile(data, picture)
            self._probe._show_own(
                Observation(image, now.current_question, now.current_context, id=name or "own")
            )
        except Exception as error:
            # What Pillow cannot read is most often read by what made it.
            hint = "Open it in an image program and save it again as PNG or JPEG."
            self._probe._fail(error, message=f"{name}: {error}", hint=hint)
            return
        if notes:
            told = f"{name}: {'; '.join(notes)}."
            self._probe.send({"kind": "notice", "message": told, "hint": "This is what the model is shown."})

    def _on_undo(self, asked: messages.Undo) -> None:
        self._later("undo", self._probe.undo)

    def _on_redo(self, asked: messages.Redo) -> None:
        self._later("redo", self._probe.redo)

    def _on_truth(self, asked: messages.Truth) -> None:
        self._probe.truth = asked.text.strip() or None

    def _on_cut(self, asked: messages.Cut) -> None:
        self._later("cut", lambda: self._probe.cut(asked.operation, asked.observation))

    def _on_reshuffle(self, asked: messages.Reshuffle) -> None:
        self._later("reshuffle", lambda: self._probe.reshuffle(asked.part))

    def _on_thumbnails(self, asked: messages.Thumbnails) -> None:
        self._later("thumbnails", lambda: self._send_thumbnails(asked.indexes))

    def _send_thumbnails(self, indexes: Sequence[int]) -> None:
        """Small pictures of observations, for the rows that the page shows: never a trait, never saved."""
        found = [self._probe._editor.thumbnail(index) for index in indexes]
        self._probe.send({"kind": "thumbnails", "indexes": list(indexes)}, found)

    def _on_tokens(self, asked: messages.Tokens) -> None:
        self._later("tokens", self._send_tokens)

    def _send_tokens(self) -> None:
        """How many tokens the prompt has by segment, or why the model would refuse it.

        Nothing while the model is busy: the page asks again when it is free.
        """
        if self._probe._runs.controller.status()["state"] != "idle":
            return
        stimulus = self._probe._current()
        counts, problem = None, ""
        if stimulus.current_question.strip() and "segments" not in self._probe._runs.slot.unavailable:
            counts, problem = self._counts.of(stimulus, self._probe._runs.slot.vlm)
        told = {
            "key": stimulus.key,
            "model": self._probe.model["label"],
            "counts": counts,
            "problem": problem,
        }
        self._probe.send({"kind": "tokens", **told})

    def _on_color(self, asked: messages.Color) -> None:
        # a kind of its own: the pointer's questions must not push out that of a click
        self._later(f"color {asked.id}", lambda: self._tell_color(asked))

    def _tell_color(self, asked: messages.Color) -> None:
        """The colour of a pixel of the stimulus as it is now; outside of it there is none."""
        image = pictures.shown(self._probe.stimulus)
        if asked.x < image.width and asked.y < image.height:
            red, green, blue = cast(tuple[int, int, int], image.getpixel((asked.x, asked.y)))
            self._probe.send({"kind": "color", "id": asked.id, "color": f"#{red:02x}{green:02x}{blue:02x}"})

    def _on_detail(self, asked: messages.Detail) -> None:
        self._later("detail", lambda: self._send_detail(asked))

    def _send_detail(self, asked: messages.Detail) -> None:
        """A part of the picture in its own pixels; nothing, where there is none."""
        stimulus = self._probe.stimulus
        found = pictures.detail(pictures.shown(stimulus), asked.region, asked.width)
        if found is not None:
            data, region = found
            record = {"id": asked.id, "region": list(region), "key": pictures.key(stimulus)}
            self._probe.send({"kind": "detail", **record}, buffers=[data])

    def _on_map(self, asked: messages.Map) -> None:
        self._later("map", lambda: self._send_map(asked), asked.id)

    def _send_map(self, asked: messages.Map) -> None:
        trial = self._probe._history.get(asked.trial)
        if trial is None:
            raise InputError(f"There is no trial {asked.trial}.")
        layer, share, peak = self._maps.layer(trial, self._probe.vlm, asked.token)
        self._probe.send({"kind": "map", "id": asked.id, "share": share, "peak": peak}, buffers=[layer])

    def _on_code(self, asked: messages.Code) -> None:
        self._later("code", lambda: self._send_code(asked), asked.id)

    def _send_code(self, asked: messages.Code) -> None:
        self._probe.send({"kind": "code", "id": asked.id, "text": self._probe.code(asked.trial)})

    def _on_restore(self, asked: messages.Restore) -> None:
        self._probe.restore(asked.trial)

    def _on_delete(self, asked: messages.Delete) -> None:
        self._probe.delete(asked.trial)

    def _on_note(self, asked: messages.Note) -> None:
        self._probe.note(asked.trial, asked.text)

    def _on_export(self, asked: messages.Export) -> None:
        numbers = self._probe._history.numbers(asked.trials)
        self._later("export", lambda: self._send_file(asked, numbers), asked.id)

    def _send_file(self, asked: messages.Export, numbers: list[int]) -> None:
        made = self._probe._file(numbers, asked.format)
        name = tr.file_name(numbers, asked.format)
        if len(made) > protocol.MAX_UPLOAD:
            raise InputError(
                f"{name} has {len(made) >> 20} MB; at most {protocol.MAX_UPLOAD >> 20} MB travel to a "
                f"page. Write it from a cell: probe.export({numbers}, {asked.format!r}, path={name!r})."
            )
        record = {"kind": "export", "id": asked.id, "name": name, "type": protocol.FORMATS[asked.format]}
        self._probe.send(record, buffers=[made])

    def _on_editor(self, asked: messages.Editor) -> None:
        self._probe.send({"kind": "editor", "text": asset("editor.js").read_text(encoding="utf-8")})

    def _on_font(self, asked: messages.Font) -> None:
        self._probe.send({"kind": "font"}, buffers=[FONT.read_bytes()])

    def _on_still(self, asked: messages.Still) -> None:
        self._later("still", self._send_still)

    def _send_still(self) -> None:
        still = self._probe._outputs.still()
        self._probe.send({"kind": "still", "number": still.number, "data": still.bundle()})
