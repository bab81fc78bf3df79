"""Checksummed, resumable download of a list of files into a cache folder.

A manifest in the package lists every file with its size and SHA-256, so a complete folder is exactly the
pinned version. Not for the content of the files (`isi_data`).
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isi_widget._version import __version__
from isi_widget.errors import InputError

_BLOCK = 64 * 1024
_ATTEMPTS = 4
_AGAIN = (408, 429, 500, 502, 503, 504)
#: Seconds before the second attempt; doubled for each later attempt.
PAUSE = 1.0


class DownloadError(RuntimeError):
    """A file could not be downloaded, or differs from the pinned version."""


@dataclass(frozen=True)
class Manifest:
    """The list of files of a data set.

    name : name of the data set, part of the cache folder's name.
    version : version of the data set, part of the cache folder's name.
    source : web address for people.
    base : URL that file names are appended to.
    files : {relative path: (size in bytes, SHA-256)}.
    """

    name: str
    version: str
    source: str
    base: str
    files: Mapping[str, tuple[int, str]]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest from its JSON file in the package."""
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = {name: (int(size), str(digest)) for name, (size, digest) in record.pop("files").items()}
        return cls(**record, files=files)

    @property
    def size(self) -> int:
        """Total size, bytes."""
        return sum(size for size, _ in self.files.values())

    def is_complete(self, folder: Path) -> bool:
        """Return whether every file exists with its size; contents were checked before a file got
        its name.
        """
        return all(_size(folder / name) == size for name, (size, _) in self.files.items())


def cache_folder() -> Path:
    """Return the folder for downloads: ``ISI_WIDGET_CACHE``, else the system's cache folder."""
    chosen = os.environ.get("ISI_WIDGET_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "isi_widget"
    if sys.platform == "win32":
        return (
            Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "isi_widget" / "Cache"
        )
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isi_widget"


def fetch(manifest: Manifest, folder: Path, *, progress: bool | Callable[[int, int], None] = True) -> Path:
    """Download the missing files of a manifest into `folder`; returns `folder`.

    An interrupted transfer leaves ``NAME.part``, and the next call resumes it. A file gets its final name
    only after its checksum was verified. If nothing is missing, no network is used.

    Raises
    ------
    DownloadError : no network, missing file, or content that differs from the pinned version.
    """
    missing = [name for name, (size, _) in manifest.files.items() if _size(folder / name) != size]
    if not missing:
        return folder
    total = sum(manifest.files[name][0] for name in missing)
    with _Progress(progress, total, manifest.name) as bar:
        for name in missing:
            path = folder / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                _fetch_file(manifest.base + urllib.parse.quote(name), path, *manifest.files[name], bar)
            except OSError as error:
                raise DownloadError(
                    f"{path} cannot be written: {error}. Set ISI_WIDGET_CACHE to a different folder."
                ) from error
    return folder


def _fetch_file(url: str, path: Path, size: int, digest: str, bar: _Progress) -> None:
    part = path.with_name(path.name + ".part")
    if (_size(part) or 0) > size:
        part.unlink()
    bar.add(_size(part) or 0)
    reason = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        resumed = _size(part) or 0
        if resumed < size or size == 0:
            reason = _transfer(url, part, size, bar)
            if reason:
                continue
        if hashlib.sha256(part.read_bytes()).hexdigest() == digest:
            part.replace(path)
            return
        part.unlink()
        bar.add(-size)
        reason = "its content is not the pinned one (SHA-256 differs)"
        if not resumed:  # a complete fresh copy is wrong: trying again cannot help
            break
    raise DownloadError(
        f"{url} could not be downloaded: {reason}. Downloaded parts are kept; try again, or pass the path "
        "of a copy."
    )


def _transfer(url: str, part: Path, size: int, bar: _Progress) -> str:
    """Append the missing bytes to `part`; returns why the transfer is incomplete, or ""."""
    have = _size(part) or 0
    request = urllib.request.Request(url, headers={"User-Agent": f"isi-widget/{__version__}"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            if have and response.status != 206:  # the server restarts from the beginning
                bar.add(-have)
                have = 0
            with part.open("ab" if have else "wb") as file:
                while block := response.read(min(_BLOCK, size - have + 1)):
                    file.write(block)
                    have += len(block)
                    bar.add(len(block))
                    if have > size:
                        break
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the partial file does not match the file on the server
            bar.add(-(_size(part) or 0))
            part.unlink(missing_ok=True)
        elif error.code not in _AGAIN:
            raise DownloadError(
                f"{url} could not be downloaded: the server answered {error.code} {error.reason}. "
                "Pass the path of a copy instead."
            ) from None
        return f"the server answered {error.code} {error.reason}"
    except (
        urllib.error.URLError,
        TimeoutError,
        ConnectionError,
        ssl.SSLError,
        http.client.HTTPException,
    ) as error:
        return f"the connection failed ({getattr(error, 'reason', None) or error!r})"
    if have == size:
        return ""
    if have > size:
        bar.add(-have)
        part.unlink()
        return f"the server sent more than {size} bytes"
    return f"the connection broke off after {have} of {size} bytes"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


class _Progress:
    """Progress as a bar, as calls of a function, or none."""

    def __init__(self, progress: bool | Callable[[int, int], None], total: int, name: str) -> None:
        self._done, self._total = 0, total
        self._call = progress if callable(progress) else None
        self._bar: Any = None
        if progress is True:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, desc=name, unit="B", unit_scale=True)
        elif not callable(progress) and progress is not False:
            raise InputError(f"progress must be true, false or a function, got {progress!r}.")

    def add(self, count: int) -> None:
        """Report `count` more bytes (fewer, if negative)."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        if self._call is not None:
            self._call(self._done, self._total)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()
