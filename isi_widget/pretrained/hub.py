"""The Hugging Face hub: finds a checkpoint and downloads its files, with progress and cancelling.

Each failure raises one clear error quickly: huggingface_hub itself tries for 23 seconds before it reports a
missing network. Not for loading downloaded files (see `isi_widget.vlm.loading.load`,
`isi_widget.uncertainty.entailment`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from isi_widget.errors import Cancelled, InputError

#: Function called with a fraction from 0 to 1 and a text.
Progress = Callable[[float, str], None]
Cancel = Callable[[], bool]

#: Seconds to wait for the hub's first response; set HF_HUB_ETAG_TIMEOUT for slower networks.
PATIENCE = 5.0
_WORKERS = 4


@contextmanager
def progress_bars(*, shown: bool) -> Iterator[None]:
    """Show or hide the progress bars of transformers inside the context: an embedded model loads
    in a moment.
    """
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    if not shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()


@dataclass(frozen=True)
class Repository:
    """A checkpoint on the hub in its present state, or in the local cache if the hub cannot be reached.

    Attributes
    ----------
    name : requested name.
    revision : requested revision.
    commit : resolved commit.
    files : {name: size in bytes}, None if the hub does not report it; empty without the hub.
    folder : folder in the local cache; None if it was found on the hub.
    """

    name: str
    revision: str | None
    commit: str
    files: Mapping[str, int | None] = field(default_factory=dict)
    folder: Path | None = None


def find(name: str, revision: str | None = None) -> Repository:
    """Find a checkpoint on the hub; without a network, in the local cache.

    Raises
    ------
    InputError
        Invalid, unknown or inaccessible name; or neither network nor a copy in the cache.
    """
    from huggingface_hub import HfApi, constants

    patience = float(constants.HF_HUB_ETAG_TIMEOUT) if os.environ.get("HF_HUB_ETAG_TIMEOUT") else PATIENCE
    try:
        info = HfApi().model_info(name, revision=revision, timeout=patience, files_metadata=True)
    except Exception as error:
        if not _is_network(error):
            raise _explained(error, name, revision) from None
        folder = _cached(name, revision)
        if folder is None:
            raise _explained(error, name, revision) from None
        return Repository(name, revision, folder.name, folder=folder)
    files = {one.rfilename: one.size for one in info.siblings or ()}
    return Repository(name, revision, str(info.sha), files)


def fetch(
    repository: Repository,
    files: Sequence[str],
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Path:
    """Download files of a repository into the local cache, several at a time; existing files stay.

    Parameters
    ----------
    progress : function called with the fraction of downloaded bytes; None shows the bars of huggingface_hub.
    cancel : function polled ten times a second. Downloaded parts of a file are kept for the next try.

    Returns
    -------
    The folder of the files.

    Raises
    ------
    InputError
        Files that cannot be downloaded, or a full disk.
    Cancelled
    """
    from huggingface_hub import hf_hub_download

    if repository.folder is not None:
        return repository.folder
    name = repository.name
    missing = {file: repository.files.get(file) or 0 for file in files if not is_cached(repository, file)}
    _check_disk(name, sum(missing.values()))
    meter = _Meter()
    bar: Any = meter.bar if progress is not None or cancel is not None else None
    # Use the requested revision once: huggingface_hub then records its commit for offline use.
    named = {"config.json": repository.revision}
    with ThreadPoolExecutor(_WORKERS) as pool:
        jobs = [
            pool.submit(
                hf_hub_download, name, file, revision=named.get(file, repository.commit), tqdm_class=bar
            )
            for file in files
        ]
        try:
            _wait(jobs, meter, sum(missing.values()), name, progress, cancel)
        except BaseException:
            meter.stopped = True
            for job in jobs:
                job.cancel()
            _abort_transfers()
            raise
    try:
        return Path(jobs[0].result()).parents[len(Path(files[0]).parts) - 1]
    except Exception as error:
        raise _explained(error, name, repository.revision) from None


def _wait(
    jobs: Sequence[Future[Any]],
    meter: _Meter,
    total: int,
    name: str,
    progress: Progress | None,
    cancel: Cancel | None,
) -> None:
    pending = set(jobs)
    while pending:
        done, pending = wait(pending, timeout=0.1)
        if cancel is not None and cancel():
            raise Cancelled(f"Downloading {name} was cancelled. Downloaded parts are kept for the next try.")
        for job in done:
            error = job.exception()
            if error is not None:
                raise _explained(error, name, None) from None
        if progress is not None and total:
            there = min(meter.count, total)
            progress(there / total, f"downloading {name}: {there / 2**20:.0f} of {total / 2**20:.0f} MiB")


def is_cached(repository: Repository, file: str) -> bool:
    """Return whether the local cache has a file of exactly this commit."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repository.name, file, revision=repository.commit), str)


