"""From a change of the operations to the picture that the page gets: render at full size, reduce, encode."""

import numpy as np
from PIL import Image, ImageFilter

import isi_widget as isi
from benchmarks.timing import Row, repeat, report
from isi_widget.stimulus import Stimulus
from isi_widget.widget.preview import preview


def photograph(width: int, height: int) -> Stimulus:
    """Smooth structure and grain, so that JPEG has as much to do as with a real one."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height)).filter(ImageFilter.GaussianBlur(8)), dtype=np.int16)
    grain = random.integers(-12, 13, (height, width, 3), dtype=np.int16)
    return Stimulus(np.clip(smooth + grain, 0, 255).astype(np.uint8), "What is shown?")


def rows(repeats: int = 9) -> list[Row]:
    found = []
    scene = isi.datasets.scenes()[0].stimulus()
    for name, stimulus in (("scene, 480 x 480", scene), ("photograph, 12 MP", photograph(4000, 3000))):

        def box(number: int, stimulus: Stimulus = stimulus) -> None:
            changed = stimulus.box(10 + number, 20, 100, 80).arrow((5, 5), (60, 60)).text(10, 20, "cat")
            preview(changed.render(), changed.key)

        def noise(number: int, stimulus: Stimulus = stimulus) -> None:
            changed = stimulus.noise(0.2, seed=number + 1)
            preview(changed.render(), changed.key)

        found.append(Row(f"box, arrow and text drawn, preview encoded ({name})", repeat(box, repeats)))
        found.append(Row(f"noise on the whole image, preview encoded ({name})", repeat(noise, repeats)))
    return found


if __name__ == "__main__":
    report(rows())
