"""`Reader`: a loaded model that reads prompts: one forward pass, with or without recorded attention.

The base of `VLM`. Not for decoding answers (see `model.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch

from isi_widget.errors import InputError
from isi_widget.interventions import ContrastiveDecoding
from isi_widget.pretrained.out_of_memory import is_out_of_memory
from isi_widget.stimulus.effects import GaussianNoise
from isi_widget.vlm.decoding.cache import fork
from isi_widget.vlm.decoding.contrast import contrasted
from isi_widget.vlm.decoding.loop import Prefill
from isi_widget.vlm.inside.attention import AttentionRecorder, Observer, recording, unobserved
from isi_widget.vlm.inside.door import reading, reason_against_prefill
from isi_widget.vlm.inside.editing import Editing
from isi_widget.vlm.loaded import LoadedModel
from isi_widget.vlm.nan import NanLogits, checked_logits
from isi_widget.vlm.prompts.noisy import Noisy
from isi_widget.vlm.prompts.prompt import Prompt
from isi_widget.vlm.protocol import StimulusLike
from isi_widget.vlm.trying import try_answers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Reader(LoadedModel):
    """A loaded model that reads prompts; `VLM` answers from what it has read."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tried_out = self.family.strict

    def try_out(self) -> None:
        """Compare two short answers with those of `generate`, for a model of an unlisted family; once.

        `load_vlm` calls it; a model made by hand is tried before it first reads.

        Raises
        ------
        InputError
            If they differ by more than rounding, or the model cannot be run.
        """
        with self.lock:
            if self._tried_out:
                return
            self._tried_out = True  # the trial itself reads
            try:
                try_answers(self, self.prefill)
            except BaseException:
                self._tried_out = False
                raise

    def encode(self, stimulus: StimulusLike) -> Prompt:
        """Return the prompt of a stimulus; its token ids are the processor's own, each with its segment."""
        with self.lock:
            return self.encoder.encode(stimulus)

    def token_boxes(self, stimulus: StimulusLike) -> npt.NDArray[np.float64]:
        """Where each image token lies: boxes [image tokens, 4], in the order of the prompt's image tokens.

        Left, top, right, bottom in pixels of `stimulus.render()`; NaN for a token without a place (newline
        tokens, padding, learned queries).

        Raises
        ------
        InputError
            If it is not known for this model where they lie, and what `encode` raises.
        """
        return self.boxes(self.encode(stimulus))

    def boxes(self, prompt: Prompt) -> npt.NDArray[np.float64]:
        """As `token_boxes`, of a prompt that `encode` has made."""
        with self.lock:
            boxes = self.family.token_boxes(self.processor, self.model.config, prompt.size, prompt.images)
            tokens = prompt.ids.count(cast(int, self.family.image_token_id(self.model)))
        if len(boxes) != tokens:
            raise InputError(
                f"The prompt has {tokens} image tokens, but {len(boxes)} places follow from the processor's "
                "settings. Use the processor that belongs to the model."
            )
        return boxes

    def prefill(self, stimulus: StimulusLike | Prefill, *, attention: bool | None = None) -> Prefill:
        """Let the model read a stimulus once; answers, samples and measures start from the result.

        Parameters
        ----------
        attention : also record the attention of the row that predicts the first answer token (one row: almost
            free). None: wherever the model allows it; True: refuse a model that does not.
        """
        if isinstance(stimulus, Prefill):
            if stimulus.owner != self.identity:
                raise InputError(reason_against_prefill(self, stimulus.owner))
            return stimulus
        with self.lock:
            prompt = self.encode(stimulus)
            if attention is None:
                attention = not self._reason_against_attention()
            if not attention:
                return self.read(prompt)
            recorder = self.recorder(prompt)
            return replace(self.read(prompt, recorder), mass=recorder.mass()[0].numpy())

    def read(self, prompt: Prompt, *observers: Observer) -> Prefill:
        """Run the forward pass over a prompt; return a `Prefill` without `mass`.

        Parameters
        ----------
        observers
            What sees the pass, after the interventions; a recorder sees the row that predicts the first
            answer token.

        Raises
        ------
        InputError
            If attention is to be recorded and cannot be, or an intervention does not fit the prompt.
        """
        self.try_out()
        if observers:
            self.check_attention()
        with self.lock, torch.no_grad(), self.explained("reading the prompt"):
            editing = self.inside.editing(self, prompt)
            prefill = self._pass(prompt, editing, observers)
            if (contrast := self.inside.contrastive) is None:
                return prefill
            return contrasted(prefill, self._worse(prompt, contrast), contrast)

    def read_without_image(self, prompt: Prompt, *observers: Observer) -> Prefill:
        """As `read`, of a prompt without its image tokens, under the same interventions.

        Groups of tokens are those of the whole prompt. A contrastive decoding does not act here.

        Raises
        ------
        InputError
            If the model cannot read a prompt without a picture.
        """
        self.try_out()
        short, kept = prompt.without_image()
        with self.lock, torch.no_grad(), self.explained("reading the prompt without its picture"):
            editing = self.inside.editing(self, prompt, kept)
            try:
                return self._pass(short, editing, observers)
            except (TypeError, ValueError, AttributeError, KeyError, IndexError, RuntimeError) as error:
                if isinstance(error, InputError | NanLogits) or is_out_of_memory(error):
                    raise
                raise InputError(
                    f"{self.model_id} cannot read a prompt without a picture ({type(error).__name__}: "
                    f"{str(error).strip().partition(chr(10))[0][:200]})."
                ) from error

    def _worse(self, prompt: Prompt, contrast: ContrastiveDecoding) -> Prefill:
        """Read the input that a contrastive decoding contrasts with."""
        with unobserved():
            if contrast.by == "m3id":
                return self.read_without_image(prompt)
            if prompt.stimulus is None:
                raise InputError("This prompt has no picture that noise could be added to.")
            noisy = self.encode(Noisy(prompt.stimulus, GaussianNoise(contrast.noise or 0.0, contrast.seed)))
            if noisy.ids != prompt.ids:
                raise InputError(
                    "The processor makes another prompt of the noisy picture than of the picture itself; "
                    'VCD needs the same tokens. Use ContrastiveDecoding(by="m3id").'
                )
            return self._pass(noisy, self.inside.editing(self, noisy))

    def _pass(self, prompt: Prompt, editing: Editing | None, observers: tuple[Observer, ...] = ()) -> Prefill:
        """Run the forward pass over a prompt under placed interventions."""
        inputs: dict[str, Any] = {
            "input_ids": prompt.input_ids.to(self.device),
            **self.image_features.inputs(prompt),
        }
        for observer in observers:
            observer.begin(len(prompt))
        model = self.model
        if not prompt.images:
            # Some models insist on a picture: the part that reads further tokens reads a prompt without one.
            # What is kept of the picture before would shift the positions of such tokens.
            model = self.family.continued(model)
            self.family.restore([(module, None) for module, _ in self.family.state(self.model)])
        with reading(self, prompt, editing, observers):
            output = model(**inputs, use_cache=True, logits_to_keep=1)
        logits = checked_logits(output.logits[0, -1])
        cache = self.family.cache(output) if prompt.images else output.past_key_values
        resume = self.inside.resume(self, self.family.resume(self.model), editing)
        return Prefill(prompt, logits, cache, None, self.identity, resume)

    def recorder(self, prompt: Prompt) -> AttentionRecorder:
        """Return an attention recorder for a prompt: its segments are the groups (`Prompt.groups`)."""
        return AttentionRecorder(torch.tensor(prompt.group_ids, dtype=torch.long), len(prompt.groups))

    def teacher_force(
        self, stimulus: StimulusLike | Prefill, token_ids: Sequence[int]
    ) -> tuple[tuple[float, ...], npt.NDArray[np.float32]]:
        """Log-probabilities [T] and attention mass [T, layers, heads, groups] of a given answer.

        One forward pass after the prefill. Row t of the mass is the attention of the position that predicts
        answer token t.
        """
        if not token_ids:
            raise InputError("The answer has no tokens, so there is no row of attention to measure.")
        with self.lock, torch.no_grad(), self.explained("measuring attention"):
            prefill = self.prefill(stimulus)
            mass = self._first_row(prefill)
            logits = prefill.logits[None]
            if len(token_ids) > 1:
                recorder = self.recorder(prefill.prompt)
                logits = torch.cat([logits, self.feed(prefill, token_ids[:-1], recorder)])
                mass = torch.cat([mass, recorder.mass()])
            chosen = torch.tensor(token_ids, device=logits.device)[:, None]
            logprobs = logits.log_softmax(dim=-1).gather(1, chosen).squeeze(1).tolist()
            return tuple(logprobs), mass.numpy()

    def feed(self, prefill: Prefill, token_ids: Sequence[int], recorder: AttentionRecorder) -> torch.Tensor:
        """Raw logits [n, vocabulary], float32, after each of n tokens that follow a prompt, in one pass.

        `recorder` sees the row of each of these tokens.
        """
        with self.lock, torch.no_grad(), self.explained("measuring attention"):
            fed = torch.tensor([list(token_ids)], device=self.device)
            recorder.begin(len(prefill.prompt) + fed.shape[1], rows=fed.shape[1])
            with recording(self.model, self.family.text_config, recorder):
                output = prefill.resume(input_ids=fed, past_key_values=fork(prefill.cache), use_cache=True)
            return checked_logits(output.logits[0])

    def _first_row(self, prefill: Prefill) -> torch.Tensor:
        """Return the mass [1, layers, heads, groups] of the row that predicts the first answer token."""
        if prefill.mass is None:
            self.check_attention()
            raise InputError(
                "This Prefill was made without attention. Make it with vlm.prefill(stimulus, attention=True)."
            )
        return torch.from_numpy(prefill.mass)[None]
