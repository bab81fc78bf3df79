"""What a notebook shows for an `Uncertainty`: two tables; one line where there is no HTML."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from made_trials import make_trial


def test_every_entropy_stands_there_with_interval_and_unit_and_every_meaning_with_its_count():
    found = make_trial(("Yes.", "Yes.", "No.", "<b>Maybe</b>")).uncertainty
    page, line = found._repr_html_(), repr(found)
    assert len(line) < 200 and "\n" not in line and "4 answers, 3 meanings" in line
    for name in found.intervals:
        low, high = found.interval(name)
        assert name in page
        assert f">{getattr(found, name):.3f}</td>" in page and f">[{low:.3f}, {high:.3f}]</td>" in page
    assert ">2 of 4</td>" in page and ">nats/token</td>" in page and "weight by likelihood" in page
    assert "&lt;b&gt;Maybe" in page and "<b>Maybe" not in page
    # One entropy leads, with its interval.
    leading = line.split("; ")[1].split()[0]
    low, high = found.interval(leading)
    assert f"{leading} {getattr(found, leading):.3f} [{low:.3f}, {high:.3f}]" in line


@pytest.mark.parametrize(
    ("texts", "words"), [(("Yes.",), "1 meaning;"), (tuple(map(str, range(30))), "30 meanings;")]
)
def test_few_and_many_meanings(texts, words):
    found = make_trial(texts).uncertainty
    assert words in repr(found)
    assert found._repr_html_().count("<tr") <= 2 + len(found.intervals) + 12
    assert ("more meanings" in found._repr_html_()) is (len(texts) > 12)
