"""`isi_vqa`: the data set of ISI, 100 photographs with questions, contexts and annotated images.

From a folder, or downloaded once from its public repository at a pinned commit. Nothing of it is shipped
here: upstream states no licence, and a download says so. Not for the transfer itself (`download`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from isi_widget.datasets.csv_data import from_csv
from isi_widget.datasets.download import Manifest, cache_folder, fetch
from isi_widget.datasets.observation import Dataset
from isi_widget.errors import InputError

TABLE, IMAGES, ANNOTATED = "vlm_dataset.csv", "natural_images", "annotated_images"
MANIFEST = Path(__file__).parent / "isi_vqa_manifest.json"


def isi_vqa(
    path: str | os.PathLike[str] | None = None,
    *,
    progress: bool | Callable[[int, int], None] = True,
    on_error: Literal["raise", "skip"] = "raise",
) -> Dataset:
    """Return the ISI VQA data set (Klein et al., Interactive Semantic Interventions for VLMs).

    Parameters
    ----------
    path : a folder with ``vlm_dataset.csv``, ``natural_images/`` and ``annotated_images/``. None: download
        33 MB into the cache folder (``ISI_WIDGET_CACHE``, else the system's), checked by SHA-256; only
        missing files are fetched, and afterwards no network is needed.
    progress : show a bar, or a function of (bytes done, bytes in all).
    on_error : as in `from_csv`: "raise", or "skip" to leave out rows that are wrong.

    Raises
    ------
    InputError : the folder has another layout, or rows are wrong.
    DownloadError : a file cannot be fetched; what has arrived is kept for the next call.
    """
    folder = _downloaded(progress) if path is None else Path(path).expanduser()
    missing = [part for part in (TABLE, IMAGES, ANNOTATED) if not (folder / part).exists()]
    if missing:
        raise InputError(
            f"{str(folder)!r} does not have the ISI layout: {', '.join(missing)} is missing. Without a path, "
            "isi_vqa() downloads the data set."
        )
    return from_csv(folder / TABLE, folder / IMAGES, folder / ANNOTATED, name="isi-vqa", on_error=on_error)


def _downloaded(progress: bool | Callable[[int, int], None]) -> Path:
    manifest = Manifest.read(MANIFEST)
    folder = cache_folder() / manifest.name / manifest.version
    if not manifest.is_complete(folder):
        print(
            f"Downloading {manifest.name} ({manifest.size / 1e6:.0f} MB) from {manifest.source}\n"
            f"into {folder}.\n"
            "Its authors state no licence: look at the repository before you use or pass on the images."
        )
    return fetch(manifest, folder, progress=progress)
