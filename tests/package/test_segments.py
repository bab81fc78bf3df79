"""One vocabulary of token groups: every room and the page take names, order and colours from one module."""

import re
from pathlib import Path

from isi_widget import segments
from isi_widget.attribution import SEGMENTS

ROOT = Path(__file__).parents[2]
#: Names that a room may write by itself: kinds of operations, keys of records, parts of sentences.
_TUPLE = re.compile(r'"image", "context", "question"(, "other")?[)\]]')


def test_the_page_has_the_groups_in_the_same_order():
    source = (ROOT / "js" / "src" / "protocol.ts").read_text()
    (line,) = re.findall(r"SEGMENTS = \[(.*?)\] as const", source)
    assert tuple(re.findall(r'"(\w+)"', line)) == segments.GROUPS == SEGMENTS


def test_the_page_has_the_colours():
    style = (ROOT / "js" / "src" / "colors.css").read_text()
    for name in segments.GROUPS:
        assert f"--isi-{name}: {segments.COLORS[name].lower()};" in style


def test_groups_follow_from_the_segments_of_a_prompt():
    assert segments.groups_of(segments.ALWAYS) == segments.GROUPS
    assert segments.groups_of(segments.PROMPT) == segments.STACKED
    assert segments.groups_of(("history", *segments.ALWAYS))[-2:] == ("history", "other")
    assert {segments.group_of(name) for name in segments.PROMPT} == set(segments.COLORS)


def test_no_module_spells_the_groups_again():
    spelled = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "isi_widget").rglob("*.py"))
        if _TUPLE.search(path.read_text(encoding="utf-8"))
    ]
    assert set(spelled) <= {"isi_widget/segments.py", *KINDS_OF_OPERATIONS}


#: Modules where the same words are kinds of operations, not groups of tokens.
KINDS_OF_OPERATIONS = {"isi_widget/report/pdf/words.py", "isi_widget/widget/protocol.py"}
