"""The word check of `make check`: it finds odd wording where prose is, and nowhere else."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "words.py"
spec = importlib.util.spec_from_file_location("words", TOOL)
assert spec is not None and spec.loader is not None
words = importlib.util.module_from_spec(spec)
spec.loader.exec_module(words)


def found(path: Path) -> list[tuple[int, str]]:
    return [(number, text) for number, text, _ in words.findings(path)]


def test_the_sources_are_clean(capsys):
    assert words.main([]) == 0, capsys.readouterr().out


def test_python_docstrings_comments_and_messages_are_read(tmp_path):
    path = tmp_path / "odd.py"
    path.write_text(
        '"""Told that the value is another."""\n'
        "told = 1  # whoever asks\n"
        "def f(seed):\n"
        '    """Return it.\n\n'
        "    seed : of the bootstrap. level : of the interval.\n"
        '    """\n'
        '    raise ValueError(f"The model {seed} tells no probabilities, and is gone.")\n',
        encoding="utf-8",
    )
    lines = [number for number, _ in found(path)]
    assert lines == [1, 1, 2, 6, 6, 8, 8]
    assert (6, "seed : of") in found(path)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.ts", 'const told = 1; // what is shown\nconst s = "told";\n', [1]),
        ("a.md", "`told` is code.\n```\ntold\n```\nA server tells it.\n", [5]),
        ("a.py", 'told = "told"\n', []),
    ],
)
def test_code_is_not_prose(tmp_path, name, text, expected):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert [number for number, _ in found(path)] == expected
