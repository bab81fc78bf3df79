"""The `Stimulus` (everything a model is shown), its interventions and their rendering, as data.

Works without torch. Not for observations and data sets (`isi_widget.datasets`), nor for running models.
"""

from isi_widget.stimulus.core import Stimulus
from isi_widget.stimulus.drawing import (
    Arrow,
    Blur,
    Box,
    CopiedPatch,
    Downscale,
    Drawing,
    Ellipse,
    Erase,
    GaussianNoise,
    Insert,
    Jpeg,
    Line,
    Mirror,
    Move,
    Pixelate,
    Polygon,
    Recolor,
    Remove,
    Resize,
    Retexture,
    Swap,
    Text,
)
from isi_widget.stimulus.inpainting import Inpainter, inpainters, register_inpainter
from isi_widget.stimulus.labelled_boxes import LabelledBox
from isi_widget.stimulus.loading import ImageSource, load_image
from isi_widget.stimulus.mask import Mask
from isi_widget.stimulus.operations import (
    Operation,
    ReplaceContext,
    ReplaceImage,
    ReplaceQuestion,
    operation_from_dict,
)
from isi_widget.stimulus.picture import Picture
from isi_widget.stimulus.presets import Presets
from isi_widget.stimulus.rendering import paint

__all__ = [
    "Arrow",
    "Blur",
    "Box",
    "CopiedPatch",
    "Downscale",
    "Drawing",
    "Ellipse",
    "Erase",
    "GaussianNoise",
    "ImageSource",
    "Inpainter",
    "Insert",
    "Jpeg",
    "LabelledBox",
    "Line",
    "Mask",
    "Mirror",
    "Move",
    "Operation",
    "Picture",
    "Pixelate",
    "Polygon",
    "Presets",
    "Recolor",
    "Remove",
    "ReplaceContext",
    "ReplaceImage",
    "ReplaceQuestion",
    "Resize",
    "Retexture",
    "Stimulus",
    "Swap",
    "Text",
    "inpainters",
    "load_image",
    "operation_from_dict",
    "paint",
    "register_inpainter",
]