class _Meter:
    """Counts the bytes of all files, from the updates of huggingface_hub's progress bars."""

    def __init__(self) -> None:
        self.count = 0
        self.stopped = False

    def bar(self, *_: Any, **__: Any) -> _Bar:
        """Return a bar, for use as `tqdm_class`."""
        return _Bar(self)


class _Bar:
    """Replaces a tqdm bar without showing it. An update of a stopped meter ends the download."""

    def __init__(self, meter: _Meter) -> None:
        self._meter = meter
        self.n, self.total = 0, 0

    def __enter__(self) -> _Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, count: float | None = 1) -> None:
        self.update_transfer(count)
        self._meter.count += int(count or 0)

    def update_transfer(self, count: float | None = 1) -> None:
        if self._meter.stopped:
            raise Cancelled("The download was stopped.")

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


def _abort_transfers() -> None:
    """Stop hf_xet, which continues even if its progress callback raises; a no-op without hf_xet."""
    try:
        from huggingface_hub.utils._xet import abort_xet_session
    except ImportError:
        return
    abort: Callable[[], None] = abort_xet_session
    abort()


def _check_disk(name: str, needed: int) -> None:
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    existing = next(folder for folder in (cache, *cache.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise InputError(
            f"The files of {name!r} take {needed / 2**30:.1f} GiB more, but {free / 2**30:.1f} GiB are free "
            f"on the disk of the cache ({cache}). Make room, or set HF_HUB_CACHE to a folder on another disk."
        )


def _cached(name: str, revision: str | None) -> Path | None:
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (errors.LocalEntryNotFoundError, OSError, ValueError):
        return None


def _is_network(error: BaseException) -> bool:
    """Return whether an error means that the hub cannot be reached (httpx of any version, or
    offline mode).
    """
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"TransportError", "ConnectionError", "Timeout", "TimeoutError"})


def _explained(error: BaseException, name: str, revision: str | None) -> BaseException:
    """Convert an error of the hub to one clear message; other errors are returned unchanged."""
    from huggingface_hub import errors as hub

    at = f" at revision {revision!r}" if revision else ""
    if isinstance(error, hub.LocalEntryNotFoundError) and isinstance(error.__cause__, hub.HfHubHTTPError):
        error = error.__cause__  # the hub answered with a refusal
    if isinstance(error, InputError | Cancelled):
        return error
    if isinstance(error, hub.HFValidationError):
        message = (
            f"{name!r} is neither an existing folder nor a valid hub name. Hub names look like "
            "'llava-hf/llava-1.5-7b-hf'."
        )
    elif isinstance(error, hub.GatedRepoError):
        message = (
            f"The model {name!r} is gated: accept its terms on its page at huggingface.co, then log in "
            "with `hf auth login` or set HF_TOKEN."
        )
    elif isinstance(error, hub.RevisionNotFoundError):
        message = f"The model {name!r} has no revision {revision!r}."
    elif isinstance(error, hub.RepositoryNotFoundError):
        message = (
            f"There is no model {name!r} on the Hugging Face hub (or it is private and you are not "
            "logged in), nor a folder of that name."
        )
    elif isinstance(error, hub.LocalEntryNotFoundError) or _is_network(error):
        message = (
            f"The model {name!r}{at} is not in the local cache and the Hugging Face hub cannot be reached. "
            "Check the network (on a slow one set HF_HUB_ETAG_TIMEOUT to more seconds), or give a folder; "
            "the embedded model, loaded without a name, works offline."
        )
    elif isinstance(error, hub.EntryNotFoundError):
        message = f"The model {name!r}{at} has no config.json: it is not a transformers checkpoint."
    elif isinstance(error, OSError | hub.HfHubHTTPError):
        line = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        message = (
            f"The Hugging Face hub did not deliver {name!r}{at}: {line}. Try again, or give a local folder."
        )
    else:
        return error
    return InputError(message)
