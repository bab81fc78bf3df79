"""A session as one file, and files from elsewhere: nothing in it is run, nothing outside is read."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_page import Page
from scripted_runs import Script
from test_sessions import everything, made, picture, work

import isi_widget as isi
from isi_widget import InputError, Observation, Probe, datasets
from isi_widget.vlm import VLM
from isi_widget.widget.session import layout, sources

__all__ = ["made"]


@pytest.fixture
def opened(vlm: VLM, script: Script) -> Iterator[Any]:
    script.free, script.steps = True, 1
    probes: list[Probe] = []

    def make(path: Path | str, **named: Any) -> Probe:
        probes.append(isi.open_probe(path, vlm, **named))
        return probes[-1]

    yield make
    for probe in probes:
        probe.close()


# ---- one file
def test_one_file_holds_everything(made: Any, opened: Any, tmp_path: Path) -> None:
    probe = made(datasets.things()[0])  # without a session
    work(probe)
    assert probe.save(tmp_path / "homework.isi") == tmp_path / "homework.isi"
    found = opened(tmp_path / "homework.isi")
    assert everything(found) == everything(probe)
    assert found.session is None and all(trial.received for trial in found.trials)
    data = probe.save()
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        names = file.namelist()
    assert sorted(name for name in names if "pictures" not in name) == [
        "session.json",
        "trials/000002.json",
        "trials/000003.json",
    ]
    found.run("answer")
    assert list(found._history) == [2, 3, 4]


def test_a_file_without_its_data_set(made: Any, opened: Any, tmp_path: Path) -> None:
    """Random pictures and contexts are in it; so undo works, and what was not looked at is not in it."""
    data = [
        Observation(picture(seed), f"Question {seed}?", f"Context {seed}.", id=f"o{seed}")
        for seed in range(5)
    ]
    probe = made(data=data)
    probe.stimulus = probe.stimulus.with_image(preset="random", seed=1).with_context(preset="random", seed=1)
    probe.stimulus = probe.stimulus.with_image(preset="natural").box(1, 2, 3, 4)
    probe.choose(3)
    page = Page(probe)
    page.draw({"op": "image", "preset": "random", "seed": 5})  # as a page names it
    drawn = probe.stimulus
    probe.save(tmp_path / "a.isi")
    found = opened(tmp_path / "a.isi")
    assert found.stimulus.key == drawn.key
    assert [row["id"] for row in found.observations] == ["o0", "o3"]
    found.undo()
    assert found.stimulus.image == data[3].image and not found.stimulus.operations
    found.choose(0)
    for _ in range(2):
        found.undo()
    assert found.stimulus.current_image != data[0].image and found.stimulus.current_context != data[0].context
    again = found.save()
    (tmp_path / "b.isi").write_bytes(again)
    assert opened(tmp_path / "b.isi").document == found.document


def test_work_on_a_file_is_kept_in_a_folder(made: Any, opened: Any, tmp_path: Path) -> None:
    probe = made(datasets.scenes()[0])
    probe.run("answer")
    probe.save(tmp_path / "a.isi")
    found = opened(tmp_path / "a.isi", session=tmp_path / "mine")
    found.run("answer")
    found.keep()
    found.close()
    again = opened(tmp_path / "mine")
    assert list(again._history) == [1, 2] and again.session == tmp_path / "mine"
    again.close()
    with pytest.raises(InputError, match="holds a session already"):
        opened(tmp_path / "a.isi", session=tmp_path / "mine")
    assert list(opened(tmp_path / "mine")._history) == [1, 2]
    with pytest.raises(InputError, match="is a folder"):
        opened(tmp_path / "mine", session="x")


def test_what_cannot_be_opened_or_saved(made: Any, opened: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no session"):
        opened(tmp_path / "nothing.isi")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="not the folder of a session"):
        opened(tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []
    for content in (b"", b"not a zip file", b"PK\x03\x04 half"):
        (tmp_path / "a.isi").write_bytes(content)
        with pytest.raises(InputError, match=r"not a zip file.*probe\.save"):
            opened(tmp_path / "a.isi")
    with pytest.raises(InputError, match=r"cannot be written to .*folder that exists"):
        made(datasets.scenes()[0]).save(tmp_path / "no folder" / "a.isi")


# ---- from elsewhere
@pytest.fixture
def files(made: Any) -> dict[str, bytes]:
    """The files of a session of two trials, by name."""
    probe = made(Observation(picture(), "Is there a star?", id="mine"))
    for _ in range(2):
        probe.stimulus = probe.stimulus.box(1, 2, 3, 4)
        probe.run("answer")
    with zipfile.ZipFile(io.BytesIO(probe.save())) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(path: Path, files: dict[str, bytes], **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in {**files, **more}.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../evil.json",
        "/tmp/evil.json",
        "trials/../../evil.json",
        "C:\\evil.json",
        "trials\\000001.json",
        "pictures/../session.json",
        "evil.py",
        "lock",
        "trials/000003.json/x",
        "session.json ",
        "trials/1.json",
        "conftest.py",
    ],
)
def test_names_that_are_not_of_a_session(opened: Any, tmp_path: Path, files: Any, name: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = zipped(folder / "a.isi", {**files, name: b"{}"})
    with pytest.raises(InputError, match="not the name of a file of a session"):
        opened(path)
    assert sorted(tmp_path.rglob("*")) == [folder, path]


def png(width: int, height: int, rows: int = 0) -> bytes:
    """A PNG file that says it is of this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes((1 + 3 * width) * rows)))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


