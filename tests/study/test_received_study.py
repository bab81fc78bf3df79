"""A study whose folder is from somebody else: its code is data, its files are checked."""

from __future__ import annotations

import ast
import json
import os

import pyarrow as pa
import pytest
from pyarrow import parquet
from stub_vlm import StubVLM

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.study.received_code import received_code

OWN = "import isi_widget as isi\n\nvlm = isi.load_vlm()\ndata = isi.datasets.scenes()\nstudy"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "a"
    conditions = [isi.condition("plain"), isi.condition("noise").noise(isi.grid(sigma=[0.1, 0.3]))]
    isi.run_study(StubVLM(), isi.datasets.scenes()[:2], conditions, measures="answer", store=folder)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    copy = tmp_path / "theirs"
    copy.mkdir()
    for path in made.rglob("*"):
        target = copy / path.relative_to(made)
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
    return copy


def change(folder, **parts):
    path = folder / "study.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **parts}))
    return folder


def names(code):
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


# ---- code
@pytest.mark.parametrize(
    "line",
    [
        "EVIL()",
        "from evil import EVIL",
        "data = 1; EVIL()",
        "# a comment\rEVIL()",
        'data = """\n# x\n""" + EVIL()',
        "def f():\n    EVIL()\nf()",
        "@EVIL()\nclass C:\n    pass",
        "data = (lambda: EVIL())()",
        'data = f"{EVIL()}"',
        "data = {**EVIL()}",
        "data = isi.datasets.from_csv(*EVIL())",
        "data = isi.datasets.scenes().__class__(EVIL)",
        "data = [EVIL() for i in [1]]",
        "data = [i for i in [1] if EVIL()]",
        "models[EVIL()] = 1",
        "isi = EVIL()",
        'if True:\n    EVIL()\n# "',
    ],
)
def test_code_in_a_store_is_a_comment_unless_it_makes_data(line):
    for text in (line, f"{OWN}\n{line}", f"{line}\n{OWN}"):
        assert "EVIL" not in names(received_code(text)), received_code(text)
        assert "EVIL" in received_code(text)  # nothing is lost


@pytest.mark.parametrize(
    "line",
    [
        "vlm = isi.load_vlm('a/b', trust_remote_code=True)",
        "vlm = isi.connect('http://evil', model='a')",
        "models['a'] = {'name': 'a/b', 'trust_remote_code': True}",
        "models['a'] = dict(name='a/b', allow_pickle=True)",
        "vlm = isi.load_vlm(on='ray://evil:1')",
        "conditions = [isi.condition('a').apply(exec)]",
        "data = pathlib.Path('a').write_text('b')",
        "study = isi.run_study(vlm, data, conditions, progress=print)",
    ],
)
def test_what_could_do_harm_is_a_comment(line):
    assert f"# {line}" in received_code(f"{OWN}\n{line}").split("\n")


def test_code_that_makes_data_stays_as_it_is(made):
    assert isi.open_study(made).code() == json.loads((made / "study.json").read_text())["code"]
    for line in (
        "data = [isi.datasets.scenes()[i] for i in [0, 5]]",
        "data = ...  # 3 observations, made by hand: put them here",
        "pictures = {'ab': base64.b64decode(\"AA==\")}",
        "conditions = [\n    isi.condition('a', level=-1).apply(f, n=(1,)).noise(isi.grid(sigma=[0.1])),\n]",
        "models['a'] = vlm.intervene(isi.Knockout(queries='last', keys='image'))",
    ):
        assert received_code(f"{OWN}\n{line}") == f"{OWN}\n{line}"
    assert "cannot be read" in received_code("(" * 10_000) and "cannot be read" in received_code("a b")


def test_a_forged_store_gives_no_code(folder):
    change(folder, code="import os; os.system('EVIL')\nstudy")
    assert "os" not in names(isi.open_study(folder).code())
    conditions = [isi.condition("plain"), isi.condition("noise").noise(isi.grid(sigma=[0.1, 0.3]))]
    data = isi.datasets.scenes()[:2]
    own = isi.run_study(StubVLM(), data, conditions, measures="answer", store=folder)
    assert "EVIL" not in own.code() and "isi.grid" in own.code()


