"""Observations and their sources: built-in scenes of shapes and of everyday things, your own CSV and folders,
the ISI VQA data set.

Works without torch and without models (`isi_widget.vlm`).
"""

from isi_widget.datasets.csv_data import from_csv
from isi_widget.datasets.download import DownloadError
from isi_widget.datasets.isi_data import isi_vqa
from isi_widget.datasets.lazy import LazyImage
from isi_widget.datasets.observation import Dataset, Observation
from isi_widget.datasets.pairs import minimal_pairs
from isi_widget.datasets.scenes import scenes, things

__all__ = [
    "Dataset",
    "DownloadError",
    "LazyImage",
    "Observation",
    "from_csv",
    "isi_vqa",
    "minimal_pairs",
    "scenes",
    "things",
]
