"""`LoadedModel`: a transformers model with its processor and family; what it is and what it cannot give.

The base of `VLM`. Not for reading prompts (see `reading.py`) nor for answering (see `model.py`).
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, cast

import torch

from isi_widget.errors import InputError
from isi_widget.interventions import Intervention, to_dicts
from isi_widget.pretrained.machine import free_memory
from isi_widget.pretrained.out_of_memory import out_of_memory_as_error
from isi_widget.pretrained.placement import devices_of, input_device, placed_on
from isi_widget.pretrained.quantization import computes_in, not_quantized
from isi_widget.vlm.decoding.yes_no import yes_no_ids
from isi_widget.vlm.families import Family, family_of
from isi_widget.vlm.features import ImageFeatures
from isi_widget.vlm.fingerprint import Fingerprint
from isi_widget.vlm.in_place import SetInPlace
from isi_widget.vlm.inside.attention import reason_against
from isi_widget.vlm.inside.comparing import reason_against_unlisted
from isi_widget.vlm.inside.door import Inside
from isi_widget.vlm.nan import NanLogits, nan_reason
from isi_widget.vlm.prompts.encoder import PromptEncoder
from isi_widget.vlm.prompts.turns import checked_history, checked_system

_SCENES_ONLY = "It knows drawn scenes of shapes and everyday things only."


class LoadedModel:
    """A transformers model with its processor, and the facts about it.

    The parameters and attributes are those of `VLM`.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        model_id: str,
        revision: str | None = None,
        quantization: str | None = None,
        is_embedded: bool = False,
        system: str | None = None,
        history: Sequence[Any] | None = None,
        processor_args: Mapping[str, Any] | None = None,
        adapter: str | None = None,
    ) -> None:
        self.model, self.processor = model, processor
        self.model_id, self.revision = model_id, revision
        self.quantization, self.is_embedded = quantization, is_embedded
        #: The arguments of `load_vlm` that made it, to load it again; None for a model made by hand.
        self.loaded_with: dict[str, Any] | None = None
        self.system, self.history = checked_system(system), checked_history(history)
        self.processor_args, self.adapter = dict(processor_args or {}), adapter
        self.family: Family = family_of(model.config)
        self.family.prepare(model)
        self.lock = threading.RLock()
        #: Unique in this process; an `id` could be used again by another model.
        self.identity = uuid.uuid4().hex
        self.inside = Inside()
        self._encoder = self._made_encoder()
        self.image_features = ImageFeatures(model, self.family)
        self._fingerprint = Fingerprint(model)
        self._set_in_place = SetInPlace(model, processor)

    @property
    def encoder(self) -> PromptEncoder:
        """What turns stimuli into prompts; made anew once processor, chat template, system prompt or earlier
        turns were set to others.
        """
        if self._encoder[0] != self._encoded_with():
            self._encoder = self._made_encoder()
        return self._encoder[1]

    def _encoded_with(self) -> tuple[object, ...]:
        processor = self.processor
        templates = (getattr(one, "chat_template", None) for one in (processor, processor.tokenizer))
        return (processor, processor.tokenizer, *templates, self.system, self.history)

    def _made_encoder(self) -> tuple[tuple[object, ...], PromptEncoder]:
        """Return an encoder, and what it is made with."""
        self.system, self.history = checked_system(self.system), checked_history(self.history)
        text_config = self.model.config.get_text_config()
        encoder = PromptEncoder(
            self.processor,
            self.family,
            self.family.image_token_id(self.model),
            getattr(text_config, "max_position_embeddings", None),
            limits=self.family.limits(self.model),
            system=self.system,
            history=self.history,
        )
        return self._encoded_with(), encoder

    @property
    def tokenizer(self) -> Any:
        """The fast tokenizer."""
        return self.processor.tokenizer

    @property
    def device(self) -> torch.device:
        """Where the model's inputs go; a model may be spread over more devices, see
        `load_vlm(device_map=...)`.
        """
        return input_device(self.model)

    @property
    def dtype(self) -> torch.dtype:
        """The type it computes in."""
        return cast(torch.dtype, self.model.dtype)

    @cached_property
    def parameters(self) -> int:
        """Number of parameters (quantised ones counted unpacked)."""
        return int(self.model.num_parameters())

    def info(self) -> dict[str, Any]:
        """Return the facts to keep beside a result; JSON-ready.

        set_in_place: settings of model and processor that were changed after both were made, if any.
        """
        changed = self._set_in_place(self.processor)
        in_place = {"set_in_place": changed} if changed else {}
        return {
            "name": self.model_id,
            "family": self.family.title,
            "parameters": self.parameters,
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "quantization": self.quantization,
            "not_quantized": list(self._not_quantized),
            "compute_dtype": self._compute_dtype,
            "revision": self.revision,
            "fingerprint": self._fingerprint({**self._given, **self._changed, **in_place}),
            **self._given,
            **in_place,
            **self._changed,
            **({} if self._device_map is None else {"device_map": self._device_map}),
            "loaded_with": self._loaded_with,
            "note": _SCENES_ONLY if self.is_embedded else "",
        }

    def take_remarks(self) -> tuple[str, ...]:
        """Return remarks on the runs since the last call: none for a model in this process."""
        return ()

    @property
    def _given(self) -> dict[str, Any]:
        """What else than weights makes this model's numbers what they are; only what there is. JSON-ready."""
        given = {
            "adapter": self.adapter,
            "processor_args": self.processor_args,
            "system": self.system,
            "history": [list(turn) for turn in self.history],
        }
        return {name: value for name, value in given.items() if value}

    @property
    def interventions(self) -> tuple[Intervention, ...]:
        """The interventions that it is seen with, in order; empty for a plain model."""
        return self.inside.interventions

    @property
    def _changed(self) -> dict[str, Any]:
        """The interventions, under their name in `info`; empty for a plain model. JSON-ready."""
        return {"interventions": to_dicts(self.interventions)} if self.interventions else {}

    @property
    def _device_map(self) -> dict[str, str] | None:
        """Where its parts are, if it is spread over several devices."""
        placed = getattr(self.model, "hf_device_map", None) or {}
        plain = {module: placed_on(device) for module, device in placed.items()}
        return plain if len(set(plain.values())) > 1 else None

    @property
    def _loaded_with(self) -> dict[str, Any] | None:
        """The arguments of `load_vlm` that are not reported elsewhere; None for a model that it
        did not load.
        """
        if self.loaded_with is None:
            return None
        switches = {name: value for name, value in self.loaded_with.items() if value is True}
        device_map = self.loaded_with.get("device_map")
        if isinstance(device_map, Mapping):
            device_map = {module: placed_on(device) for module, device in device_map.items()}
        return {**switches, **({} if device_map is None else {"device_map": device_map})}

    @cached_property
    def _not_quantized(self) -> tuple[str, ...]:
        return tuple(not_quantized(self.model))

    @cached_property
    def _compute_dtype(self) -> str | None:
        return computes_in(self.model)

    @property
    def unavailable(self) -> Mapping[str, str]:
        """What this model cannot do, and why: any of `protocol.RESULTS` and `protocol.WAYS`.

        Empty for a listed family with a usual tokenizer.
        """
        reasons = {
            **self.family.unavailable(self.model),
            "segments": self.encoder.unavailable,
            "attention": self._reason_against_attention(),
            "yes_no": self._reason_against_yes_no,
            "interventions": self._reason_against_the_twin(),
        }
        return {name: reason for name, reason in reasons.items() if reason}

    @cached_property
    def _reason_against_unlisted(self) -> str:
        """For a model of an unlisted family: whether its attention can be recorded, tried on a few tokens."""
        if self.family.strict:
            return ""
        with self.lock:
            return reason_against_unlisted(self.model, self.family)

    def _reason_against_attention(self) -> str:
        """Why attention cannot be measured; "" if it can."""
        if self.encoder.unavailable:
            return f"Attention is summed over segments. {self.encoder.unavailable}"
        return self._reason_against_the_twin()

    def _reason_against_the_twin(self) -> str:
        """Why attention can be neither recorded nor changed; "" if it can."""
        return (
            self.family.unavailable(self.model).get("attention", "")
            or self._reason_against_unlisted
            or reason_against(self.model, self.family.text_config)
        )

    def check_attention(self) -> None:
        """Refuse, with the reason, a model whose attention cannot be measured."""
        reason = self._reason_against_attention()
        if reason:
            raise InputError(reason)

    @cached_property
    def _reason_against_yes_no(self) -> str:
        try:
            _ = self._yes_no_ids
        except InputError as error:
            return str(error)
        return ""

    @property
    def eos_ids(self) -> frozenset[int]:
        """The tokens that end an answer: the generation config's, else the tokenizer's."""
        ids = getattr(self.model.generation_config, "eos_token_id", None)
        if ids is None:
            ids = self.tokenizer.eos_token_id
        return frozenset() if ids is None else frozenset([ids] if isinstance(ids, int) else ids)

    @cached_property
    def _yes_no_ids(self) -> dict[str, tuple[int, ...]]:
        return yes_no_ids(self.tokenizer, self.model_id)

    @contextmanager
    def explained(self, doing: str) -> Iterator[None]:
        """Within it, running out of memory and NaN are errors that say what to do. May be nested."""
        with out_of_memory_as_error(doing):
            try:
                yield
            except NanLogits as error:
                raise RuntimeError(nan_reason(self.model, error.dtype)) from None

    def _free_memory(self) -> int | None:
        """Bytes that caches may take: of a model on several devices, what the fullest has left."""
        known = [free_memory(device) for device in devices_of(self.model)]
        return min((free for free in known if free is not None), default=None)
