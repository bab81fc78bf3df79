"""Enumerating the answers to yes / no questions against drawing 60 of them, with the embedded model.

Strong noise (.6), so that the model is unsure; temperature 1 and .9; every third yes / no scene of the first
40. Beside the times: how far the entropy over yes, no and other first words is from that of nearly all of the
mass.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

import isi_widget as isi
from benchmarks.timing import Row, in_turn, report
from isi_widget.answer import Enumeration
from isi_widget.stimulus import Stimulus
from isi_widget.uncertainty import EntropyBounds, entropy_bounds
from isi_widget.vlm import VLM

SAMPLES, MASSES, REPEATS = 60, (0.97, 0.99), 3


def bounds(found: Enumeration) -> EntropyBounds:
    """Bound the entropy over the first word of an answer: yes, no or other."""
    masses: dict[str, float] = {}
    for answer, p in zip(found.answers, found.probabilities, strict=True):
        word = (re.findall(r"[a-z]+", answer.text.lower()) or [""])[0]
        masses[word] = masses.get(word, 0.0) + p
    return entropy_bounds(list(masses.values()))


def _ways(vlm: VLM, stimulus: Stimulus, temperature: float) -> dict[str, Callable[[], object]]:
    ways: dict[str, Callable[[], object]] = {
        str(mass): lambda mass=mass: vlm.enumerate_answers(stimulus, mass, temperature=temperature)
        for mass in MASSES
    }
    return ways | {"samples": lambda: vlm.sample(stimulus, SAMPLES, temperature=temperature)}


def rows() -> list[Row]:
    vlm = isi.load_vlm()
    scenes = [scene for scene in isi.datasets.scenes()[:40] if scene.answer in ("Yes", "No")][::3]
    ratios: dict[float, list[float]] = {mass: [] for mass in MASSES}
    errors: dict[float, list[float]] = {mass: [] for mass in MASSES}
    prefixes: dict[float, list[float]] = {mass: [] for mass in MASSES}
    for scene in scenes:
        stimulus = scene.stimulus().noise(0.6, seed=1)
        for temperature in (1.0, 0.9):
            ways = _ways(vlm, stimulus, temperature)
            times = in_turn(ways, REPEATS)
            truth = bounds(vlm.enumerate_answers(stimulus, 0.9995, 5000, temperature)).point
            for mass in MASSES:
                found = vlm.enumerate_answers(stimulus, mass, temperature=temperature)
                ratios[mass].append(float(np.median(times[str(mass)]) / np.median(times["samples"])))
                errors[mass].append(abs(bounds(found).point - truth))
                prefixes[mass].append(float(found.prefixes))
    found_rows = []
    for mass in MASSES:
        about = f"yes / no questions, mass {mass:g}"
        found_rows += [
            Row(f"enumeration / {SAMPLES} samples ({about})", tuple(ratios[mass]), "ratio", 1.0),
            Row(f"error of the entropy ({about})", tuple(1000 * e for e in errors[mass]), "millinats", 20.0),
            Row(f"beginnings looked at ({about})", tuple(prefixes[mass]), ""),
        ]
    return found_rows


if __name__ == "__main__":
    report(rows())
