"""The observations of a study as Python: a data set of this package by its own code, others one by one.

A picture of an observation made by hand is its file, stands in the code if it is small, or is the file in the
store of the study. Not for the rest of a study's code (`code`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isi_widget.errors import InputError
from isi_widget.readable import counted
from isi_widget.trial.code_pictures import PictureCode
from isi_widget.trial.literals import NoLiteral, literal

if TYPE_CHECKING:
    from isi_widget.datasets import Observation
    from isi_widget.stimulus import Picture

#: Largest number of observations that are written one by one, and of characters they take.
MOST, LONGEST = 200, 200_000


def data_code(data: Sequence[Observation], pictures: PictureCode, images: Path | None = None) -> list[str]:
    """Write the lines that define `data`; of what cannot be written, a comment with the reason.

    Parameters
    ----------
    data : the observations.
    pictures : the expressions of pictures in this code.
    images : folder in which the study keeps its pictures as <sha256>.png; None (default) if it keeps none.
    """
    code = _of_set(data)
    if code is not None:
        return [f"data = {code}"]
    name = getattr(data, "name", None)
    named = f" of {name!r}" if name else ""
    try:
        made = _by_hand(data, pictures, images)
    except (NoLiteral, InputError, OSError) as error:
        return [
            f"data = ...  # {counted(len(data), 'observation')}{named}, made by hand: put them here ({error})"
        ]
    if name:
        return ["data = isi.datasets.Dataset([", *made, f"], name={literal(name)})"]
    return ["data = [", *made, "]"]


def _of_set(data: Sequence[Observation]) -> str | None:
    """Return the code of a data set, of members of one data set, or of a part of one; None for others."""
    whole = getattr(data, "code", None)
    if whole is not None:
        return str(whole)
    sets = {id(item.dataset): item.dataset for item in data}
    only = next(iter(sets.values())) if len(sets) == 1 else None
    if only is None or only.code is None:
        return None
    places = [item.index for item in data]
    if places == list(range(places[0], places[0] + len(places))):
        return f"{only.code}[{places[0]}:{places[-1] + 1}]"
    return f"[{only.code}[i] for i in {places!r}]"


def _by_hand(data: Sequence[Observation], pictures: PictureCode, images: Path | None) -> list[str]:
    if len(data) > MOST:
        raise NoLiteral(f"more than {MOST} are not written out")
    made: list[str] = []
    length = 0
    for item in data:
        made.append(f"    {_observation(item, pictures, images)},")
        length += len(made[-1])
        if length > LONGEST:
            raise NoLiteral("their code is too long")
    return made


def _observation(item: Observation, pictures: PictureCode, images: Path | None) -> str:
    if item.code is not None:
        return item.code
    if item.is_scene or item.masks:
        raise NoLiteral("the graph of a scene, and outlines of boxes, have no code")
    if any(kept is not None and kept.is_lazy for kept in (item._image, item._annotated)):
        # a study would load each picture twice, the first time before its first row
        raise NoLiteral("their pictures are made by functions")
    named = {
        "context": item.context,
        "answer": item.answer,
        "contexts": item.contexts,
        "level": item.level,
        "id": item.id,
        "metadata": dict(item.metadata),
        "boxes": [(*map(float, box.region), box.label) for box in item.boxes],
    }
    parts = [_picture(item.image, pictures, images), literal(item.question)]
    parts += [f"{name}={literal(value)}" for name, value in named.items() if value not in (None, "", {}, [])]
    if item.annotated is not None:
        parts.append(f"annotated={_picture(item.annotated, pictures, None)}")
    return f"isi.Observation({', '.join(parts)})"


def _picture(picture: Picture, pictures: PictureCode, images: Path | None) -> str:
    made = pictures.without_file(picture)
    if made is None and images is not None:
        made = literal((images / f"{picture.sha256}.png").as_posix())
    if made is None:
        raise NoLiteral("a picture is too large for code: give a store, or pictures from files")
    return made
