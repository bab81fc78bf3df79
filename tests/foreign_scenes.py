"""Scenes drawn by someone else, to measure how robust the embedded model is.

This shares no code with the package: its own drawer (plain Pillow shapes, supersampled, some with an
outline), its own grounds (dark, mid-grey, gradients, textures), JPEG, its own aspects, sizes and wordings.
Three groups: "shapes"; "glyphs": the things' font pasted and turned by this code; "sketches": a few things
drawn by hand with Pillow, in a style that no training has seen.

Usage: PYTHONPATH=tests python tests/foreign_scenes.py [number] prints the accuracy of the embedded model.
"""

from __future__ import annotations

import io
import math
import random
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT = Path(__file__).parents[1] / "isi_widget" / "stimulus" / "fonts" / "NotoColorEmoji-things.ttf"
SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "ring")
COLOURS = {
    "red": "#e02020",
    "orange": "#ff9000",
    "yellow": "#ffe030",
    "green": "#20a040",
    "blue": "#2060e0",
    "purple": "#8030b0",
    "pink": "#ff90c0",
    "brown": "#805028",
}
GLYPHS = {
    "dog": "🐕",
    "cat": "🐈",
    "horse": "🐎",
    "cow": "🐄",
    "sheep": "🐑",
    "pig": "🐖",
    "elephant": "🐘",
    "rabbit": "🐇",
    "duck": "🦆",
    "bird": "🐦",
    "fish": "🐟",
    "butterfly": "🦋",
    "turtle": "🐢",
    "bus": "🚌",
    "truck": "🚚",
    "bicycle": "🚲",
    "boat": "⛵",
    "plane": "✈",
    "train": "🚂",
    "tractor": "🚜",
    "pear": "🍐",
    "banana": "🍌",
    "lemon": "🍋",
    "strawberry": "🍓",
    "carrot": "🥕",
    "mushroom": "🍄",
    "cake": "🎂",
    "glass": "🥛",
    "key": "🔑",
    "ball": "⚽",
}
PLURALS = {"sheep": "sheep", "fish": "fish", "butterfly": "butterflies", "strawberry": "strawberries"}
SKETCHES = ("car", "balloon", "umbrella", "book", "cup", "chair")
KINDS = ("existence", "counting", "relation", "attribute", "colour")
NUMBERS = ("zero", "one", "two", "three", "four", "five")
SIZES = ((480, 480), (640, 400), (400, 640), (800, 500), (300, 300), (1024, 768), (360, 720), (224, 224))


@dataclass(frozen=True)
class Placed:
    """One object: its name, colour ("" if it has none), centre and half size in pixels."""

    name: str
    colour: str
    x: float
    y: float
    half: float


@dataclass(frozen=True)
class Foreign:
    """One picture with a question and its true answer."""

    image: Image.Image
    question: str
    answer: str
    group: str
    kind: str
    ground: str
    size: str
    things: tuple[Placed, ...]