def other_picture(files: dict[str, bytes]) -> dict[str, bytes]:
    (name,) = (name for name in files if "pictures" in name)
    return {name: datasets.scenes()[3].image.png()}


def with_picture(data: bytes) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: {next(name for name in files if "pictures" in name): data}


def with_state(**changed: Any) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: {
        "session.json": json.dumps({**json.loads(files["session.json"]), **changed}).encode()
    }


def deep(files: dict[str, bytes]) -> dict[str, bytes]:
    return {"session.json": b"[" * 100_000 + b"]" * 100_000}


BAD: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "another picture": (other_picture, "does not match its SHA-256"),
    "a huge picture": (with_picture(png(60_000, 60_000)), "megapixels|damaged"),
    "a long picture": (with_picture(png(200_000, 1)), "sides of an image"),
    "a cut picture": (with_picture(png(500, 500)), "damaged or truncated"),
    "a script": (with_picture(b"#!/bin/sh\n"), "not a PNG"),
    "postscript": (with_picture(b"%!PS-Adobe-3.0 EPSF-3.0\n"), "not a PNG"),
    "tiff": (with_picture(b"II*\0"), "not a PNG"),
    "deep": (deep, "damaged"),
    "no state": (with_state(format="x"), "not the state of a session"),
    "newer": (with_state(schema=5), "newer isi-widget"),
    "unknown key": (with_state(code="import os"), "unknown keys"),
    "setting": (with_state(settings={"samples": 10**9}), "samples"),
    "setting of code": (with_state(settings={"trust_remote_code": True}), "unknown keys"),
    "current": (with_state(current=3), "current observation"),
    "index": (with_state(current="../3"), "not the index"),
    "notes": (with_state(notes={"1": "x" * 5000}), "note"),
    "numbers": (with_state(last=-4), "last"),
    "infinity": (with_state(last=float("inf")), "valid JSON"),
}


@pytest.mark.parametrize("kind", BAD)
def test_files_that_are_refused(opened: Any, tmp_path: Path, files: Any, kind: str) -> None:
    change, message = BAD[kind]
    with pytest.raises(InputError, match=message):
        opened(zipped(tmp_path / "a.isi", {**files, **change(files)}))


