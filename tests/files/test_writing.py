"""Files are written at once or not at all: an earlier good one survives a full disk, an interrupt, a kill."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isi_widget as isi
from isi_widget import InputError, Trial
from isi_widget.files.writing import write_file
from isi_widget.trial.settings import Settings

PACKAGE = Path(isi.__file__).parent


@pytest.fixture
def trial() -> Trial:
    stimulus = isi.Stimulus(np.full((8, 9, 3), 200, np.uint8), "Is there a star?")
    return Trial(stimulus, {}, {"name": "a"}, Settings())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert write_file(path, b"one") == path and path.read_bytes() == b"one"
    assert write_file(str(path), "zwei \u00fc\n") == path and path.read_bytes() == "zwei \u00fc\n".encode()
    assert names(tmp_path) == ["a.json"]


def test_a_new_file_has_the_usual_permissions_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    path, usual = tmp_path / "a", tmp_path / "b"
    usual.write_bytes(b"")
    write_file(path, b"one")
    assert path.stat().st_mode == usual.stat().st_mode
    path.chmod(0o640)
    write_file(path, b"two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "a", tmp_path / "link"
    link.symlink_to(real)  # leads nowhere yet
    for content in (b"one", b"two"):
        write_file(link, content)
        assert link.is_symlink() and real.read_bytes() == content
    assert names(tmp_path) == ["link", "there"] and names(tmp_path / "there") == ["a"]


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 250)
    assert write_file(path, b"one").read_bytes() == b"one" and names(tmp_path) == [path.name]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as reader:
        write_file(path, b"one")
        assert reader.communicate()[0] == b"one"
    assert stat.S_ISFIFO(path.stat().st_mode) and names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("at", ["fsync", "replace"])
def test_what_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, error: BaseException
) -> None:
    def fail(*args: Any) -> None:
        raise error

    path = tmp_path / "a"
    path.write_bytes(b"good")
    monkeypatch.setattr(os, at, fail)
    with pytest.raises(type(error)):
        write_file(path, b"other")
    assert path.read_bytes() == b"good" and names(tmp_path) == ["a"]


KILLED = """
import os, sys
from isi_widget.files.writing import write_file
os.fsync = lambda file: os.kill(os.getpid(), 9)
write_file(sys.argv[1], b"other" * 1000)
"""


def test_a_kill_leaves_the_old_file_and_the_next_write_tidies_up(tmp_path: Path) -> None:
    path, neighbour = tmp_path / "a", tmp_path / ".a.mine.part"
    path.write_bytes(b"good")
    neighbour.write_bytes(b"somebody else's")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL and path.read_bytes() == b"good"
    assert len(names(tmp_path)) == 3
    write_file(path, b"new")
    assert path.read_bytes() == b"new" and names(tmp_path) == [neighbour.name, "a"]


def every_way(trial: Trial) -> dict[str, Callable[[Path], Any]]:
    """Everything that writes a file where the caller says."""
    from isi_widget.study import record

    return {
        "report": lambda path: trial.report(path),
        "report of several": lambda path: isi.report([trial, trial], path),
        "picture": lambda path: trial.stimulus.image.save(path),
        "averages": lambda path: record.write({"rows": [[1]]}, path),
    }


@pytest.mark.parametrize("way", ["report", "report of several", "picture", "averages"])
def test_every_way_to_write(trial: Trial, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, path = every_way(trial)[way], tmp_path / "a.pdf"
    write(path)
    good = path.read_bytes()
    assert good

    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write(path)
    assert path.read_bytes() == good and names(tmp_path) == ["a.pdf"]


def test_no_other_line_of_the_package_writes_a_file_in_place() -> None:
    """But downloads, stored scans and studies, which go on where they broke off, and the training."""
    writing = re.compile(r"\.write_bytes\(|\.write_text\(.*(encoding|\))|open\([^)]*[\"'][wax]b?[\"']")
    found = {
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        if not {"training", "writing.py", "download.py", "scan_store.py", "store.py"}
        & set(path.relative_to(PACKAGE).parts)
        for line in path.read_text(encoding="utf-8").splitlines()
        if writing.search(line) and "sheet.write_text" not in line and "self.write_text" not in line
    }
    assert all("writes it" in line for line in found), found
