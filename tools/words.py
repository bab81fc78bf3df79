"""Checks the prose of the sources for odd wording: `python tools/words.py [FILES]`; part of `make check`.

Reads docstrings, comments and messages of Python files, comments and texts of `js/src`, Markdown files and
the Markdown cells of notebooks. Prints file:line, the words found and a suggestion. CONTRIBUTING.md ("Plain
English") gives the rules behind the patterns. Not for code: names are checked in review.
"""

from __future__ import annotations

import ast
import fnmatch
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
Line = tuple[int, str]

#: Files read when none is named.
SOURCES = (
    "isi_widget/**/*.py",
    "benchmarks/*.py",
    "docs/*.py",
    "tools/*.py",
    "js/src/**/*.ts",
    "js/src/**/*.tsx",
    "docs/*.md",
    "notebooks/*.ipynb",
    "README.md",
    "CONTRIBUTING.md",
)
#: Not read: sentences that are data, and this list itself.
DATA = (
    "tools/words.py",
    "isi_widget/datasets/grammar*.py",
    "isi_widget/training/entailment_sentences.py",
    "isi_widget/training/entailment_phrases.py",
)

#: (pattern, suggestion), searched in every line of prose, in any case.
PATTERNS = [
    (r"\b(tells?|told|telling)\b", "return, report, show, call; for 'tell apart': distinguish"),
    (
        r"\b(it|which|that|this|message|error|function|file|name|code|server|page|configuration) says\b",
        "report, give, name, contain",
    ),
    (r"\b(is|are|was|were|be) said\b", "reported, shown, described"),
    (
        r"\bwhat (is|was|are) (said|there|asked|known|shown|seen|done|left|needed)\b",
        "name the thing: the message, the values, the input, the rest ...",
    ),
    (r"\b(is|are|was|were) another\b", "changed, different"),
    (r"\banother (than|now)\b", "different from; changed"),
    (r"\b(that|which) (is|are) there\b", "available, present, existing"),
    (r"\bthere (is|are) now\b", "current"),
    (r"\basked for\b", "requested, wanted; for 'when first asked for': when first used"),
    (r"\bfor nothing\b", "needlessly"),
    (r"\bworked out\b", "computed"),
    (r"\b(comes|come) to\b", "is, gives, becomes"),
    (r"\b(is|are) gone\b", "dead, closed, removed"),
    (r"\bone's own\b", "your own, custom"),
    (r"\bwhoever\b|\bwho (looks|wants|needs|asks)\b", "if you ...; callers that ..."),
    (r"\bas (it|they) stands?\b", "unchanged"),
    (r"\bno matter of\b", "does not concern"),
    (r"(?-i:(?<!there )\b(is|are) none (that|which)\b)", "is not a ... that"),
    (r"\b(is|are) to be (had|seen|relied on|looked at|said)\b", "can be ...; is reliable"),
    (r"\bhas (it|them) of its own\b|\bof its very own\b", "its own"),
    (r"\bgo(es)? on (doing|being|looking|running|with)\b", "continues to"),
    (r"\bso many\b", "this number of"),
    (r"\bnot looked at\b", "ignored, not evaluated"),
]
#: Only in docstrings: descriptions of parameters.
PARAMETERS = [
    (
        r"^\s*[\w*]+(, [\w*]+)* : (of|that|where|for(?! each)|as it|from|by|on|in|at|to|with|what|who)\b",
        "a parameter is a noun phrase: 'seed : seed of the bootstrap'",
    ),
    (r"^\s*[\w*]+(, [\w*]+)* : .*[.;] [\w*]+(, [\w*]+)* : ", "one parameter a line"),
]
#: Reviewed and kept: (file pattern, text of the line).
KEPT: tuple[tuple[str, str], ...] = (
    ("isi_widget/widget/controller.py", "probe.last_traceback tells where"),  # a message that users know
    ("isi_widget/widget/controller.py", "may not support what was asked"),
    ("js/src/state/synced.ts", "The kernel"),  # the status of the probe on the page
    ("isi_widget/widget/streaming.py", "`tell`"),  # names in the code
    ("isi_widget/study/beside.py", "`tell`"),
    ("isi_widget/vlm/remote/capabilities.py", "`told`"),
    ("js/src/panels/*.tsx", "told"),
    ("*", "what could not be measured"),
)


def docstrings(tree: ast.AST) -> Iterator[ast.Expr]:
    """Yield the docstring nodes of a module, its classes and functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                yield first


def python(source: str) -> tuple[list[Line], list[Line]]:
    """Return the lines of docstrings, and those of comments and of strings with at least four words."""
    lines = source.split("\n")
    inside = {
        number
        for node in docstrings(ast.parse(source))
        for number in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    rest: list[Line] = []
    strings = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        number = token.start[0]
        if token.type == tokenize.COMMENT or (
            token.type in strings and number not in inside and len(token.string.split()) > 3
        ):
            rest += [(number + i, text) for i, text in enumerate(token.string.split("\n"))]
    return [(number, lines[number - 1]) for number in sorted(inside)], rest


def typescript(source: str) -> list[Line]:
    """Return comments, and lines with quoted or JSX text of at least four words."""
    found = []
    for number, line in enumerate(source.split("\n"), 1):
        comment = re.search(r"(^\s*(/\*\*|\*|//).*)|(\s//\s.*)", line)
        texts = [
            text
            for text in re.findall(r"\"([^\"]*)\"|`([^`]*)`|>([^<>{}]+)<", line)
            for text in text
            if len(text.split()) > 3
        ]
        found += [(number, text) for text in [comment.group() if comment else "", *texts] if text]
    return found


def prose(path: Path) -> tuple[list[Line], list[Line]]:
    """Return lines of docstrings, and other lines of prose, of one file."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return python(source)
    if path.suffix in (".ts", ".tsx"):
        return [], typescript(source)
    if path.suffix == ".ipynb":
        cells = [cell["source"] for cell in json.loads(source)["cells"] if cell["cell_type"] == "markdown"]
        text = [line for cell in cells for line in "".join(cell).split("\n")]
        return [], [
            (number, line)
            for number, line in enumerate(source.split("\n"), 1)
            if any(t and json.dumps(t, ensure_ascii=False)[1:-1] in line for t in text)
        ]
    fenced, found = False, []
    for number, line in enumerate(source.split("\n"), 1):
        fenced ^= line.lstrip().startswith("```")
        if not fenced:
            found.append((number, re.sub(r"`[^`]*`", "``", line)))
    return [], found


def findings(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield (line, words, suggestion) for each match in a file."""
    inside, rest = prose(path)
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    for number, line in sorted([*inside, *rest]):
        if any(fnmatch.fnmatch(name, files) and text in line for files, text in KEPT):
            continue
        patterns = [*PATTERNS, *(PARAMETERS if (number, line) in inside else [])]
        for pattern, advice in patterns:
            if found := re.search(pattern, line, re.IGNORECASE):
                yield number, found.group().strip(), advice


def main(names: list[str]) -> int:
    """Print the findings in the named files, or in all sources; returns their number."""
    paths = [Path(name).resolve() for name in names] or [
        path for glob in SOURCES for path in sorted(ROOT.glob(glob))
    ]
    count = 0
    for path in paths:
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
        if any(fnmatch.fnmatch(name, data) for data in DATA):
            continue
        for number, words, advice in findings(path):
            print(f"{name}:{number}: {words!r}: {advice}")
            count += 1
    return count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) > 0)
