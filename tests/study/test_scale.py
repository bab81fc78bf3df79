"""The simulation of a million rows (`benchmarks/scale.py`), with a few thousand: kill, resume, statistics."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_killed_simulation_resumes_and_is_read() -> None:
    command = [sys.executable, "-m", "benchmarks.scale", "3000"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert ran.returncode == 0, ran.stderr
    steps = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [step["step"] for step in steps] == ["write", "resume", "read"]
    assert all(0 < step["peak GiB"] < 4 for step in steps)
    assert 100 < steps[-1]["bytes a row"] < 4096
