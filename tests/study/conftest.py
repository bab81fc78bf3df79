"""The real embedded model; averages that a test puts in use are taken out of it afterwards."""

from __future__ import annotations

import pytest

from isi_widget import load_vlm
from isi_widget.study import beside
from isi_widget.vlm import VLM


@pytest.fixture(scope="session")
def vlm() -> VLM:
    return load_vlm()


@pytest.fixture(autouse=True)
def nothing_in_use(monkeypatch):
    monkeypatch.setattr(beside, "_used", ())
