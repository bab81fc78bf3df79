"""A study that is killed at any moment loses no finished row, doubles none, and ends like an undisturbed one.

Also: half a line, a full disk, a copied store, two processes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import resource
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from stub_vlm import StubVLM

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.study import store as stores
from isi_widget.study.store import Store

OBSERVATIONS, SEEDS = 6, (0, 1, 2, 3)
ROWS = OBSERVATIONS * 2 * len(SEEDS)
DIFFERENT = ["seconds", "created"]


def run(folder: Path | None, part: int = 5, **given) -> isi.Study:
    stores.PART = part
    conditions = [isi.condition("plain"), isi.condition("noise").noise(0.2)]
    arguments = {"seeds": SEEDS, "measures": "answer", "store": folder, "do_sample": True, **given}
    return isi.run_study(StubVLM(), isi.datasets.scenes()[:OBSERVATIONS], conditions, **arguments)


def in_a_process(folder: Path, log: Path, slow: float, upto: int = ROWS + 1) -> None:
    """Run the study; write a line to the log for each row that is finished; stand still after `upto` rows."""
    with log.open("ab", buffering=0) as file:

        def progress(stage: str, done: int, total: int) -> None:
            file.write(b"%d\n" % done)
            time.sleep(slow if done < upto else 120)

        run(folder, progress=progress)


@pytest.fixture(scope="module", autouse=True)
def parts():
    """Small parts, in this file only: `run` sets their size."""
    before = stores.PART
    stores.PART = 5
    yield
    stores.PART = before


@pytest.fixture(scope="module")
def server():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["isi_widget.study.running", "isi_widget.datasets", "stub_vlm"])
    return context


@pytest.fixture(scope="module")
def undisturbed():
    return run(None).rows.drop(columns=DIFFERENT)


def killed_at_random(server, tmp_path: Path, undisturbed: pd.DataFrame, points: int, seed: int) -> None:
    """Kill runs at random moments, each going on with the store of the one before."""
    chance, folder, log = random.Random(seed), tmp_path / "0", tmp_path / "log"
    kills = ends = 0
    begun = False
    while kills < points:
        log.unlink(missing_ok=True)
        log.touch()
        child = server.Process(target=in_a_process, args=(folder, log, 0.004))
        child.start()
        wanted, until = chance.randrange(0, 14), time.monotonic() + 120
        while child.is_alive() and len(log.read_bytes().splitlines()) <= wanted and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(chance.random() * 0.012)
        child.kill()
        child.join()
        assert child.exitcode in (0, -signal.SIGKILL)
        lines = log.read_bytes().splitlines()
        kills += 1
        begun = begun or bool(lines)
        if begun:
            found = isi.open_study(folder).rows
            assert found["row"].is_unique
            finished = int(lines[-1]) if lines and lines[-1] else 0
            assert len(found) >= finished
            fitting = undisturbed.set_index("row").loc[found["row"]].reset_index()[list(undisturbed)]
            pd.testing.assert_frame_equal(
                found.drop(columns=DIFFERENT), fitting, check_dtype=bool(len(found))
            )
            if len(found) == ROWS:
                ends += 1
                folder, begun = tmp_path / str(ends), False
    if begun:
        whole = run(folder)
        pd.testing.assert_frame_equal(whole.rows.drop(columns=DIFFERENT), undisturbed)
        assert len(pd.read_parquet(folder / "parts")) == ROWS and not (folder / "open.jsonl").exists()


def test_killed_at_some_points(server, tmp_path, undisturbed):
    killed_at_random(server, tmp_path, undisturbed, 8, seed=1)


@pytest.mark.slow
def test_killed_at_a_hundred_points(server, tmp_path, undisturbed):
    killed_at_random(server, tmp_path, undisturbed, 100, seed=2)


@pytest.mark.parametrize(
    "points", [range(1, 60, 7), pytest.param(range(1, 90), marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_killed_between_two_writes(points, tmp_path, undisturbed, monkeypatch):
    """A run that ends at a single write of a file, before or after it, as a kill would end it."""

    class Killed(BaseException):
        pass

    left = 0

    def counted(original):
        def write(*given, **named):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            made = original(*given, **named)
            left -= 1
            if left == 0:
                raise Killed
            return made

        return write

    original, unlink = stores.write_file, Path.unlink
    for at in points:
        folder = tmp_path / str(at)
        left = at
        with monkeypatch.context() as patched:
            patched.setattr(stores, "write_file", counted(original))
            patched.setattr(Path, "unlink", counted(unlink))
            patched.setattr(Store, "close", lambda self: self._lock and self._lock.release())
            with contextlib.suppress(Killed):
                run(folder)
        if (folder / "study.json").exists():
            assert isi.open_study(folder).rows["row"].is_unique
        whole = run(folder)
        pd.testing.assert_frame_equal(whole.rows.drop(columns=DIFFERENT), undisturbed)


def test_half_a_line_is_left_out(tmp_path, undisturbed):
    whole = run(tmp_path / "a", part=1000)
    folder = tmp_path / "b"
    store = Store(folder, dict(whole._store.columns))
    store.open()
    store.write_header(whole.header)
    table = whole._store.table().to_pylist()
    for row in table[:7]:
        store.add(row)
    store._lock.release()  # as a kill does
    path = folder / "open.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    assert list(isi.open_study(folder).rows["row"]) == list(range(6))
    again = run(folder)
    pd.testing.assert_frame_equal(again.rows.drop(columns=DIFFERENT), undisturbed)


def test_a_full_disk_keeps_the_rows_before(tmp_path, undisturbed):
    folder = tmp_path / "full"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # no file may be larger
    try:
        with pytest.raises(InputError, match=r"cannot be written: .*finished rows before this are kept"):
            run(folder, part=1000, keep_images=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    kept = isi.open_study(folder).rows
    assert 5 < len(kept) < ROWS and kept["row"].is_unique
    whole = run(folder)
    pd.testing.assert_frame_equal(whole.rows.drop(columns=DIFFERENT), undisturbed)
    created = whole.rows.set_index("row")["created"]
    assert kept.set_index("row")["created"].equals(created[kept["row"]])


def test_a_copied_store_goes_on_elsewhere(tmp_path, undisturbed):
    calls = []

    def stop():
        calls.append(1)
        return len(calls) > 30

    with pytest.raises(isi.Cancelled):
        run(tmp_path / "a", cancel=stop)
    kept = len(isi.open_study(tmp_path / "a"))
    assert 0 < kept < ROWS
    shutil.copytree(tmp_path / "a", tmp_path / "b" / "c")
    shutil.rmtree(tmp_path / "a")
    assert len(isi.open_study(tmp_path / "b" / "c")) == kept
    whole = run(tmp_path / "b" / "c")
    pd.testing.assert_frame_equal(whole.rows.drop(columns=DIFFERENT), undisturbed)


def test_two_processes_do_not_write_to_one_store(server, tmp_path):
    folder, log = tmp_path / "two", tmp_path / "log"
    log.touch()
    child = server.Process(target=in_a_process, args=(folder, log, 0.0, 4))
    child.start()
    try:
        until = time.monotonic() + 120
        while len(log.read_bytes().splitlines()) < 4 and time.monotonic() < until:
            time.sleep(0.01)
        with pytest.raises(InputError, match="Another run writes to the store"):
            run(folder)
        assert 0 < len(isi.open_study(folder)) < ROWS  # reading is possible meanwhile
    finally:
        child.kill()
        child.join()
    assert len(run(folder)) == ROWS  # the lock of a dead process holds nobody up


def test_a_damaged_part_is_named(tmp_path):
    study = run(tmp_path / "a")
    part = sorted((tmp_path / "a" / "parts").iterdir())[1]
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(InputError, match=r"A part of the store .* is damaged: .*000002"):
        len(isi.open_study(study.store))
    part.unlink()
    assert len(run(study.store)) == ROWS
