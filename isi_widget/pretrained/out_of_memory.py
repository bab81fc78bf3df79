"""Converts running out of memory, on any device, to one clear error, and frees the memory of the failed call.

Not for the amount of free memory (see `machine`).
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from isi_widget.errors import OutOfMemory

#: Texts in errors of torch's allocators that have no class of their own.
_SIGNS = (
    "can't allocate memory",
    "out of memory",
    "not enough memory",
    "cannot allocate memory",
    "alloc_failed",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory could not be allocated, on any device."""
    if isinstance(error, OutOfMemory | torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def forget(error: BaseException) -> None:
    """Free everything that the frames of an error and of its causes still hold.

    The traceback still prints, but without local variables: they would keep tensors, or a half-loaded model,
    in memory as long as the error exists (a notebook keeps the last one).
    """
    seen: set[int] = set()
    chain: list[BaseException | None] = [error]
    while chain:
        one = chain.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        chain += [one.__cause__, one.__context__]
    free_caches()


def free_caches() -> None:
    """Return unused memory to the system and to other programs on the GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


@contextmanager
def out_of_memory_as_error(
    doing: str = "running the model",
    advice: str = "Try fewer samples, a smaller image, a smaller max_new_tokens, or quantization='nf4'. The "
    "model can still be used.",
) -> Iterator[None]:
    """Convert running out of memory inside the context to one `OutOfMemory` with advice on what to reduce;
    caches are freed.

    Other errors pass through. An inner `OutOfMemory` passes unchanged, so contexts may be nested.

    Parameters
    ----------
    doing : description of the failed action, for the message.
    advice : advice on what to reduce, in whole sentences.
    """
    try:
        yield
    except OutOfMemory:
        raise
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        forget(error)
        raise OutOfMemory(f"Out of memory while {doing}. {advice}") from None
