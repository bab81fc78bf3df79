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
    Jpeg,
    Line,
    Pixelate,
    Polygon,
    Text,
)
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
    "Jpeg",
    "Line",
    "Mask",
    "Operation",
    "Picture",
    "Pixelate",
    "Polygon",
    "Presets",
    "ReplaceContext",
    "ReplaceImage",
    "ReplaceQuestion",
    "Stimulus",
    "Text",
    "load_image",
    "operation_from_dict",
    "paint",
]
