"""A stimulus whose picture is covered with noise: what VCD contrasts with. Not for what a person draws."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from isi_widget.stimulus.effects import GaussianNoise
from isi_widget.vlm.protocol import StimulusLike


@dataclass(frozen=True)
class Noisy:
    """A stimulus with noise on its rendered picture.

    Parameters
    ----------
    stimulus
        The stimulus.
    noise
        The noise, as `Stimulus.noise` adds it.
    """

    stimulus: StimulusLike
    noise: GaussianNoise

    @property
    def current_question(self) -> str:
        """The question of the stimulus."""
        return self.stimulus.current_question

    @property
    def current_context(self) -> str:
        """The context of the stimulus."""
        return self.stimulus.current_context

    @property
    def key(self) -> str:
        """Equal for equal stimuli with equal noise."""
        return f"{self.stimulus.key} {self.noise.sigma} {self.noise.seed}"

    def render(self) -> Image.Image:
        """Return the picture with the noise."""
        picture = self.stimulus.render().copy()
        if self.noise.sigma:
            self.noise.draw(picture)
        return picture
