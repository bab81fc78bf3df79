"""Batches made in advance by other processes, in order: drawing pictures must not hold up the training."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import Any

import torch
from numpy.typing import NDArray

from isi_widget.training.vlm.loop import Batch, Stage, make_batch

Arrays = dict[str, NDArray[Any]]
_STAGES: dict[str, Stage] = {}


def _prepare(scale: float, images: int) -> None:
    """Set up a worker: one thread, lower priority, cores that the training does not use, and the stages."""
    from isi_widget.training.vlm.stages import stages

    if hasattr(os, "sched_setaffinity"):
        taken = os.sched_getaffinity(0)  # cores to which the training is bound, if it is
        os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - taken or taken)
        os.setpriority(os.PRIO_PROCESS, 0, 5)
        os.setsid()  # where priorities count within a session only, its own
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _STAGES.update({stage.name: stage for stage in stages(scale, images)})


def _end_with_parent() -> None:
    """End this process when the training ends, in whatever way."""
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(0)


def _make(name: str, seed: int, step: int) -> Arrays:
    return {key: value.numpy() for key, value in make_batch(_STAGES[name], seed, step).items()}


class Ahead:
    """Processes that make some of the batches of the stages in advance; a context manager.

    Each process has one batch at a time to make, for a step far enough ahead that it will be ready; the
    training makes all others itself and waits for none. So a process that gets little time delays nothing.

    Parameters
    ----------
    workers : number of processes.
    scale, images : arguments of `stages.stages`.
    seed : seed of the training.
    """

    def __init__(self, workers: int, scale: float, images: int, seed: int) -> None:
        self._seed, self._workers = seed, workers
        self._pool = ProcessPoolExecutor(workers, get_context("spawn"), _prepare, (scale, images))

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def batches(self, stage: Stage, first: int) -> Iterator[Batch]:
        """Yield the batches of a stage from step `first` to its end."""
        coming: dict[int, Future[Arrays]] = {}
        distance, last = 2, first  # steps ahead, and the last step given to a process
        for step in range(first, stage.steps):
            while sum(not future.done() for future in coming.values()) < self._workers:
                last = max(last + 1, step + distance)
                coming[last] = self._pool.submit(_make, stage.name, self._seed, last)
            ahead = coming.pop(step, None)
            if ahead is not None and ahead.done():
                distance = max(2, distance - 1)
                yield {key: torch.from_numpy(value) for key, value in ahead.result().items()}
            else:
                distance += 4 * (ahead is not None)  # too late
                yield make_batch(stage, self._seed, step)
