"""Observations and where they come from: built-in scenes, one's own CSV and folders, the ISI VQA set.

Works without torch. Not for models (`isi_widget.vlm`): the two do not know each other.
"""

from isi_widget.datasets.csv_data import from_csv
from isi_widget.datasets.download import DownloadError
from isi_widget.datasets.isi_data import isi_vqa
from isi_widget.datasets.observation import Dataset, LazyImage, Observation
from isi_widget.datasets.scenes import scenes

__all__ = ["Dataset", "DownloadError", "LazyImage", "Observation", "from_csv", "isi_vqa", "scenes"]
