"""Python that is copied holds texts of data, models and users as string literals, never as code; and the
page's sources set every text as text.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isi_widget as isi
from isi_widget import Probe
from isi_widget.trial import Trial
from isi_widget.trial.settings import Settings
from isi_widget.vlm import VLM

SOURCES = Path(__file__).resolve().parents[2] / "js" / "src"
BREAKOUTS = [
    '"); pwned(); ("',
    "'); pwned(); ('",
    '"""); pwned(); ("""',
    "\\'); pwned() #",
    "\npwned()",
    "\r\npwned()\r\n",
    "\x0cpwned()\x0b",
    "\u2028pwned()\u2029",
    "{pwned()}",
    "</script><script>window.pwned = 1</script>",
]
TEXTS = st.sampled_from(BREAKOUTS) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30
)
PIXELS = np.full((30, 40, 3), 200, np.uint8)


def calls(code: str) -> set[str]:
    """The names of all functions that a piece of Python would call; it must parse."""
    functions = [node.func for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    return {node.attr if isinstance(node, ast.Attribute) else ast.unparse(node) for node in functions}


def rebuilt(code: str, stimulus: isi.Stimulus) -> isi.Stimulus:
    """What the lines up to `trial = ...` make of a stimulus: the images come from the stimulus itself."""
    lines = [line for line in code.splitlines() if not line.startswith(("vlm =", "trial", "import", "obs ="))]
    names: dict[str, Any] = {
        "isi": isi,
        "obs": isi.Observation(PIXELS, stimulus.question, context=stimulus.context),
    }
    exec("\n".join(lines), names)
    made: isi.Stimulus = names["s"]
    return made


@given(question=TEXTS, context=TEXTS, drawn=TEXTS, answer=TEXTS)
def test_texts_of_a_stimulus_are_literals(question: str, context: str, drawn: str, answer: str) -> None:
    try:
        stimulus = (
            isi.Stimulus(PIXELS, question, context, answer).text(1, 2, drawn).with_context(drawn + context)
        )
    except isi.InputError:  # of nothing but white space, say
        return
    code = Trial(stimulus, {}, {"name": "embedded"}, Settings()).code()
    assert calls(code) <= {
        "load_vlm",
        "Observation",
        "b64decode",
        "stimulus",
        "text",
        "with_context",
        "run_trial",
    }
    tree = ast.parse(code)
    literals = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert {question, drawn, drawn + context} <= literals
    made = rebuilt(code, stimulus)
    assert made.operations == stimulus.operations


@given(TEXTS)
def test_what_a_model_says_of_itself_is_a_literal(text: str) -> None:
    stimulus = isi.Stimulus(PIXELS, "Is there a star?")
    for told in (
        {"name": text, "quantization": text, "revision": text, "dtype": text, "device": text},
        {"name": text, "loaded_with": None},
        {"name": text, "loaded_with": {"attention": text}},
    ):
        code = Trial(stimulus, {}, told, Settings()).code()
        assert calls(code) <= {"load_vlm", "Observation", "b64decode", "stimulus", "run_trial"}


@pytest.mark.parametrize("text", BREAKOUTS)
def test_an_observation_with_a_hostile_name(vlm: VLM, text: str) -> None:
    """Its id and its level come from a file name or a table's cell."""
    observation = isi.Observation(PIXELS, "Is there a star?", id=text, level=text, answer="Yes")
    probe = Probe(vlm, observation)
    try:
        assert calls(probe.code()) <= {"load_vlm", "Observation", "b64decode", "stimulus", "run_trial"}
        assert "pwned" not in probe.code()
    finally:
        probe.close()


def test_the_check_itself_finds_code_that_broke_out() -> None:
    """As it would be with quotes around a text instead of its repr."""
    assert "pwned" in calls(f'ask("{BREAKOUTS[0]}")') and "pwned" in calls(f"ask('{BREAKOUTS[1]}')")
    assert "pwned" in calls(f"# {BREAKOUTS[4]}")


MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write|createContextualFragment|"
    r"\beval\(|new Function|srcdoc|DOMParser|setTimeout\(\s*[\"'`]|javascript:"
)


def test_no_source_of_the_page_makes_markup_or_code_of_a_text() -> None:
    files = [path for path in SOURCES.rglob("*") if path.suffix in (".ts", ".tsx", ".js")]
    assert len(files) > 20
    found = [
        f"{path.name}: {match[0]}" for path in files for match in MARKUP.finditer(path.read_text("utf-8"))
    ]
    assert found == []