def foreign(number: int, seed: int = 0):
    """Yield `number` pictures with questions; number i depends only on (seed, i)."""
    for index in range(number):
        rng = random.Random(f"foreign {seed} {index}")
        group = ("shapes", "shapes", "glyphs", "sketches")[index % 4]
        kinds = KINDS[:3] if group == "glyphs" else KINDS  # a glyph has no single colour
        kind = kinds[(index // 4) % len(kinds)]
        found = None
        while found is None:
            found = _one(rng, group, kind)
        yield found


def _one(rng, group, kind):
    width, height = rng.choice(SIZES)
    ground = rng.choice(("white", "dark", "grey", "gradient", "texture", "coloured"))
    size = rng.choice(("tiny", "middle", "middle", "large"))
    side = min(width, height)
    low, high = {"tiny": (0.035, 0.055), "middle": (0.07, 0.13), "large": (0.15, 0.2)}[size]
    count = rng.randint(1, 3 if size == "large" else 5)
    names = {"shapes": SHAPES, "glyphs": tuple(GLYPHS), "sketches": SKETCHES}[group]
    pool = rng.sample(names, min(len(names), rng.randint(1, 4)))
    backdrop = _ground(rng, ground, width, height)
    things = []
    for _ in range(200):
        if len(things) == count:
            break
        half = max(6.0, rng.uniform(low, high) * side)
        x, y = rng.uniform(half + 3, width - half - 3), rng.uniform(half + 3, height - half - 3)
        if any(math.hypot(x - t.x, y - t.y) < 1.5 * (half + t.half) for t in things):
            continue
        colour = "" if group == "glyphs" else rng.choice(tuple(COLOURS))
        if colour and _close(backdrop, x, y, colour):
            continue
        things.append(Placed(rng.choice(pool), colour, x, y, half))
    if len(things) < count:
        return None
    asked = _question(rng, kind, things, width, height, names)
    if asked is None:
        return None
    image = backdrop
    for thing in things:
        _draw(image, thing, rng, group)
    if rng.random() < 0.5:
        data = io.BytesIO()
        image.save(data, "JPEG", quality=rng.choice((50, 75, 90)))
        image = Image.open(data).convert("RGB")
    question, answer = asked
    return Foreign(image, _typed(question, rng), answer, group, kind, ground, size, tuple(things))


def _close(backdrop, x, y, colour):
    r, g, b = backdrop.getpixel((int(x), int(y)))
    wanted = Image.new("RGB", (1, 1), COLOURS[colour]).getpixel((0, 0))
    return abs(r - wanted[0]) + abs(g - wanted[1]) + abs(b - wanted[2]) < 150


def _ground(rng, ground, width, height):
    def level(low, high):
        base = rng.randint(low, high)
        return tuple(min(255, max(0, base + rng.randint(-12, 12))) for _ in range(3))

    if ground == "white":
        return Image.new("RGB", (width, height), "white")
    if ground == "dark":
        return Image.new("RGB", (width, height), level(8, 50))
    if ground == "grey":
        return Image.new("RGB", (width, height), level(100, 160))
    if ground == "coloured":
        return Image.new("RGB", (width, height), tuple(rng.randint(120, 235) for _ in range(3)))
    if ground == "gradient":
        ramp = Image.linear_gradient("L").resize((width, height))
        if rng.random() < 0.5:
            ramp = Image.linear_gradient("L").rotate(90).resize((width, height))
        one, two = (Image.new("RGB", (width, height), level(10, 245)) for _ in range(2))
        return Image.composite(one, two, ramp)
    values = np.random.default_rng(rng.randrange(1 << 30))
    noise = values.normal(rng.choice((50, 120, 190)), rng.uniform(15, 45), (height, width, 1))
    return Image.fromarray(np.clip(noise + np.array(level(0, 40)), 0, 255).astype(np.uint8))


def _draw(image, thing, rng, group):
    scale, side = 4, math.ceil(2.6 * thing.half)
    sheet = Image.new("RGBA", (side * scale, side * scale), (0, 0, 0, 0))
    pen = ImageDraw.Draw(sheet)
    middle, half = side * scale / 2, thing.half * scale
    if group == "glyphs":
        sheet = _glyph(thing.name, round(2 * thing.half), rng)
    else:
        edge = "#202020" if rng.random() < 0.25 and thing.half > 14 else None
        {"shapes": _shape, "sketches": _sketch}[group](pen, thing, middle, half, edge)
        turn = rng.uniform(-180, 180) if group == "shapes" and rng.random() < 0.5 else rng.uniform(-8, 8)
        sheet = sheet.rotate(turn, Image.Resampling.BICUBIC).resize((side, side), Image.Resampling.BOX)
    image.paste(sheet, (round(thing.x - sheet.width / 2), round(thing.y - sheet.height / 2)), sheet)


def _glyph(name, side, rng):
    sheet = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    font = ImageFont.truetype(str(FONT), 109)
    ImageDraw.Draw(sheet).text((10, 10), GLYPHS[name], font=font, embedded_color=True)
    art = sheet.crop(sheet.getbbox())
    if rng.random() < 0.5:
        art = art.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    art = art.rotate(rng.uniform(-15, 15), Image.Resampling.BILINEAR, expand=True)
    art.thumbnail((side, side), Image.Resampling.BICUBIC)
    if max(art.size) < side:
        factor = side / max(art.size)
        art = art.resize((round(art.width * factor), round(art.height * factor)))
    return art


def _shape(pen, thing, m, h, edge):
    fill = COLOURS[thing.colour]

    def polygon(points):
        pen.polygon([(m + h * x, m + h * y) for x, y in points], fill=fill, outline=edge, width=6)

    if thing.name == "circle":
        pen.ellipse((m - h, m - h, m + h, m + h), fill=fill, outline=edge, width=6)
    elif thing.name == "ring":
        pen.ellipse((m - h, m - h, m + h, m + h), outline=fill, width=round(0.38 * h))
    elif thing.name == "square":
        polygon([(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)])
    elif thing.name == "triangle":
        polygon([(0, -1), (0.95, 0.75), (-0.95, 0.75)])
    elif thing.name == "cross":
        a = 0.3
        points = [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a)]
        polygon(points + [(-x, -y) for x, y in points])
    elif thing.name == "star":
        radii = [1.0, 0.42] * 5
        turns = [math.pi * k / 5 for k in range(10)]
        polygon([(r * math.sin(t), -r * math.cos(t)) for r, t in zip(radii, turns, strict=True)])
    else:
        pen.ellipse((m - h, m - 0.9 * h, m, m + 0.15 * h), fill=fill)
        pen.ellipse((m, m - 0.9 * h, m + h, m + 0.15 * h), fill=fill)
        edge = None
        polygon([(-0.93, -0.15), (0.93, -0.15), (0, 1)])


def _sketch(pen, thing, m, h, edge):
    fill = COLOURS[thing.colour]

    def box(x0, y0, x1, y1, colour):
        pen.rectangle((m + h * x0, m + h * y0, m + h * x1, m + h * y1), fill=colour)

    def oval(x0, y0, x1, y1, colour):
        pen.ellipse((m + h * x0, m + h * y0, m + h * x1, m + h * y1), fill=colour)

    if thing.name == "car":
        box(-1, -0.1, 1, 0.4, fill)
        roof = ((-0.6, -0.1), (-0.35, -0.5), (0.35, -0.5), (0.65, -0.1))
        pen.polygon([(m + h * x, m + h * y) for x, y in roof], fill=fill)
        box(-0.3, -0.4, 0.0, -0.1, "#c8e8ff")
        box(0.08, -0.4, 0.35, -0.1, "#c8e8ff")
        oval(-0.75, 0.2, -0.3, 0.65, "#333333")
        oval(0.3, 0.2, 0.75, 0.65, "#333333")
    elif thing.name == "balloon":
        oval(-0.6, -1, 0.6, 0.4, fill)
        pen.line((m, m + 0.4 * h, m + 0.1 * h, m + h), fill="#888888", width=max(4, round(h / 18)))
    elif thing.name == "umbrella":
        pen.pieslice((m - h, m - 0.9 * h, m + h, m + 1.0 * h), 180, 360, fill=fill)
        box(-0.05, 0, 0.05, 0.85, "#666666")
        hook = (m - 0.3 * h, m + 0.6 * h, m + 0.05 * h, m + h)
        pen.arc(hook, 0, 180, fill="#666666", width=max(4, round(h / 10)))
    elif thing.name == "book":
        box(-0.7, -0.95, 0.7, 0.95, fill)
        box(-0.7, 0.72, 0.7, 0.88, "#f4f4ec")
        box(-0.7, -0.95, -0.52, 0.95, "#555555")
    elif thing.name == "cup":
        handle = (m + 0.3 * h, m - 0.4 * h, m + 1.0 * h, m + 0.4 * h)
        pen.arc(handle, 0, 360, fill=fill, width=max(4, round(h / 6)))
        box(-0.75, -0.55, 0.6, 0.6, fill)
        oval(-0.75, -0.7, 0.6, -0.4, "#5a3a22")
    else:
        box(-0.55, -1, -0.4, 1, fill)
        box(-0.55, -0.95, 0.1, -0.45, fill)
        box(-0.55, 0, 0.55, 0.18, fill)
        box(0.4, 0, 0.55, 1, fill)


def _plural(name):
    return PLURALS.get(name, name + ("es" if name.endswith(("s", "sh")) else "s"))


def _a(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


def _question(rng, kind, things, width, height, names):
    """Return a question of a kind and its answer; None if it cannot be asked here."""
    thing = rng.choice(things)
    alone = [t for t in things if sum(t.name == other.name for other in things) == 1]
    if kind == "existence":
        absent = [name for name in names if all(t.name != name for t in things)]
        yes = rng.random() < 0.5 or not absent
        word = thing.name if yes else rng.choice(absent)
        forms = ("Is there {a}?", "Is there {a} in this picture?", "Any {s}?", "Are there any {s} here?")
        form = rng.choice((*forms, "Do you see {a}?"))
        return form.format(a=_a(word), s=_plural(word)), "Yes" if yes else "No"
    if kind == "counting":
        word = thing.name
        count = sum(t.name == word for t in things)
        forms = ("How many {s} are there?", "Count the {s}.", "How many {s} do you see?", "Number of {s}?")
        form = rng.choice(forms)
        return form.format(s=_plural(word)), NUMBERS[count].capitalize()
    if not alone:
        return None
    thing = rng.choice(alone)
    if kind in ("attribute", "colour"):
        if kind == "colour":
            forms = ("What color is the {w}?", "Which color is the {w}?", "What's the colour of the {w}?")
            form = rng.choice(forms)
            return form.format(w=thing.name), thing.colour.capitalize()
        yes = rng.random() < 0.5
        colour = thing.colour if yes else rng.choice([c for c in COLOURS if c != thing.colour])
        form = rng.choice(("Is the {w} {c}?", "Does the {w} look {c}?", "Would you say the {w} is {c}?"))
        return form.format(w=thing.name, c=colour), "Yes" if yes else "No"
    others = [t for t in alone if t is not thing]
    if not others:
        return None
    other = rng.choice(others)
    dx, dy = (other.x - thing.x) / width, (other.y - thing.y) / height
    if rng.random() < 0.5:
        if abs(dx) < 0.17:
            return None
        true, false = ("left", "right") if dx > 0 else ("right", "left")
        form = rng.choice(("Is the {w} to the {side} of the {o}?", "Is the {w} {side} of the {o}?"))
    else:
        if abs(dy) < 0.17:
            return None
        true, false = ("above", "below") if dy > 0 else ("below", "above")
        form = "Is the {w} {side} the {o}?"
    yes = rng.random() < 0.5
    return form.format(w=thing.name, o=other.name, side=true if yes else false), "Yes" if yes else "No"


def _typed(question, rng):
    draw = rng.random()
    if draw < 0.12:
        return question.upper()
    if draw < 0.24:
        return question.lower()
    if draw < 0.36:
        return question.rstrip("?.")
    return question.replace(" ", "  ", 1) if draw < 0.42 else question


def right(text, answer):
    """Return whether an answer has the true meaning: its first yes / no, or the value as a word in it."""
    words = re.findall("[a-z]+|[0-9]", text.lower())
    words = [NUMBERS[int(word)] if word.isdigit() and int(word) < 6 else word for word in words]
    if answer in ("Yes", "No"):
        return next((word for word in words if word in ("yes", "no")), "") == answer.lower()
    values = COLOURS if answer.lower() in COLOURS else NUMBERS
    return [word for word in words if word in values][-1:] == [answer.lower()]


def main(number):
    """Print the accuracy of the embedded model by group, kind, ground and size."""
    import isi_widget as isi

    vlm = isi.load_vlm()  # the embedded model
    table = defaultdict(list)
    for item in foreign(number):
        said = vlm.answer(isi.Observation(item.image, item.question).stimulus()).text
        good = right(said, item.answer)
        for name in ("all", item.group, item.kind, item.ground, item.size, f"{item.group} {item.kind}"):
            table[name].append(good)
    for name, values in table.items():
        print(f"{name:22} {sum(values) / len(values):.3f}  of {len(values)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
