"""Running the layers of a language model again, from where an edit acts.

    clean = capture(vlm, prompt)                    one forward pass; remembers what each layer was given
    clean.run_from(2, hidden)                       layers 2 to the last on other hidden states [B, T, width]
    clean.run_from(2, edits=[Edit(2, "heads", f)], batch=B)          edits inside the layers

The layers below an edit are computed once, and many edits go through the layers above it as one batch. An
edit of the heads may turn one row into B: what comes before it in its layer is then computed once, too. In
the last layer only the rows are computed whose logits are wanted. Where nothing changes before a position
(`first`), only the positions from there on go through the layers, with the clean keys and values of those
before it: an edit at the last position alone (`first=-1`) costs almost nothing.

The layers are the model's own, called with their own arguments of the clean pass, so that whatever a family
does inside them (norms after attention, sliding windows, soft caps) is done again. What a decoder adds
between two layers (Qwen3-VL's deepstack features) is the difference of input and output in the clean pass.
Logits that cannot be computed again from the last hidden states are refused.

Every function here needs the lock of the model (`with vlm.lock`). Gradients follow PyTorch's own switch: none
within `torch.no_grad()`. Not for what an edit means, nor for decoding answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from isi_widget.errors import InputError
from isi_widget.pretrained.out_of_memory import forget, is_out_of_memory
from isi_widget.vlm.inside import attention
from isi_widget.vlm.inside.edits import SITES, Edit, attention_known, from_first, merged, on_states
from isi_widget.vlm.inside.hooks import Hook, hooked, without_gradients
from isi_widget.vlm.inside.seen import (
    QUERY_AXES,
    Joined,
    Seen,
    device_of,
    finish,
    from_position,
    latest_seen,
    map_states,
    padded,
    states_of,
)
from isi_widget.vlm.inside.sites import Sites, sites
from isi_widget.vlm.nan import checked_logits

if TYPE_CHECKING:
    from isi_widget.vlm.inside.door import Loaded
    from isi_widget.vlm.inside.editing import Editing
    from isi_widget.vlm.prompts.prompt import Prompt

__all__ = ["SITES", "Clean", "Edit", "capture", "without_gradients"]

#: Bytes that the activations of one batch may take: on a CPU few, since what fits into its caches is fastest.
_BYTES = {"cpu": 1 << 28}
_BYTES_ELSEWHERE = 1 << 32
#: Most rows of one batch.
_ROWS = 256


@dataclass(frozen=True, eq=False)
class Clean:
    """One clean forward pass, remembered so that parts of it can be run again; made by `capture`.

    T: number of tokens (prompt, and answer if one was given).

    Attributes
    ----------
    inputs
        Input of each layer, [1, T, width].
    heads
        Outputs of the heads of each layer side by side (input of `o_proj`), [1, T, heads * head_dim].
    attention, mlp
        Outputs of the attention and of the MLP of each layer, [1, T, width]; empty unless captured with
        parts=True. Families with a norm after them (Gemma) add the normed output.
    final
        Hidden states after the last layer, before the final norm, [1, T, width].
    logits
        Logits [rows, vocabulary] of the last positions, float32; rows is 1 without an answer.
    """

    vlm: Loaded
    prompt: Prompt
    sites: Sites
    inputs: tuple[torch.Tensor, ...]
    heads: tuple[torch.Tensor, ...]
    attention: tuple[torch.Tensor, ...]
    mlp: tuple[torch.Tensor, ...]
    final: torch.Tensor
    logits: torch.Tensor
    _latest: torch.Tensor | None
    _arguments: tuple[Mapping[str, Any], ...]
    _added: tuple[torch.Tensor | None, ...]
    _kept: Mapping[int, tuple[torch.Tensor, torch.Tensor]]
    _editing: Editing | None
    _finish: Callable[[torch.Tensor], torch.Tensor]
    _skips: bool = False
    _limit: dict[str, int] = field(default_factory=dict)
    _buffers: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.inputs)

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return self.inputs[0].shape[1]

    @property
    def rows(self) -> int:
        """Number of last positions whose logits are computed."""
        return self.logits.shape[0]

    @property
    def added(self) -> tuple[torch.Tensor | None, ...]:
        """What the decoder adds after each layer (Qwen3-VL's deepstack), [1, T, width]; else None."""
        return self._added

    def output(self, layer: int) -> torch.Tensor:
        """Return the output of a layer itself, [1, T, width], without what the decoder adds after it."""
        following, added = self._input(layer + 1), self._added[layer]
        return following if added is None else following - added.to(following.device)

    def under(self, editing: Editing | None) -> Clean:
        """Return the same pass for runs whose layers run under other interventions than it did."""
        return replace(self, _editing=editing, _skips=False)

    def heads_of(self, layer: int) -> torch.Tensor:
        """Return the outputs of the heads of a layer, [1, T, heads, head_dim]."""
        return self.heads[layer].unflatten(-1, (self.sites.heads, -1))

    def detached(self) -> Clean:
        """Return the pass without the graph of its gradients."""
        return replace(
            self,
            inputs=tuple(states.detach() for states in self.inputs),
            heads=tuple(states.detach() for states in self.heads),
            final=self.final.detach(),
            logits=self.logits.detach(),
            _added=tuple(None if states is None else states.detach() for states in self._added),
            _kept={layer: (keys.detach(), values.detach()) for layer, (keys, values) in self._kept.items()},
        )

    def run_from(
        self,
        layer: int,
        hidden: torch.Tensor | None = None,
        *,
        edits: Sequence[Edit] = (),
        batch: int | None = None,
        first: int = 0,
        at_once: int | None = None,
    ) -> torch.Tensor:
        """Run the layers from one on, and return the logits of every batch row.

        Parameters
        ----------
        layer
            First layer to run; the number of layers: only the final norm and the un-embedding.
        hidden
            Input of that layer at the positions from `first` on, [batch or 1, T - first, width]; default:
            the clean one.
        edits
            Changes at sites of these layers, in order.
        batch
            Number of batch rows B; default: rows of `hidden`.
        first
            First position that is run; those before it stay as in the clean pass. Negative numbers count from
            the end: -1 is the last position. Where a position before it attends to one from it on (a
            bidirectional prefix, PaliGemma; an image block of Gemma 3), all positions are run, with changes
            from `first` on only: the result is the same as that of a whole forward pass in any case.
        at_once
            Batch rows run at once; default: as memory allows.

        Returns
        -------
        Logits [B, rows, vocabulary], float32, of the last positions (`Clean.rows` of them; 1 without answer).

        Raises
        ------
        InputError
            For a layer or a position that does not exist, hidden states of another shape, and an edit at an
            unknown site or at a layer that is not run.
        """
        first = self._checked(layer, edits, first)
        # Where a layer is given its clean input, its heads are known up to their edits
        skips = hidden is None and self._skips and any(e.site == "heads" and e.layer == layer for e in edits)
        skips = skips and not any(e.site == "residual" and e.layer == layer for e in edits)
        if hidden is None:
            hidden = self._input(layer)[:, first:]
        elif hidden.shape[1] != self.tokens - first:
            raise InputError(
                f"hidden must have {self.tokens - first} positions, from {first} on; got {hidden.shape[1]}."
            )
        if not self.alone(first) and layer < self.layers - 1:
            before = self._input(layer)[:, :first].expand(hidden.shape[0], -1, -1)
            hidden, edits, first = (
                torch.cat([before, hidden], 1),
                [from_first(edit, first) for edit in edits],
                0,
            )
        count = hidden.shape[0] if batch is None else batch
        size = min(count, at_once or self.at_once(first))
        found: list[torch.Tensor] = []
        start = 0
        with self.vlm.explained("running layers again"):
            while start < count:
                chunk = range(start, min(start + size, count))
                try:
                    found.append(self._run(layer, hidden, edits, chunk, first, skips))
                except (RuntimeError, MemoryError) as error:
                    if len(chunk) == 1 or not is_out_of_memory(error):
                        raise
                    forget(error)
                    size = self._limit["rows"] = len(chunk) // 2
                    continue
                start = chunk.stop
        return torch.cat(found)

    def logits_of(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits [..., vocabulary], float32, of hidden states after the last layer."""
        normed = self.sites.norm(hidden.to(device_of(self.sites.norm, hidden)))
        head = self.sites.unembedding
        return self._finish(head(normed.to(device_of(head, normed)))).float()

    # The parts ----------------------------------------------------------------------------------------------

    def alone(self, first: int) -> bool:
        """Return whether no position before `first` attends to one from it on."""
        return self._latest is None or first == 0 or int(self._latest[:first].max()) < first

    def _input(self, layer: int) -> torch.Tensor:
        return self.final if layer == self.layers else self.inputs[layer]

    def _checked(self, layer: int, edits: Sequence[Edit], first: int) -> int:
        """Return the first position, counted from the start."""
        if not 0 <= layer <= self.layers:
            raise InputError(f"This model has {self.layers} layers, numbered from 0; there is no {layer}.")
        for edit in edits:
            if edit.site not in SITES:
                raise InputError(f"An edit acts at one of {', '.join(SITES)}; got {edit.site!r}.")
            if not layer <= edit.layer < self.layers:
                raise InputError(
                    f"An edit in layer {edit.layer} does not act where layers {layer} to {self.layers - 1} "
                    "run."
                )
        latest = self.tokens - self.rows
        place = first + self.tokens if first < 0 else first
        if not 0 <= place <= latest:
            raise InputError(
                f"first must be a position from 0 to {latest}, the first one whose logits are wanted; "
                f"got {first}."
            )
        return place

    def _run(
        self, layer: int, hidden: torch.Tensor, edits: Sequence[Edit], chunk: range, first: int, skips: bool
    ) -> torch.Tensor:
        """Return the logits [chunk, rows, vocabulary] of some batch rows."""
        if hidden.shape[0] > 1:
            hidden = hidden[chunk.start : chunk.stop]
        at = {(edit.layer, edit.site): edit for edit in edits}
        if len(at) < len(edits):
            at = merged(edits)
        with ExitStack() as stack:
            narrow = self.tokens - first > self.rows
            if self._editing is not None or narrow:
                stack.enter_context(
                    attention.inside(
                        self.vlm.model,
                        self.vlm.family.text_config,
                        editing=self._editing,
                        keys=self.tokens,
                        last_rows=(self.layers - 1, self.rows) if narrow else None,
                    )
                )
            if self._editing is not None:
                stack.enter_context(hooked(*self._editing.hooks(self.tokens)))
            stack.enter_context(hooked(*self._hooks(layer, at, chunk, first)))
            if skips:
                known = self.heads[layer][:, first:]
                stack.enter_context(
                    attention_known(self.sites.attention(layer), self.sites.o_proj(layer), known)
                )
            for index in range(layer, self.layers):
                if (index, "residual") in at:
                    hidden = at[index, "residual"].function(hidden, chunk)
                hidden = states_of(self.sites.layers[index](hidden, **self._given(index, first)))
                added = self._added[index]
                if added is not None:
                    hidden = hidden + added[:, first:].to(hidden.device)
        logits = checked_logits(self.logits_of(hidden[:, -self.rows :]))
        return logits if logits.shape[0] == len(chunk) else logits.expand(len(chunk), -1, -1)

    def _hooks(
        self, layer: int, at: Mapping[tuple[int, str], Edit], chunk: range, first: int
    ) -> Iterator[Hook]:
        rows, run = self.rows, self.tokens - first
        top, narrow = self.layers - 1, run > rows and layer < self.layers
        parts = (self.sites.o_proj(top), self.sites.mlp(top)) if narrow else ()
        for module in parts:
            yield module, "output", lambda _, x: map_states(x, lambda y: padded(y, run))
        for (index, site), edit in at.items():
            if site == "heads":
                yield self.sites.o_proj(index), "input", on_states(edit.function, chunk)
            elif site == "attention":
                yield self.sites.attention(index), "output", on_states(edit.function, chunk)
            elif site == "mlp":
                yield self.sites.mlp(index), "output", on_states(edit.function, chunk)
        for module in parts:
            yield module, "input", lambda _, x: x[:, -rows:]

    def _given(self, layer: int, first: int) -> dict[str, Any]:
        """Return the arguments of a layer for the positions from the first on."""
        given = dict(self._arguments[layer])
        run = self.tokens - first
        if not first:
            return given
        room = _BYTES.get(self.inputs[0].device.type, _BYTES_ELSEWHERE)
        given["past_key_values"] = Joined(self._kept, first, self._buffers, room)
        for name, axis in QUERY_AXES.items():
            if given.get(name) is not None:
                given[name] = from_position(given[name], axis, first)
        if given.get("attention_mask") is None and run > 1:
            # Without a mask a function takes the first query for the first key's
            device = self.inputs[layer].device
            visible = torch.ones(self.tokens, self.tokens, dtype=torch.bool, device=device).tril()
            given["attention_mask"] = visible[None, None, first:]
        return given

    def at_once(self, first: int = 0) -> int:
        """Return how many batch rows of the positions from `first` on are run at once."""
        if "rows" in self._limit:
            return self._limit["rows"]
        width, size = self.inputs[0].shape[-1], self.inputs[0].element_size()
        inner = 4 * width  # the usual width of an MLP; three of its activations are held at once
        row = (3 * inner + 8 * width) * size * (self.tokens - first)
        if first:  # keys and values are copied for each row
            row += 2 * size * max(keys.numel() for keys, _ in self._kept.values())
        room = _BYTES.get(self.inputs[0].device.type, _BYTES_ELSEWHERE)
        return max(1, min(_ROWS, room // row))


# Capturing --------------------------------------------------------------------------------------------------


def capture(
    vlm: Loaded, prompt: Prompt, answer: Sequence[int] = (), *, parts: bool = False, graph: bool = False
) -> Clean:
    """Run the forward pass over a prompt once, under the interventions of the VLM, and remember it.

    Parameters
    ----------
    answer
        Token ids of an answer that follows the prompt. The logits are then those of the positions that
        predict its tokens: [len(answer), vocabulary].
    parts
        Whether to remember the outputs of attention and MLP, too (default False).
    graph
        Whether gradients of `Clean.logits` by `Clean.heads` can be taken (default False). In the last layer
        only the rows are then computed whose logits are wanted, and `final` and its heads are of use there
        alone. Switch the gradients of parameters off around it.

    Raises
    ------
    InputError
        If the parts of the model are not found, or its logits cannot be computed again from its last hidden
        states; and what reading a prompt raises.
    """
    if reason := vlm.unavailable.get("interventions", ""):
        raise InputError(f"The inside of {vlm.model_id} cannot be run again: {reason}")
    if getattr(vlm.inside, "contrastive", None) is not None:
        raise InputError(
            "Contrastive decoding compares two forward passes: one alone cannot be run again in parts. Take "
            "it out of the interventions."
        )
    vlm.try_out()
    found = sites(vlm.model, vlm.family)
    seen = Seen(found, parts, graph)
    fed = tuple(answer[:-1])
    ids = torch.cat([prompt.input_ids, torch.tensor([fed], dtype=torch.long)], dim=1).to(vlm.device)
    given = vlm.image_features.inputs(prompt)
    for name in prompt.token_inputs:
        filling = given[name].new_full((1, len(fed)), vlm.family.after_prompt)
        given[name] = torch.cat([given[name], filling], dim=1)
    editing = vlm.inside.editing(vlm, prompt)
    rows = max(1, len(answer))
    with torch.set_grad_enabled(graph), vlm.explained("reading the prompt"), ExitStack() as stack:
        stack.enter_context(seen.before())
        if editing is not None or graph:
            stack.enter_context(
                attention.inside(
                    vlm.model,
                    vlm.family.text_config,
                    editing=editing,
                    keys=ids.shape[1],
                    last_rows=(len(found.layers) - 1, rows) if graph else None,
                )
            )
        if editing is not None:
            stack.enter_context(hooked(*editing.hooks(ids.shape[1])))
        stack.enter_context(seen.after())
        if graph:
            stack.enter_context(hooked(*_narrowing(found, rows, ids.shape[1])))
        logits = vlm.model(input_ids=ids, **given, use_cache=False, logits_to_keep=rows).logits
        logits = checked_logits(logits[0, -rows:])
    added = tuple(
        None if torch.equal(output, following) else following - output
        for output, following in zip(seen.outputs, (*seen.inputs[1:], seen.final), strict=True)
    )
    clean = Clean(
        vlm=vlm,
        prompt=prompt,
        sites=found,
        inputs=tuple(seen.inputs),
        heads=tuple(seen.heads),
        attention=tuple(seen.attention),
        mlp=tuple(seen.mlp),
        final=seen.final,
        logits=logits,
        _latest=latest_seen([given.get("attention_mask") for given in seen.arguments]),
        _arguments=tuple(seen.arguments),
        _added=added,
        _kept=seen.kept,
        _editing=editing,
        _skips=seen.pairs,
        _finish=finish(vlm, found, seen.final[:, -rows:].detach(), logits.detach()),
    )
    return clean


def _narrowing(found: Sites, rows: int, run: int) -> Iterator[Hook]:
    """Yield hooks by which the last layer's `o_proj` and MLP compute the last rows only."""
    for module in (found.o_proj(len(found.layers) - 1), found.mlp(len(found.layers) - 1)):
        yield module, "input", lambda _, x: x[:, -rows:]
        yield module, "output", lambda _, x: map_states(x, lambda y: padded(y, run))