def test_bombs(opened: Any, tmp_path: Path, files: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(layout, "MOST_BYTES", 1_000_000)
    bomb = zipped(tmp_path / "a.isi", {**files, "trials/000003.json": bytes(2_000_000)})
    assert bomb.stat().st_size < 100_000
    with pytest.raises(InputError, match="unpacks to more"):
        opened(bomb)
    # one whose directory says that it is small
    data = bytearray(bomb.read_bytes())
    size = struct.pack("<I", 2_000_000)
    while (place := data.find(size)) >= 0:
        data[place : place + 4] = struct.pack("<I", 100)
    bomb.write_bytes(data)
    with pytest.warns(UserWarning, match="Trial 3 cannot be read"):
        assert list(opened(bomb)._history) == [1, 2]
    monkeypatch.setattr(layout, "MOST_FILES", 3)
    with pytest.raises(InputError, match="at most 3"):
        opened(bomb)


def test_pictures_that_are_large_together(opened: Any, tmp_path: Path, files: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(layout, "MOST_PIXELS", 60 * 80 - 1)
    with pytest.raises(InputError, match="megapixels"):
        opened(zipped(tmp_path / "a.isi", files))


def test_the_same_name_twice_and_encrypted(opened: Any, tmp_path: Path, files: Any) -> None:
    path = zipped(tmp_path / "a.isi", files)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("session.json", files["session.json"])
    with pytest.raises(InputError, match="twice"):
        opened(path)
    data = bytearray(zipped(path, files).read_bytes())
    data[data.rfind(b"PK\x01\x02", 0, data.find(b"PK\x01\x02") + 4) + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="encrypted"):
        opened(path)


def test_code_in_a_trial_is_only_a_comment(opened: Any, tmp_path: Path, files: Any) -> None:
    record = json.loads(files["trials/000001.json"])
    record["trial"]["model"] = {
        **record["trial"]["model"],
        "name": "evil/model",
        "loaded_with": {"name": "evil/model", "trust_remote_code": True},
    }
    changed = json.dumps(record).encode()
    probe = opened(zipped(tmp_path / "a.isi", {**files, "trials/000001.json": changed}))
    assert probe.trials[0].received
    lines = [line for line in probe.code(1).splitlines() if "trust_remote_code" in line]
    assert all(line.lstrip().startswith("#") for line in lines)


def test_a_folder_from_elsewhere_has_no_links(made: Any, opened: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    probe = made(datasets.scenes()[0], session=tmp_path / "s")
    probe.run("answer")
    probe.keep()
    probe.close()
    for name in (
        "session.json",
        "trials/000001.json",
        "trials/000009.json",
        "changes.jsonl",
        "trials",
        "pictures",
    ):
        path, aside = tmp_path / "s" / name, tmp_path / "aside"
        there = path.exists()
        if there:
            path.rename(aside)
        path.symlink_to(tmp_path if name in ("trials", "pictures") else secret)
        with pytest.raises(InputError, match="link"):
            opened(tmp_path / "s")
        path.unlink()
        if there:
            aside.rename(path)
    (tmp_path / "s" / "lock").symlink_to(tmp_path / "written")
    with pytest.raises(InputError, match="link"):
        opened(tmp_path / "s")
    assert not (tmp_path / "written").exists() and secret.read_text() == "{}"


def test_a_pipe_in_the_place_of_a_file_does_not_block(tmp_path: Path) -> None:
    import os

    (tmp_path / "trials").mkdir()
    os.mkfifo(tmp_path / "trials" / "000001.json")
    with pytest.raises(InputError, match="not an ordinary file"):
        sources.FolderSource(tmp_path).read("trials/000001.json")


def test_any_byte_may_be_wrong(opened: Any, tmp_path: Path, files: Any) -> None:
    """A state with any part replaced is opened or refused by a message, never by another exception."""
    state = json.loads(files["session.json"])
    rng = np.random.default_rng(0)
    junk: list[Any] = [None, -1, "x", [], {}, [1], {"a": 1}, 1e300, True, "\ud800", {"1": None}, [[[]]]]
    paths = list(leaves(state))
    refused = 0
    for _ in range(60):
        changed = json.loads(files["session.json"])
        *way, last = paths[int(rng.integers(len(paths)))]
        place = changed
        for step in way:
            place = place[step]
        place[last] = junk[int(rng.integers(len(junk)))]
        try:
            sources_of = zipped(tmp_path / "a.isi", {**files, "session.json": json.dumps(changed).encode()})
            opened(sources_of).close()
        except InputError:
            refused += 1
    assert refused > 30


def leaves(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*way, key)
        yield from leaves(item, (*way, key))
