"""`Family`: what an adapter states about a family of models.

Everything that Hugging Face already knows (chat template, image token, decoder layers, key-value cache) is
derived; an adapter states only what differs. Not for finding the adapter of a model (see `registry.py`), nor
for models whose family has none (see `unlisted.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from isi_widget.errors import InputError
from isi_widget.pretrained.state import walked
from isi_widget.vlm.families.grids import Boxes

IMAGE_TOKEN = "<image>"
#: What is kept of an image encoder's output: the embeddings, and Qwen3-VL's, which enter deeper layers.
_KEPT = ("pooler_output", "deepstack_features")


class Family:
    """The adapter of one family; subclasses override what differs. Stateless: one instance serves every model
    of the family.

    Attributes
    ----------
    model_type : `config.model_type`, set by `register_family`.
    title : the name people know.
    separator : the text between context and question; part of the template, zero characters long when the
        context is empty. A line break is a token of its own for most tokenizers; where one joins it to a full
        stop before it (Qwen, Llama 3), the token is the context's and `Prompt.straddling` counts it.
    image_inputs : the processor outputs that the vision side takes.
    token_inputs : the processor outputs with one number per prompt token that the prefill takes beside
        `input_ids`.
    after_prompt : value of the `token_inputs` for the tokens of an answer.
    beside_features : which of `image_inputs` the forward still takes when it is given the image's embeddings.
    chat_template : used where neither the processor nor the tokenizer of a checkpoint carries one.
    text_config : name of the sub-config of the language model, whose attention is recorded.
    shares_features : give the forward the image's embeddings, so that an image is encoded once.
    strict : refuse a checkpoint whose segments cannot be established; else do without them.
    """

    model_type: str = ""
    title: str = ""
    separator: str = "\n"
    image_inputs: tuple[str, ...] = ("pixel_values",)
    token_inputs: tuple[str, ...] = ()
    after_prompt: int = 0
    beside_features: tuple[str, ...] = ()
    chat_template: str = ""
    text_config: str = "text_config"
    shares_features: bool = True
    strict: bool = True

    # The prompt ---------------------------------------------------------------------------------------------

    def user_text(self, context: str, question: str) -> str:
        """Return the one text of the user's turn: context (may be empty), separator, question."""
        return f"{context}{self.separator}{question}" if context else question

    def image_token_id(self, model: Any) -> int | None:
        """Id of the placeholder that stands in `input_ids` once per visual embedding; None if unknown."""
        return int(model.config.image_token_id)

    def placeholder(self, processor: Any, image_token: str) -> str:
        """Return the placeholder of the image in the chat template: the processor's, else the image token."""
        own = getattr(processor, "image_token", None)
        return str(getattr(own, "content", own) or image_token)

    def processor_text(self, text: str, placeholder: str) -> str:
        """Return the text that the processor is given, from the rendered chat template."""
        return text

    def expand(
        self, pieces: tuple[str, ...], placeholder: str, image: str, processor: Any
    ) -> tuple[str, ...]:
        """Return the template's pieces as they are tokenised: `image` stands where the placeholder stood."""
        return tuple(piece.replace(placeholder, image) for piece in pieces)

    def tokenize(
        self, processor: Any, text: str, image: str, add_special_tokens: bool
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and character offsets of the expanded text, as the processor makes them."""
        encoded = processor.tokenizer(
            text, return_offsets_mapping=True, add_special_tokens=add_special_tokens
        )
        return list(encoded["input_ids"]), list(encoded["offset_mapping"])

    def inputs(self, outputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the processor's outputs for the vision side, and those with one number per prompt token."""
        return (
            {name: outputs[name] for name in self.image_inputs},
            {name: outputs[name] for name in self.token_inputs},
        )

    def limits(self, model: Any) -> dict[str, int]:
        """How many tokens the model can read of other outputs of the processor than the prompt: name ->
        most.
        """
        return {}

    # The model ----------------------------------------------------------------------------------------------

    def prepare(self, model: Any) -> None:
        """Learn from a model, once, before it is first used. May raise `InputError` to refuse it."""

    def unavailable(self, model: Any) -> dict[str, str]:
        """Which measures this model does not allow, and why; see `VLM.unavailable`."""
        if type(self).token_boxes is not Family.token_boxes:
            return {}
        return {"image_map": f"Where image tokens of {self.title!r} lie in the picture is not known."}

    def decoder(self, model: Any) -> torch.nn.Module:
        """Return the language model without its head."""
        decoder: torch.nn.Module = model.get_decoder()
        return decoder

    def layers(self, model: Any) -> torch.nn.ModuleList:
        """Return the decoder layers, first to last."""
        layers = self.decoder(model).layers
        assert isinstance(layers, torch.nn.ModuleList)
        return layers

    def encode_image(self, model: Any, images: Mapping[str, torch.Tensor]) -> Any:
        """Return the vision side's output for one image; `pooler_output` holds the visual embeddings."""
        output = model.get_image_features(
            **{name: images[name] for name in self.image_inputs}, return_dict=True
        )
        return type(output)(**{name: output[name] for name in _KEPT if name in output})

    def with_features(self, encoded: Any, images: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """Return the forward's arguments for an image whose embeddings are known."""
        beside = {name: images[name] for name in self.beside_features}
        return {"mm_encoder_outputs": {"image": encoded}, **beside}

    def image_features(self, model: Any, images: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Visual embeddings [image tokens, hidden] of one image, in the order of its placeholders."""
        return flat(self.encode_image(model, images))

    def token_boxes(
        self, processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]
    ) -> Boxes:
        """Boxes [image tokens, 4] of the image tokens in original pixels; NaN: no place. See `grids.py`.

        Parameters
        ----------
        size : (width, height) of the original image.
        images : `Prompt.images`.

        Raises
        ------
        InputError
            If it is not known for this family where image tokens lie.
        """
        raise InputError(f"Where image tokens of {self.title!r} lie in the picture is not known.")

    def cache(self, output: Any) -> Any:
        """Return the key-value cache in a forward's output."""
        return output.past_key_values

    def continued(self, model: Any) -> Any:
        """Return the module that reads further tokens when prompt and image are in the cache."""
        return model

    # State that some models keep between calls --------------------------------------------------------------

    def state(self, model: Any) -> list[tuple[torch.nn.Module, Any]]:
        """Return the state of the last prompt outside the cache: the offset of Qwen's image positions."""
        return [
            (module, vars(module)["rope_deltas"]) for module in walked(model) if "rope_deltas" in vars(module)
        ]

    def restore(self, state: list[tuple[torch.nn.Module, Any]]) -> None:
        """Give the model back the `state` of a prompt it has read before."""
        for module, value in state:
            module.rope_deltas = value

    def resume(self, model: Any) -> Callable[..., Any]:
        """Right after a prefill: a forward that goes on from this prompt, whatever is read in between."""
        state = self.state(model)

        def forward(**arguments: Any) -> Any:
            self.restore(state)
            return self.continued(model)(**arguments)

        return forward

    # Processors ---------------------------------------------------------------------------------------------

    def make_processor(self, config: Any, tokenizer: Any, image_processor: Any) -> Any:
        """Return a processor from its parts, for checkpoints whose own processor cannot be loaded."""
        raise NotImplementedError

    def complete_processor(self, processor: Any, config: Any) -> None:
        """Fill in, from the model's config, what old processor configs leave out. In place."""


def flat(encoded: Any) -> torch.Tensor:
    """Visual embeddings [image tokens, hidden] from an image encoder's output."""
    return torch.cat([part.reshape(-1, part.shape[-1]) for part in _parts(encoded)])


def embeddings(encoded: Any) -> int:
    """Return the number of visual embeddings in an image encoder's output."""
    return sum(part.shape[:-1].numel() for part in _parts(encoded))


def _parts(encoded: Any) -> list[torch.Tensor]:
    pooled = encoded.pooler_output
    return [pooled] if isinstance(pooled, torch.Tensor) else list(pooled)


def without_video(processor: Any) -> Any:
    """Return a processor class without its video half, which needs torchvision."""
    names = [name for name in processor.get_attributes() if name != "video_processor"]
    return type(processor.__name__, (processor,), {"get_attributes": classmethod(lambda cls: names)})
