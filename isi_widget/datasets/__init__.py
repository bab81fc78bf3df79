"""Observations and their sources: built-in scenes of shapes and of everyday things, your own CSV and folders,
the ISI VQA data set, boxes in the COCO and YOLO formats; and saving your own observations.

Works without torch and without models (`isi_widget.vlm`).
"""

from isi_widget.datasets.coco import from_coco, to_coco
from isi_widget.datasets.csv_data import from_csv
from isi_widget.datasets.download import DownloadError
from isi_widget.datasets.isi_data import isi_vqa
from isi_widget.datasets.lazy import LazyImage
from isi_widget.datasets.observation import Dataset, Observation
from isi_widget.datasets.pairs import minimal_pairs
from isi_widget.datasets.saving import save_observation
from isi_widget.datasets.scenes import scenes, things
from isi_widget.datasets.yolo import from_yolo, to_yolo
from isi_widget.stimulus import LabelledBox

__all__ = [
    "Dataset",
    "DownloadError",
    "LabelledBox",
    "LazyImage",
    "Observation",
    "from_coco",
    "from_csv",
    "from_yolo",
    "isi_vqa",
    "minimal_pairs",
    "save_observation",
    "scenes",
    "things",
    "to_coco",
    "to_yolo",
]
