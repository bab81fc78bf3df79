"""A script that ends while the model still runs in the worker thread ends quietly, with its own exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys, threading
import isi_widget as isi
probe = isi.Probe(isi.load_vlm(), isi.datasets.scenes()[0])
running = threading.Event()
def begun(change):
    if change["new"]["stage"] == "samples":
        running.set()
probe.observe(begun, "status")
threading.Thread(target=lambda: probe.run(samples=1000, max_new_tokens=4096), daemon=True).start()
assert running.wait(120)
{end}
"""


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("sys.exit(3)", 3, ""),
        pytest.param("", 0, "", marks=pytest.mark.slow),
        pytest.param("raise ValueError('of the script')", 1, "of the script", marks=pytest.mark.slow),
        pytest.param("probe.close(); del probe", 0, "", marks=pytest.mark.slow),
    ],
)
def test_a_script_that_ends_during_a_run(end: str, code: int, said: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(end=end)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr if said else not ended.stderr, ended.stderr
    assert "terminate" not in ended.stderr
