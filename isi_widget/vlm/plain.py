"""What plain transformers makes of a stimulus: the reference that `check_vlm` compares a VLM with.

Only public routes are taken: the processor's own chat template and expansion, `generate`, eager attention.
Slow, and not for measuring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, LogitsProcessorList

from isi_widget.errors import InputError
from isi_widget.vlm.inside.attention import implementation
from isi_widget.vlm.prompts.prompt import Prompt
from isi_widget.vlm.protocol import StimulusLike

if TYPE_CHECKING:
    from isi_widget.vlm.loaded import LoadedModel

#: Largest difference of (logits and log-probabilities, attention masses), by what the model computes in.
TOLERANCES: Mapping[str, tuple[float, float]] = {
    "float32": (1e-4, 1e-5),
    "float16": (5e-2, 5e-3),
    "bfloat16": (0.3, 3e-2),
    "int8": (0.5, 5e-2),
}


class Plain:
    """Plain transformers on the model and the processor of a VLM."""

    def __init__(self, vlm: LoadedModel) -> None:
        self.vlm, self.model, self.processor = vlm, vlm.model, vlm.processor

    def inputs(self, *stimuli: StimulusLike, **arguments: Any) -> dict[str, Any]:
        """Return the processor's outputs for some stimuli, on the model's device, as `generate` takes them.

        Parameters
        ----------
        arguments : arguments of the processor, such as padding=True.
        """
        vlm, family = self.vlm, self.vlm.family
        texts = [
            family.user_text(shown.current_context.strip(), shown.current_question.strip())
            for shown in stimuli
        ]
        if getattr(self.processor, "chat_template", None) or getattr(vlm.tokenizer, "chat_template", None):
            turns = [
                vlm.encoder.template.messages(text, image=shown.render())
                for shown, text in zip(stimuli, texts, strict=True)
            ]
            extra = {"processor_kwargs": arguments} if arguments else {}
            outputs = self.processor.apply_chat_template(
                turns,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                **extra,
            )
        else:
            rendered = [vlm.encoder.template.render(text) for text in texts]
            outputs = self.processor(
                images=[shown.render() for shown in stimuli],
                text=[family.processor_text(text, vlm.encoder.placeholder) for text in rendered],
                return_tensors="pt",
                **arguments,
            )
        placed = outputs.to(vlm.device, dtype=vlm.dtype)
        return {name: value for name, value in placed.items() if name != "labels"}

    @torch.no_grad()
    def generate(
        self, inputs: dict[str, Any], steps: int, forced: Sequence[int] = ()
    ) -> tuple[list[list[int]], torch.Tensor]:
        """Return the new tokens of each row and their raw logits [steps, rows, vocabulary], float32.

        Parameters
        ----------
        forced : tokens to be taken in place of the most likely ones.
        """
        settings = GenerationConfig(
            do_sample=False,
            max_new_tokens=len(forced) or steps,
            eos_token_id=None if forced else sorted(self.vlm.eos_ids) or None,
            pad_token_id=_padding(self.vlm),
            output_logits=True,
            return_dict_in_generate=True,
        )
        processors = LogitsProcessorList([_Forced(forced)] if forced else [])
        with self._bare():
            output = self.model.generate(**inputs, generation_config=settings, logits_processor=processors)
        logits = torch.stack(output.logits).float()
        return output.sequences[:, -len(logits) :].tolist(), logits

    def logprobs(self, inputs: dict[str, Any], token_ids: Sequence[int]) -> torch.Tensor:
        """Log-probabilities [T] of given answer tokens."""
        _, logits = self.generate(inputs, 0, token_ids)
        chosen = torch.tensor(token_ids, device=logits.device)[:, None]
        return logits[:, 0].log_softmax(-1).gather(1, chosen).squeeze(1).cpu()

    def attention(
        self,
        inputs: dict[str, Any],
        prompt: Prompt,
        token_ids: Sequence[int],
        groups: torch.Tensor,
        count: int,
    ) -> torch.Tensor:
        """Eager attention mass [T, layers, heads, groups] of the rows that predict given answer tokens.

        One layer's full matrix at a time is in memory.

        Parameters
        ----------
        groups : [prompt tokens] int64, the group of each prompt token.
        count : number of groups; the last takes the answer.
        """
        family = self.vlm.family
        steps: list[dict[int, torch.Tensor]] = []
        seen: dict[int, torch.Tensor] = {}

        def note(module: Any, _: Any, output: Any) -> None:
            weights = output[1] if isinstance(output, tuple) and len(output) > 1 else None
            if not isinstance(weights, torch.Tensor) or weights.ndim != 4:
                raise InputError("The eager attention of this model gives no weights to compare with.")
            if module.layer_idx in seen:  # the next forward pass has begun
                steps.append(dict(seen))
                seen.clear()
            row = weights[0, :, -1].float().cpu()
            keys = torch.cat([groups, groups.new_full((len(token_ids),), count - 1)])
            keys = keys[: len(prompt) + len(steps)][-row.shape[-1] :]  # a sliding window keeps the last ones
            seen[module.layer_idx] = torch.stack(
                [row[:, keys == group].sum(dim=-1) for group in range(count)], dim=-1
            )

        hooks = [
            module.register_forward_hook(note)
            for module in family.decoder(self.model).modules()
            if "layer_idx" in vars(module) and hasattr(module, "o_proj")
        ]
        previous = implementation(self.model, family.text_config)
        try:
            self.model.set_attn_implementation({family.text_config: "eager"})
            self.generate(inputs, 0, token_ids)
        finally:
            self.model.set_attn_implementation({family.text_config: previous})
            for hook in hooks:
                hook.remove()
        steps.append(seen)
        if not hooks or len(steps) != len(token_ids):
            raise InputError("The attention modules of this model were not found.")
        return torch.stack([torch.stack([step[layer] for layer in sorted(step)]) for step in steps])

    @contextmanager
    def _bare(self) -> Iterator[None]:
        """Without the checkpoint's own generation settings, such as a repetition penalty."""
        modules = [self.model, self.vlm.family.continued(self.model)]
        kept = [module.generation_config for module in modules]
        try:
            for module in modules:
                module.generation_config = GenerationConfig()
            yield
        finally:
            for module, settings in zip(modules, kept, strict=True):
                module.generation_config = settings


class _Forced:
    """A logits processor that leaves one token at each step."""

    def __init__(self, token_ids: Sequence[int]) -> None:
        self._left = list(token_ids)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        only = torch.full_like(scores, float("-inf"))
        only[:, self._left.pop(0)] = 0.0
        return only


def precision(model: Any) -> str:
    """Return the precision of a model's matrix products: a key of `TOLERANCES`."""
    settings = getattr(model.config, "quantization_config", None)
    if settings is not None and getattr(settings, "load_in_8bit", False):
        return "int8"
    compute = getattr(settings, "bnb_4bit_compute_dtype", None) or model.dtype
    name = str(compute).removeprefix("torch.")
    return name if name in TOLERANCES else "bfloat16"


def _padding(vlm: LoadedModel) -> int:
    pad = vlm.tokenizer.pad_token_id
    return int(pad if pad is not None else min(vlm.eos_ids, default=0))
