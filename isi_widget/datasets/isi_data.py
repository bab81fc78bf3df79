"""`isi_vqa`: the data set of ISI, 100 photographs with questions, contexts and annotated images.

It is read from a folder, or downloaded once from its public repository at a pinned commit. The package
contains none of it: its authors state no licence, and the download prints this. Not for the transfer itself
(`download`).
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
BOXES = "boxes_coco.json"  # of `save_observation`; the published data set has none
MANIFEST = Path(__file__).parent / "isi_vqa_manifest.json"


def isi_vqa(
    path: str | os.PathLike[str] | None = None,
    *,
    progress: bool | Callable[[int, int], None] = True,
    on_error: Literal["raise", "skip"] = "raise",
) -> Dataset:
    """Load the ISI VQA data set (Klein et al., Interactive Semantic Interventions for VLMs).

    Parameters
    ----------
    path : folder with ``vlm_dataset.csv``, ``natural_images/`` and ``annotated_images/``, and with
        ``boxes_coco.json`` if it has boxes; `save_observation` writes such a folder. None (default):
        download 33 MB into the cache folder (``ISI_WIDGET_CACHE``, else the system's), checked by SHA-256.
        Only missing files are downloaded; afterwards no network is needed.
    progress : True (default) shows a bar; or a function called with (bytes done, total bytes).
    on_error : "raise" (default), or "skip" to leave out invalid rows; as in `from_csv`.

    Raises
    ------
    InputError : wrong folder layout, or invalid rows.
    DownloadError : a file cannot be downloaded; downloaded parts are kept for the next call.
    """
    folder = _downloaded(progress) if path is None else Path(path).expanduser()
    missing = [part for part in (TABLE, IMAGES, ANNOTATED) if not (folder / part).exists()]
    if missing:
        raise InputError(
            f"{str(folder)!r} does not have the ISI layout; missing: {', '.join(missing)}. Without a path, "
            "isi_vqa() downloads the data set."
        )
    return from_csv(
        folder / TABLE,
        folder / IMAGES,
        folder / ANNOTATED,
        name="isi-vqa",
        on_error=on_error,
        boxes=folder / BOXES if (folder / BOXES).exists() else None,
    )


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
