"""Averages that a test puts in use are taken out of it afterwards."""

from __future__ import annotations

import pytest

from isi_widget.study import in_use


@pytest.fixture(autouse=True)
def nothing_in_use(monkeypatch):
    monkeypatch.setattr(in_use, "_used", ())
