"""Averages that a test puts in use are taken out of it afterwards."""

from __future__ import annotations

import pytest

from isi_widget.study import beside


@pytest.fixture(autouse=True)
def nothing_in_use(monkeypatch):
    monkeypatch.setattr(beside, "_used", ())
