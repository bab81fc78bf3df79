"""Running out of memory, on any device, as one clear error; what the failed call held is freed.

Not for how much memory is free (see `machine.py`).
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from isi_widget.errors import OutOfMemory

#: What the errors of torch's allocators say where they have no class of their own.
_SIGNS = (
    "can't allocate memory",
    "out of memory",
    "not enough memory",
    "cannot allocate memory",
    "alloc_failed",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be allocated, on any device."""
    if isinstance(error, OutOfMemory | torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def forget(error: BaseException) -> None:
    """Let go of everything that the frames of an error (and of those it came from) still hold, and free it.

    The traceback still prints, but its local variables are gone: they would keep tensors, or a half-loaded
    model, in memory for as long as somebody holds the error (a notebook holds the last one).
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
    """Give back what is no longer used, to the system and to other programs on the GPU."""
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
    """Within it, running out of memory is one `OutOfMemory` that says what to lower; caches have been freed.

    Other errors pass through. An `OutOfMemory` from within passes as it is, so contexts may be nested.

    Parameters
    ----------
    doing : what was done, for the message. advice : what to lower, in whole sentences.
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
