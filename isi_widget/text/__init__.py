"""Floor 0, plain text: characters that can be written, yes and no, what an answer says, when it is right."""

from isi_widget.text.halves import all_repaired, held_half, repaired

__all__ = ["all_repaired", "held_half", "repaired"]
