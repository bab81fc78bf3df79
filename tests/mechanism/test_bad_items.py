"""One bad item of a scan does not stop all, if one says so: it is left out, listed and told."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from tiny_models import vlm as tiny

import isi_widget as isi
from isi_widget.errors import InputError


def observation(answer: str | None = "Yes", *, cut: bool = False, id: str) -> isi.Observation:
    data = io.BytesIO()
    Image.linear_gradient("L").resize((40, 30)).convert("RGB").save(data, "JPEG")
    whole = data.getvalue()
    kept = whole[: len(whole) // 2] if cut else whole
    return isi.Observation(lambda: kept, "Is there a star?", answer=answer, id=id)


@pytest.fixture(scope="module")
def data():
    return [
        observation(id="first"),
        observation(cut=True, id="cut"),
        observation("No", id="second"),
        observation(None, id="unknown"),
        observation(id="third"),
        observation("No", id="fourth"),
    ]


@pytest.fixture(scope="module")
def vlm():
    return tiny()


def test_they_are_left_out_listed_and_told(vlm, data):
    with pytest.warns(UserWarning, match=r"2 of 6 items were left out.*cut was left out.*unknown was"):
        found = isi.measure_heads(vlm, data, method="gradient", check=0, on_error="skip", progress=False)
    assert found.names == ("first", "second", "third", "fourth")
    assert [note.split(" was left out: ")[0] for note in found.notes[-2:]] == ["cut", "unknown"]
    assert "runcated" in found.notes[-2]
    again = type(found).from_dict(found.to_dict())
    assert again == found
    with pytest.warns(UserWarning, match="2 of 6"):
        curve = isi.knockout_curve(vlm, data, controls=0, on_error="skip", progress=False)
    assert curve.items == found.names and len(curve.notes) >= 2
    with pytest.warns(UserWarning, match="2 of 6"):
        ablated = isi.head_ablation(vlm, data, found, ks=[1], random=1, on_error="skip", progress=False)
    assert ablated.plain_p.shape == (4,)


def test_unless_one_says_so_they_are_errors(vlm, data):
    with pytest.raises(InputError, match="runcated"):
        isi.measure_heads(vlm, data[:3], method="gradient", progress=False)
    with pytest.raises(InputError, match="no item can be used"):
        isi.measure_heads(vlm, [data[1], data[3]], method="gradient", on_error="skip", progress=False)
    with pytest.raises(InputError, match="on_error must be one of raise, skip"):
        isi.measure_heads(vlm, data, on_error="ignore")
