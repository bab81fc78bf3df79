"""A run that does what a test says, in place of the model: for tests of threads and messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from isi_widget import Answer, Stimulus, Trial
from isi_widget.errors import Cancelled
from isi_widget.trial.settings import MEASURES, Settings
from isi_widget.vlm import VLM


def until(condition: Callable[[], object]) -> None:
    """Wait until something holds, long enough for any machine."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def once(condition: Callable[[], object], act: Callable[[], object]) -> threading.Thread:
    """Do something in another thread as soon as something holds."""

    def work() -> None:
        until(condition)
        act()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class Script:
    """Stands in for `run_trial`: each run goes on for `steps` and waits before each one until `go` is
    called.
    """

    def __init__(self) -> None:
        self.begun: list[Stimulus] = []
        self.measures: list[tuple[str, ...] | None] = []
        self.on_text: list[Callable[[str, int, str], None] | None] = []
        self.settings: list[dict[str, Any]] = []
        self.texts: list[tuple[str, int, str]] = []  # told at each step
        self.error: BaseException | None = None
        self.steps = 3
        self.free = False
        self._gate = threading.Semaphore(0)

    def go(self, times: int = 1) -> None:
        for _ in range(times):
            self._gate.release()

    def __call__(
        self,
        vlm: VLM,
        stimulus: Stimulus,
        *,
        measures: tuple[str, ...] | None,
        progress: Callable[[str, int, int], None],
        on_text: Callable[[str, int, str], None] | None,
        cancel: Callable[[], bool],
        **settings: Any,
    ) -> Trial:
        self.begun.append(stimulus)
        self.measures.append(measures)
        self.on_text.append(on_text)
        self.settings.append(settings)
        for step in range(self.steps):
            progress("samples", step, self.steps)
            if on_text is not None:
                for told in self.texts:
                    on_text(*told)
            while not self.free and not self._gate.acquire(timeout=0.01):
                if cancel():
                    raise Cancelled("asked to")
        if self.error is not None:
            raise self.error
        answer = Answer("Yes", (5,), ("Yes",), (-0.1,))
        of_settings = {name: value for name, value in settings.items() if name != "entailment"}
        settings = Settings(measures or MEASURES, **of_settings)
        return Trial(stimulus, {"answer": answer}, vlm.info(), settings)
