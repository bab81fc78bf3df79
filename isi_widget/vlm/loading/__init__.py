"""Loading a VLM: checkpoints, files, memory, processors, adapters, quantisation."""

from isi_widget.vlm.loading.load import load_vlm

__all__ = ["load_vlm"]
