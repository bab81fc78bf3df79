"""Small stimuli with which a model or a processor is tried out. Not for people's own (see `stimulus/`)."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw


@dataclass(frozen=True)
class SmallStimulus:
    """A picture with a question; what `StimulusLike` asks for and no more."""

    image: Image.Image
    current_question: str
    current_context: str = ""

    @property
    def key(self) -> str:
        """Unique among stimuli whose pictures are alive."""
        return f"small {id(self.image)} {self.current_question} {self.current_context}"

    def render(self) -> Image.Image:
        """Return the picture."""
        return self.image


def drawing(index: int) -> SmallStimulus:
    """Return one of two pictures of shapes: the second (1) has another shape, size and text."""
    size = ((160, 112), (96, 144))[index]
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.rectangle((12, 20, 56, 70), fill=((200, 30, 30), (30, 60, 200))[index])
    draw.ellipse((50, 50, 90, 100), fill=(240, 220, 40))
    if index:
        return SmallStimulus(image, "What colour is the box?", "A box is left of a circle. It is large.")
    return SmallStimulus(image, "Is there a red box?", "The box is red.")
