"""The Python of a study that was read from a folder: nothing but data, whatever the folder says.

A store may come from somebody else, and its file holds the code as text. Each statement that makes data, a
model, conditions or a study out of literals stays as it is; any other one (a function, an import, a call of
anything else, a server's address, an argument of `load_vlm` that could run code) becomes a comment. Not for
the code of a study of this process (`code`).
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from isi_widget.interventions.base import KINDS
from isi_widget.stimulus.operations import OPERATIONS
from isi_widget.study.steps import CHAIN, OWN_FUNCTIONS
from isi_widget.trial.code import DANGEROUS

_IMPORTS = ("import isi_widget as isi", "import base64", "import pathlib")
#: Names that a statement may set.
_SET = ("vlm", "models", "data", "conditions", "pictures", "study")
_DATA = ("scenes", "things", "minimal_pairs", "isi_vqa", "from_csv", "from_coco", "from_yolo")
_CALLS = (
    *("isi.condition", "isi.grid", "isi.load_vlm", "isi.run_study", "isi.SteeringDirection"),
    *("isi.ImageTokens", "isi.Mask", "isi.Mask.from_text", "isi.HeadGates.of", "isi.Stimulus.from_json"),
    *("base64.b64decode", "pathlib.Path", "dict"),
    *(f"isi.datasets.{name}" for name in _DATA),
)
_METHODS = frozenset((*CHAIN, "apply", "intervene", "against", "read_bytes"))
#: Arguments that no call and no dict may have.
_REFUSED = DANGEROUS - {"name"}
_MOST = 5_000_000  # characters
_NOTE = (
    "# This study was read from a folder. What could do harm in the file of somebody else is a comment: take",
    "# it only if you trust who made the folder.",
)


def received_code(text: str) -> str:
    """Return the code of a received study with comments in the place of whatever is not plain data.

    text : Python, as the file of a study holds it.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = [_printable(line) for line in text.split("\n")]
    try:
        if len(text) > _MOST:
            raise ValueError
        harmless = set(_harmless_lines(ast.parse("\n".join(lines)), lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "# The code in the file of this study cannot be read as Python."
    made, asked = [], False
    for number, line in enumerate(lines, start=1):
        plain = number in harmless or not line.strip() or line.lstrip().startswith("#")
        made.append(line if plain else f"# {line}")
        asked = asked or not plain
    return "\n".join([*_NOTE, "", *made] if asked else made)


def _printable(line: str) -> str:
    """Return a line without characters that some editors take for the end of a line."""
    return "".join(
        letter if letter.isprintable() or letter == "\t" else "\N{REPLACEMENT CHARACTER}" for letter in line
    )


def _harmless_lines(tree: ast.Module, lines: list[str]) -> Iterator[int]:
    """Yield the numbers of the lines, counted from 1, that hold harmless statements only."""
    used: dict[int, list[ast.stmt]] = {}
    for statement in tree.body:
        for number in _lines_of(statement):
            used.setdefault(number, []).append(statement)
    for statement in tree.body:
        places = _lines_of(statement)
        alone = all(used[number] == [statement] for number in places)
        if alone and _is_harmless(statement, lines[statement.lineno - 1]):
            yield from places
        else:
            for number in places:  # a text of several lines may look like a comment or an empty line
                if not lines[number - 1].strip() or lines[number - 1].lstrip().startswith("#"):
                    lines[number - 1] = f"# {lines[number - 1].strip()}"


def _lines_of(statement: ast.stmt) -> range:
    first = min([statement.lineno, *(item.lineno for item in getattr(statement, "decorator_list", ()))])
    return range(first, (statement.end_lineno or statement.lineno) + 1)


def _is_harmless(statement: ast.stmt, line: str) -> bool:
    if isinstance(statement, ast.Import):
        return line in _IMPORTS
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Name) and statement.value.id == "study"
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return False
    target = statement.targets[0]
    if isinstance(target, ast.Subscript):
        named = isinstance(target.slice, ast.Constant) and isinstance(target.value, ast.Name)
        return named and ast.unparse(target.value) == "models" and _is_data(statement.value)
    return isinstance(target, ast.Name) and target.id in _SET and _is_data(statement.value)


def _is_data(node: ast.AST | None) -> bool:
    """Return whether an expression only makes data, conditions, a model or a study from literals."""
    if node is None or isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Name):
        return not hasattr(builtins, node.id)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)
    if isinstance(node, ast.List | ast.Tuple):
        return all(map(_is_data, node.elts))
    if isinstance(node, ast.Dict):
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
        named = len(keys) == len(node.keys) or (all(map(_is_data, node.keys)) and None not in node.keys)
        return named and not _REFUSED & set(map(str, keys)) and all(map(_is_data, node.values))
    if isinstance(node, ast.Subscript):
        return _is_data(node.value) and _is_data(node.slice)
    if isinstance(node, ast.Slice):
        return all(map(_is_data, (node.lower, node.upper, node.step)))
    if isinstance(node, ast.ListComp):  # some observations of a data set
        (loop, *others) = node.generators
        plain = not others and not loop.ifs and not loop.is_async and isinstance(loop.target, ast.Name)
        return plain and _is_data(loop.iter) and _is_data(node.elt)
    if isinstance(node, ast.Attribute):
        return _is_own(ast.unparse(node))
    return isinstance(node, ast.Call) and _is_call(node)


def _is_own(name: str) -> bool:
    """Return whether a dotted name is a class of interventions or a function of conditions."""
    owns = (f"isi.conditions.{function}" for function in OWN_FUNCTIONS)
    return name in owns or name in (f"isi.{kind.__name__}" for kind in KINDS.values())


def _is_call(node: ast.Call) -> bool:
    named = [item.arg for item in node.keywords]
    if None in named or _REFUSED & set(named):
        return False
    if not all(_is_data(item) for item in [*node.args, *(item.value for item in node.keywords)]):
        return False
    function = node.func
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Call):
        return function.attr in _METHODS and _is_data(function.value)
    name = ast.unparse(function) if isinstance(function, ast.Name | ast.Attribute) else ""
    operations = (f"isi.stimulus.{kind.__name__}" for kind in OPERATIONS.values())
    return name in _CALLS or name == "vlm.intervene" or _is_own(name) or name in operations