@pytest.mark.parametrize(
    "step",
    [
        {"function": "isi_widget.study.conditions.f(), EVIL()"},
        {"function": "m.EVIL()"},
        {"function": "m.lambda"},
        {"function": "m.f", "arguments": {"a=EVIL(), b": 1}},
        {"function": "m.f", "arguments": {"a": {"grid": [["b=EVIL()", [1]]]}}},
        {"method": "noise", "arguments": {"sigma=EVIL()": 1}},
        {"method": "with_context", "arguments": {"text": "'+EVIL()+'"}},
        {"method": "noise", "arguments": {"sigma": 1e999}},
    ],
)
def test_names_in_a_condition_are_names(step):
    record = {"schema": 1, "name": "a", "steps": [step], "interventions": []}
    try:
        made = isi.Condition.from_dict(record)
    except InputError as error:
        assert "no name in Python" in str(error) or "finite" in str(error)
    else:
        assert "EVIL" not in names(made.code()) | names(made.expression)


# ---- files
@pytest.mark.parametrize(
    "parts",
    [
        {"shapes": []},
        {"shapes": [["1", 2, 3, 1]]},
        {"shapes": [[1e308, 1, 1, 1]]},
        {"shapes": [[10**9] * 4]},
        {"models": {"stub": "text"}},
        {"models": {"stub": {"identity": "text", "entailment": "", "info": {}}}},
        {"data": {"name": "a", "size": None, "digest": ""}},
        {"seeds": ["<b>"]},
        {"versions": {"python": []}},
        {"conditions": [3]},
        {"code": []},
    ],
)
def test_a_damaged_header_is_one_error(folder, parts):
    with pytest.raises(InputError, match="damaged"):
        isi.open_study(change(folder, **parts))


def test_damaged_lines_cost_their_rows_only(folder):
    before = isi.open_study(folder).rows
    (part,) = (folder / "parts").iterdir()
    rows = parquet.read_table(part).to_pylist()
    part.unlink()
    odd = [
        "[" * 100_000,
        '{"row": 99999999999999999999}',
        '{"row": true}',
        json.dumps({**rows[0], "notes": {}}),
        json.dumps({**rows[0], "level": []}),
        json.dumps({**rows[0], "answers": [{"text": 1}]}),
    ]
    lines = [odd[0], *map(json.dumps, rows[:3]), *odd[1:], *map(json.dumps, rows[3:])]
    (folder / "open.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "observations.jsonl").write_text("[" * 100_000 + '\n{"index": 1e999}\n')
    study = isi.open_study(folder)
    assert study.rows.equals(before) and study.observation(0).question == before["question"][0]


def test_parts_cannot_fill_the_memory(folder):
    (part,) = (folder / "parts").iterdir()
    table = parquet.read_table(part)
    many = pa.concat_tables([table.slice(0, 1)] * 100)
    parquet.write_table(many, part)
    with pytest.raises(InputError, match="its parts have 100 rows"):
        len(isi.open_study(folder))
    nulls = table.set_column(table.schema.get_field_index("index"), "index", pa.nulls(len(table), pa.int64()))
    parquet.write_table(nulls, part)
    with pytest.raises(InputError, match="rows without a 'index'"):
        isi.open_study(folder).rows  # noqa: B018


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
@pytest.mark.parametrize(
    "name", ["open.jsonl", "observations.jsonl", "parts", "parts/000009.parquet", "lock"]
)
def test_links_in_a_store_are_refused(folder, tmp_path, name):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    path = folder / name
    if path.is_dir():
        path.rename(tmp_path / "elsewhere")
        outside = tmp_path / "elsewhere"
    path.unlink(missing_ok=True)
    path.symlink_to(outside)
    with pytest.raises(InputError, match="link or no ordinary file"):
        isi.open_study(folder)
    (folder / "study.json").unlink()
    with pytest.raises(InputError, match="link or no ordinary file"):
        isi.run_study(StubVLM(), isi.datasets.scenes()[:2], measures="answer", store=folder)
    assert outside.is_dir() or outside.read_text() == "mine"


# ---- its view
@pytest.mark.parametrize("error", [RuntimeError("mine"), ValueError("mine")])
def test_an_observer_that_raises_does_not_stop_the_view(made, error):
    view = isi.open_study(made).view()
    seen = []

    def observer(change):
        seen.append(change["name"])
        raise error

    for widget in (view, view._page):
        widget.observe(observer)
    view._page.set_state({"query": {"sort": "row", "descending": True}})
    view._receive(view._page, {"kind": "nothing"}, [])
    assert view.query.descending and "query" in seen and "no message" in view._page.error["message"]
    view._page.unobserve(observer)
    view.close()


def test_a_message_that_cannot_be_sent_does_not_stop_the_view(made, monkeypatch):
    view = isi.open_study(made).view()
    monkeypatch.setattr("ipywidgets.Widget._send", lambda *given, **named: 1 / 0)
    view._put(error={"message": "a", "hint": ""})
    assert view._page.error["message"] == "a"
    monkeypatch.undo()
    view.close()
