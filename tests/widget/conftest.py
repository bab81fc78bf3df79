"""The real embedded model where a test is about results; a scripted run where it is about threads and
messages.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scripted_runs import Script

from isi_widget import Probe, datasets
from isi_widget.vlm import VLM
from isi_widget.widget import controller


@pytest.fixture
def probe(vlm: VLM) -> Iterator[Probe]:
    made = Probe(vlm, datasets.scenes()[0])
    yield made
    made.cancel()
    made.close()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    made = Script()
    monkeypatch.setattr(controller, "run_trial", made)
    yield made
    made.free = True
