"""`Requests`: answers the messages of a page. Each kind of message has one method.

A method returns the answer to send under the id of the message, or None if there is nothing to send. Quick
methods run at once; slow ones run in a worker, only the newest of a kind. Not for checking messages
(`messages.py`), nor for synced values that a page sets (`sync.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from isi_widget.datasets import Observation
from isi_widget.errors import InputError
from isi_widget.interventions import keyed
from isi_widget.stimulus import Picture, inpainters, load_image
from isi_widget.stimulus.inpainting import DEFAULT
from isi_widget.stimulus.lettering import FONT
from isi_widget.stimulus.loading import noting
from isi_widget.study.code import conditions_code
from isi_widget.uncertainty.judge import EMBEDDED, RULES
from isi_widget.uncertainty.judges import AUTO
from isi_widget.widget import judges, messages, protocol
from isi_widget.widget import preview as pictures
from isi_widget.widget import trials as tr
from isi_widget.widget.assets import asset
from isi_widget.widget.counts import Counts
from isi_widget.widget.inside import lens_view
from isi_widget.widget.jobs import Job, Worker
from isi_widget.widget.maps import Maps
from isi_widget.widget.models import Source, offer
from isi_widget.widget.segmenting import Segmenting
from isi_widget.widget.uploads import ImageFile, Parts

if TYPE_CHECKING:
    from isi_widget.mechanism.lens import LogitLens
    from isi_widget.widget.probe import Probe


#: Kinds that run in the worker.
_SLOW = frozenset(
    {
        "models",
        "judges",
        "undo",
        "redo",
        "cut",
        "reshuffle",
        "thumbnails",
        "tokens",
        "color",
        "detail",
        "picture",
        "map",
        "code",
        "conditions",
        "export",
        "save",
        "still",
    }
)
#: Kinds whose failure is shown in place of a run's result.
_RESULTS = frozenset(
    {"run", "load", "judge", "code", "conditions", "map", "export", "heads", "trace", "lens"}
)


@dataclass(frozen=True)
class Answer:
    """Answer to a request of a page: JSON-ready fields and their buffers."""

    record: Mapping[str, Any]
    buffers: Sequence[bytes] = ()


class Deferred:
    """Stands for an answer that is sent later, from the model's thread."""


DEFERRED = Deferred()


