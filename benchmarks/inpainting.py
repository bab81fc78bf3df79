"""Edits: times on a picture of one megapixel; with --photographs FOLDER also the error of each in-painter
against the true pixels of photographs.

    python -m benchmarks.inpainting
    python -m benchmarks.inpainting --photographs folder --count 20
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.rendering import photograph
from benchmarks.timing import Row, repeat, report
from isi_widget.stimulus import Mask, inpainters
from isi_widget.stimulus.inpainting import inpaint

SHARES = (0.002, 0.02, 0.1)  # of the picture
FORMS = ("disc", "box", "blob")
PIXELS = 1_000_000


def hole(form: str, share: float, height: int, width: int, center: tuple[float, float]) -> NDArray[np.bool_]:
    """Return a hole of a form that covers about `share` of the picture."""
    down, across = np.mgrid[:height, :width]
    y, x = down - center[0] * height, across - center[1] * width
    area = share * height * width
    if form == "box":
        return (np.abs(x) < area**0.5 / 2) & (np.abs(y) < area**0.5 / 2)
    radius = (area / np.pi) ** 0.5
    angle = np.arctan2(y, x)
    waves = 0.35 * np.sin(3 * angle) + 0.2 * np.sin(7 * angle) if form == "blob" else 0
    return np.hypot(x, y) < radius * (1 + waves)


def rows(repeats: int = 5) -> list[Row]:
    """Return the times of edits of a tenth of a megapixel, mask to rendered pixels."""
    stimulus = photograph(1250, 800)
    found = []
    for share in (0.02, 0.1):
        masks = [
            Mask.from_array(hole("blob", share, 800, 1250, (0.5, 0.4 + 0.01 * number)))
            for number in range(repeats + 2)
        ]
        for name in ("membrane", "telea", "navier-stokes"):

            def remove(number: int, masks: list[Mask] = masks, name: str = name) -> None:
                stimulus.remove(masks[number % len(masks)].with_feather(2 + number / 100), name).render()

            found.append(Row(f"remove, {share:.0%} of 1 MP, {name}", repeat(remove, repeats)))

    def recolor(number: int) -> None:
        stimulus.recolor(masks[number % len(masks)], f"#{100 + number:02x}40c0").render()

    def move(number: int) -> None:
        stimulus.move(masks[number % len(masks)].with_feather(1 + number / 100), (20 + number, 30)).render()

    found.append(Row("recolor, 10 % of 1 MP", repeat(recolor, repeats)))
    found.append(Row("move, 10 % of 1 MP, membrane", repeat(move, repeats)))
    return found


def errors(folder: Path, count: int) -> None:
    """Print time, root mean square error and structural similarity in the holes, by share and in-painter."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".jpeg", ".png"))
    files = files[:: max(1, len(files) // count)][:count]
    random = np.random.default_rng(0)
    made: dict[tuple[float, str], list[tuple[float, float, float]]] = {}
    for path in files:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        scale = (PIXELS / (image.width * image.height)) ** 0.5
        size = (round(image.width * scale), round(image.height * scale))
        true = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
        for share in SHARES:
            for form in FORMS:
                center = (random.uniform(0.3, 0.7), random.uniform(0.3, 0.7))
                inside = hole(form, share, *true.shape[:2], center)
                for name in ("membrane", "telea", "navier-stokes"):
                    start = time.process_time()
                    filled = inpaint(true, inside, inpainters()[name])
                    seconds = time.process_time() - start
                    error = (filled.astype(float) - true)[inside]
                    entry = (seconds, float((error**2).mean() ** 0.5), similarity(true, filled, inside))
                    made.setdefault((share, name), []).append(entry)
    print(f"{len(files)} photographs of 1 megapixel, holes: {', '.join(FORMS)}")
    print("share  in-painter      median s   RMSE (0-255)   SSIM in the hole")
    for (share, name), entries in made.items():
        seconds, error, alike = np.array(entries).T
        print(f"{share:5.1%}  {name:14} {np.median(seconds):9.3f} {error.mean():14.2f} {alike.mean():18.4f}")


def similarity(one: NDArray[np.uint8], two: NDArray[np.uint8], inside: NDArray[np.bool_]) -> float:
    """Return the mean structural similarity in a hole (Wang et al. 2004; Gaussian window of 1.5 pixels)."""
    import cv2

    a, b = (cv2.cvtColor(item, cv2.COLOR_RGB2GRAY).astype(np.float32) for item in (one, two))

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return cv2.GaussianBlur(values, (11, 11), 1.5)

    c, d = mean(a), mean(b)
    spread, shared = mean(a * a) - c * c + mean(b * b) - d * d, mean(a * b) - c * d
    found = (2 * c * d + 6.5025) * (2 * shared + 58.5225)
    return float((found / ((c * c + d * d + 6.5025) * (spread + 58.5225)))[inside].mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=Path, help="folder of photographs; none are in this package")
    parser.add_argument("--count", type=int, default=20)
    given = parser.parse_args()
    if given.photographs is None:
        report(rows())
    else:
        errors(given.photographs, given.count)
