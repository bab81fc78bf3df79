"""Concepts in a picture and a text: objects of a picture, found from a box or strokes; minimal pairs, which
differ in one concept.

Works without torch (but for SAM). Not for running models: rooms above take what is made here.
"""

from isi_widget.concepts.diffusion import DiffusionInpainter, load_inpainter
from isi_widget.concepts.pair import Pair
from isi_widget.concepts.pair_tokens import TokenDifference
from isi_widget.concepts.registry import register_segmenter, segmenters
from isi_widget.concepts.replacing import (
    Replacement,
    TokenReplacements,
    replace_tokens,
    token_replacements,
)
from isi_widget.concepts.sam import Sam, Sam2
from isi_widget.concepts.segmenters import Found, Prompt, Segmenter, Stroke
from isi_widget.concepts.segmenting import segment

__all__ = [
    "DiffusionInpainter",
    "Found",
    "Pair",
    "Prompt",
    "Replacement",
    "Sam",
    "Sam2",
    "Segmenter",
    "Stroke",
    "TokenDifference",
    "TokenReplacements",
    "load_inpainter",
    "register_segmenter",
    "replace_tokens",
    "segment",
    "segmenters",
    "token_replacements",
]