class Requests:
    """Answers the messages of the pages of one probe."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._worker = Worker("isi-requests")
        self._parts = Parts()
        self._counts = Counts()
        self._maps = Maps()
        self._segmenting = Segmenting(
            lambda id, answer: self._reply("segment", id, Answer(answer)),
            lambda id: probe.send({"kind": "dropped", "id": id}),
            lambda error, id: probe._fail(error, None, request=id),
        )

    def release(self) -> None:
        """End the thread when it has no work."""
        self._worker.release()
        self._segmenting.release()

    def rest(self) -> None:
        """End a thread without work now."""
        self._worker.rest()
        self._segmenting.rest()

    def receive(self, content: Any, buffers: Sequence[Any]) -> None:
        """Take one custom message of the page, and return.

        This may be the kernel's only thread, or a sub-shell's.
        """
        id = content.get("id") if isinstance(content, Mapping) else None
        id = id if isinstance(id, str) and len(id) <= 200 else None
        try:
            self._probe._runs.controller.watched = True
            message = messages.parse_message(content, buffers)
            if isinstance(message, messages.Upload):
                self._on_upload(message, id)
                return
            if isinstance(message, messages.Segment):
                self._on_segment(message)
                return
        except Exception as error:
            self._probe._fail(error, id)
            return
        kind = type(message).__name__.lower()
        work = getattr(self, f"_on_{kind}")
        if kind in _SLOW:
            self._later(kind, id, lambda: work(message))
            return
        with self._probe._for_page():
            self._do(kind, id, lambda: work(message), Exception)

    def _later(self, kind: str, id: str | None, work: Callable[[], Answer | None]) -> None:
        """Handle a page's request in the worker; the newest of a kind waits."""
        # separate kind for colours: requests of the moving pointer must not replace that of a click
        waits = f"color {id}" if kind == "color" else kind
        # no other code would see an exception in this thread
        job = Job(id or kind, lambda job: self._do(kind, id, work, BaseException), kind=waits)
        replaced = self._worker.submit(job)
        if replaced is not None and replaced.id != kind:
            self._probe.send({"kind": "dropped", "id": replaced.id})

    def _do(
        self,
        kind: str,
        id: str | None,
        work: Callable[[], Answer | Deferred | None],
        caught: type[BaseException],
    ) -> None:
        """Run the request and send the answer, or show why it failed."""
        try:
            answer = work()
        except caught as error:
            self._probe._fail(error, id if kind in _RESULTS else None, request=id)
            return
        self._reply(kind, id, answer)

    def _reply(self, kind: str, id: str | None, answer: Answer | Deferred | None) -> None:
        if isinstance(answer, Deferred):
            return
        if answer is not None:
            of = {"id": id} if id else {}
            self._probe.send({"kind": kind, **of, **answer.record}, buffers=list(answer.buffers))
        elif id:
            self._probe.send({"kind": "done", "id": id})

    # ---- runs and models
    def _on_run(self, asked: messages.Run) -> None:
        self._probe._runs.start(asked.id, asked.measures, asked.settings or {}, plain=asked.plain)

    def _on_cancel(self, asked: messages.Cancel) -> None:
        self._probe._runs.controller.cancel(asked.run)
        self._segmenting.cancel(asked.run)

    def _on_load(self, asked: messages.Load) -> None:
        self._probe._runs.load(asked.id, Source(asked.name, {"quantization": asked.quantization}))

    def _on_models(self, _: messages.Models) -> Answer:
        return Answer(offer(self._probe._runs.slot))

    def _on_judges(self, _: messages.Judges) -> Answer:
        return Answer(judges.offer(self._probe.vlm))

    def _on_judge(self, asked: messages.Judge) -> None:
        def take() -> None:
            self._probe.entailment = asked.name

        if asked.name in (AUTO, RULES, EMBEDDED):
            take()
            return
        with self._probe._exclusive():
            self._probe.error = None
        self._probe._runs.controller.load_judge(asked.id, asked.name, take)

    # ---- the input
    def _on_history(self, _: messages.History) -> None:
        with self._probe._exclusive():
            self._probe._send_whole_document()

    def _on_segment(self, message: messages.Segment) -> None:
        self._segmenting.start(message, lambda: self._probe.stimulus, self._probe.segmenter)

    def _on_upload(self, part: messages.Upload, id: str | None) -> None:
        """Keep one part of a file; the last one brings the picture, and the answer."""
        data = self._parts.add(part)
        if data is not None:
            work = self._keep if part.keep else self._open
            self._worker.submit(Job("upload", lambda job: work(part.name, data, id)))

    def _keep(self, name: str, data: bytes, id: str | None) -> None:
        """Keep the picture of the file for operations that name it."""
        try:
            with noting():
                picture = load_image(data)
            answer = self._kept(picture)
        except Exception as error:
            self._probe._fail(error, message=f"{name}: {error}", request=id)
            return
        self._reply("upload", id, answer)

    def _kept(self, picture: Picture) -> Answer:
        with self._probe._exclusive():
            self._probe._editor.keep(picture)
        return Answer({"image": picture.sha256, "width": picture.width, "height": picture.height})

    def _on_picture(self, asked: messages.Picture) -> Answer:
        editor = self._probe._editor
        if asked.observation is None:
            return self._kept(load_image(pictures.shown(self._probe._current())))
        if asked.observation >= editor.count:
            raise InputError(
                f"There is no observation {asked.observation}; there are {editor.count}, from 0."
            )
        return self._kept(editor.at(asked.observation).image)

    def _on_inpainters(self, _: messages.Inpainters) -> Answer:
        found = [
            {"name": item.name, "title": item.title, "quick": item.quick, "prompt": item.prompt}
            for item in inpainters().values()
        ]
        return Answer({"default": DEFAULT, "inpainters": found})

    def _on_complete(self, _: messages.Complete) -> None:
        with self._probe._exclusive():
            self._probe.error = None
        self._probe._completing = ()
        self._probe._refresh(wait=False)

    def _open(self, name: str, data: bytes, id: str | None) -> None:
        """Show the picture of the file."""
        try:
            with noting() as notes:
                picture = load_image(data)
            now = self._probe._current()
            image = ImageFile(data, picture)
            self._probe._show_own(
                Observation(image, now.current_question, now.current_context, id=name or "own")
            )
        except Exception as error:
            # A file that Pillow cannot read can usually be read by the program that made it.
            hint = "Open it in an image program and save it again as PNG or JPEG."
            self._probe._fail(error, message=f"{name}: {error}", hint=hint, request=id)
            return
        if notes:
            message = f"{name}: {'; '.join(notes)}."
            hint = "This is what the model is shown."
            self._probe.send({"kind": "notice", "message": message, "hint": hint})
        self._reply("upload", id, None)

    def _on_undo(self, _: messages.Undo) -> None:
        self._probe.undo()

    def _on_redo(self, _: messages.Redo) -> None:
        self._probe.redo()

    def _on_truth(self, asked: messages.Truth) -> None:
        self._probe.truth = asked.text.strip() or None

    def _on_cut(self, asked: messages.Cut) -> None:
        self._probe.cut(asked.operation, asked.observation)

    def _on_reshuffle(self, asked: messages.Reshuffle) -> None:
        self._probe.reshuffle(asked.part)

    def _on_thumbnails(self, asked: messages.Thumbnails) -> Answer:
        """Return small pictures of observations, for the rows that the page shows: never a trait, never
        saved.
        """
        found = [self._probe._editor.thumbnail(index) for index in asked.indexes]
        return Answer({"indexes": list(asked.indexes)}, found)

    def _on_tokens(self, _: messages.Tokens) -> Answer | None:
        """Return how many tokens the prompt has by segment, or why the model would refuse it; and how many
        the texts had that were replaced by hand.

        Nothing while the model is busy: the page asks again when it is free.
        """
        if self._probe._runs.controller.status()["state"] != "idle":
            return None
        stimulus = self._probe._current()
        counts, problem, original = None, "", {}
        if stimulus.current_question.strip() and "segments" not in self._probe._runs.slot.unavailable:
            vlm = self._probe._runs.slot.vlm
            counts, problem = self._counts.of(stimulus, vlm)
            if counts is not None:
                before = self._probe._editor.original(self._probe.document)
                original = self._counts.original(stimulus, before, vlm)
        label = self._probe.model["label"]
        key = keyed(stimulus.key, self._probe._runs.interventions)
        return Answer(
            {"key": key, "model": label, "counts": counts, "original": original, "problem": problem}
        )

    def _on_color(self, asked: messages.Color) -> Answer | None:
        """Return the colour of a pixel of the current stimulus; none outside the image."""
        image = pictures.shown(self._probe.stimulus)
        if asked.x >= image.width or asked.y >= image.height:
            return None
        red, green, blue = cast(tuple[int, int, int], image.getpixel((asked.x, asked.y)))
        return Answer({"color": f"#{red:02x}{green:02x}{blue:02x}"})

    def _on_detail(self, asked: messages.Detail) -> Answer | None:
        """Return a part of the picture in full resolution; nothing if it is empty."""
        stimulus = self._probe.stimulus
        found = pictures.detail(pictures.shown(stimulus), asked.region, asked.width)
        if found is None:
            return None
        data, region = found
        return Answer({"region": list(region), "key": pictures.key(stimulus)}, [data])

    # ---- trials
    def _on_map(self, asked: messages.Map) -> Answer:
        trial = self._probe._history.get(asked.trial)
        if trial is None:
            raise InputError(f"There is no trial {asked.trial}.")
        layer, share, peak = self._maps.layer(trial, self._probe._runs.seen_as(trial), asked.token)
        return Answer({"share": share, "peak": peak}, [layer])

    def _on_heads(self, asked: messages.Heads) -> Deferred:
        self._probe._jobs.heads(asked.id, asked.trial, asked.exact)
        return DEFERRED

    def _on_trace(self, asked: messages.Trace) -> Deferred:
        self._probe._jobs.trace(asked.id, asked.clean, asked.corrupt)
        return DEFERRED

    def _on_lens(self, asked: messages.Lens) -> Deferred:
        def then(found: LogitLens) -> None:
            self._reply("lens", asked.id, Answer(lens_view(found)))

        self._probe._jobs.lens(asked.id, asked.trial, then)
        return DEFERRED

    def _on_code(self, asked: messages.Code) -> Answer:
        return Answer({"text": self._probe.code(asked.trial)})

    def _on_conditions(self, _: messages.Conditions) -> Answer:
        return Answer({"text": conditions_code(self._probe.conditions(), write_pictures=True)})

    def _on_restore(self, asked: messages.Restore) -> None:
        self._probe.restore(asked.trial)

    def _on_delete(self, asked: messages.Delete) -> None:
        self._probe.delete(asked.trial)

    def _on_note(self, asked: messages.Note) -> None:
        self._probe.note(asked.trial, asked.text)

    def _on_save(self, _: messages.Save) -> Answer:
        made, folder = self._probe.save(), self._probe.session
        if len(made) > protocol.MAX_UPLOAD:
            raise InputError(
                f"The file has {len(made) >> 20} MB; at most {protocol.MAX_UPLOAD >> 20} MB travel to a "
                'page. Write it from a cell: probe.save("probe.isi").'
            )
        name = "probe" if folder is None else folder.resolve().name or "probe"
        return Answer({"name": f"{name}.isi", "type": "application/octet-stream"}, [made])

    def _on_export(self, asked: messages.Export) -> Answer:
        numbers = self._probe._history.numbers(asked.trials)
        made = self._probe._file(numbers, asked.format)
        name = tr.file_name(numbers, asked.format)
        if len(made) > protocol.MAX_UPLOAD:
            raise InputError(
                f"{name} has {len(made) >> 20} MB; at most {protocol.MAX_UPLOAD >> 20} MB travel to a "
                f"page. Write it from a cell: probe.export({numbers}, {asked.format!r}, path={name!r})."
            )
        return Answer({"name": name, "type": protocol.FORMATS[asked.format]}, [made])

    # ---- what is not saved with the notebook
    def _on_editor(self, _: messages.Editor) -> Answer:
        return Answer({"text": asset("editor.js").read_text(encoding="utf-8")})

    def _on_font(self, _: messages.Font) -> Answer:
        return Answer({}, [FONT.read_bytes()])

    def _on_still(self, _: messages.Still) -> Answer:
        still = self._probe._outputs.still()
        return Answer({"number": still.number, "data": still.bundle()})
