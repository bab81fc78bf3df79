"""Observations and where they come from: built-in scenes, one's own CSV and folders, the ISI VQA set.

Works without torch. Not for models (`isi_widget.vlm`): the two do not know each other.
"""

from isi_widget.datasets.observation import Dataset, LazyImage, Observation

__all__ = ["Dataset", "LazyImage", "Observation"]
