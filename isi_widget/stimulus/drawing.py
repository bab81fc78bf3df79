"""All operations that paint on the image, and the measures that others need of them.

Coordinates and sizes are pixels of the original image, origin top left, floats allowed. Each drawing paints
inside its `bounds` only and never changes the size of the image. Not for the order of operations or for
caching (see `rendering`).
"""

from isi_widget.stimulus.attributes import Recolor, Retexture
from isi_widget.stimulus.base import Drawing
from isi_widget.stimulus.copied_patch import CopiedPatch
from isi_widget.stimulus.edits import Mirror, Move, Remove, Resize, Swap
from isi_widget.stimulus.effects import Blur, Downscale, Erase, GaussianNoise, Jpeg, Pixelate
from isi_widget.stimulus.insertion import Insert
from isi_widget.stimulus.lettering import FONT, LARGEST_TEXT_SIZE, Text
from isi_widget.stimulus.shapes import HEAD_LENGTH, HEAD_WIDTH, Arrow, Box, Ellipse, Line, Polygon

__all__ = [
    "FONT",
    "HEAD_LENGTH",
    "HEAD_WIDTH",
    "LARGEST_TEXT_SIZE",
    "Arrow",
    "Blur",
    "Box",
    "CopiedPatch",
    "Downscale",
    "Drawing",
    "Ellipse",
    "Erase",
    "GaussianNoise",
    "Insert",
    "Jpeg",
    "Line",
    "Mirror",
    "Move",
    "Pixelate",
    "Polygon",
    "Recolor",
    "Remove",
    "Resize",
    "Retexture",
    "Swap",
    "Text",
]
