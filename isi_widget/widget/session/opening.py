"""`open_probe`: a probe from the folder or the file of a session. Not for reading it (`reading.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isi_widget.datasets import Dataset, Observation
from isi_widget.errors import InputError
from isi_widget.files.paths import path_of_user
from isi_widget.uncertainty.judge import Entailment
from isi_widget.uncertainty.judges import AUTO
from isi_widget.vlm import VLM
from isi_widget.widget.probe import Probe
from isi_widget.widget.session import layout
from isi_widget.widget.session.reading import Kept, read
from isi_widget.widget.session.sources import ZipSource


def open_probe(
    path: str | Path,
    vlm: VLM | None = None,
    *,
    data: Dataset | Sequence[Observation] | None = None,
    entailment: Entailment | str | Path | None = AUTO,
    session: str | Path | None = None,
) -> Probe:
    """Open a session: a folder of `isi.Probe(..., session=folder)`, which goes on to be kept there, or a file
    of `probe.save(path)`.

    A file may come from anyone: nothing in it is run, and nothing outside of it is read or written. Its
    trials are `received`, as those of `isi.open_report`. The model that it names is not loaded.

    Parameters
    ----------
    path : folder or file.
    vlm : model for new runs; None (default): the embedded one.
    data : observations in the drop-down; None (default): the built-in data set of the session, or the
        observations that it holds.
    entailment : entailment model, as for `Probe`; default "auto": that of the session, if it is a known one.
    session : folder in which the work on an opened file is kept from now on; None (default): in memory only.

    Raises
    ------
    InputError : no such folder or file, or one that is damaged, in use, too large or of a newer version.
    """
    given = path_of_user(path, "path")
    if given.is_dir():
        if session is not None:
            raise InputError(
                f"{str(path)!r} is a folder, which is kept as it is; session=... is for a file of "
                "probe.save()."
            )
        _check_folder(given)
        return Probe(vlm, data=data, entailment=entailment, session=path)
    if not given.exists():
        raise InputError(
            f"There is no session {str(path)!r} (looked from {str(Path.cwd())!r}). isi.Probe(vlm, obs, "
            "session=folder) makes one."
        )
    return Probe._received(read_file(given), vlm, data=data, entailment=entailment, session=session)


def read_file(path: Path) -> Kept:
    """Read and check a file of `probe.save`."""
    source = ZipSource(path)
    try:
        kept = read(source)
    finally:
        source.close()
    if not kept.state:
        raise InputError(f"{source.title} is not a session: it holds no {layout.STATE}.")
    return kept


def _check_folder(folder: Path) -> None:
    if not (folder / layout.STATE).exists() and not (folder / layout.TRIALS).is_dir():
        raise InputError(
            f"{str(folder)!r} is not the folder of a session: it holds no {layout.STATE}. isi.Probe(vlm, "
            "obs, session=folder) makes one."
        )
