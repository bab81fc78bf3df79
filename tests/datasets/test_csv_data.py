"""One's own CSV and folders: what each column gives, and every error of a table at once."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from isi_widget.datasets import from_csv
from isi_widget.errors import InputError
from isi_widget.text.correctness import is_correct


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder, shade in (("images", 50), ("annotated", 150)):
        (tmp_path / folder).mkdir()
        for i, name in enumerate(["a.png", "b.png", "B.jpg"]):
            Image.new("L", (4, 3), shade + i).save(tmp_path / folder / name)
    (tmp_path / "images" / "sub").mkdir()
    Image.new("L", (4, 3), 7).save(tmp_path / "images" / "sub" / "c.png")
    Image.new("L", (4, 3), 8).save(tmp_path / "outside.png")
    return tmp_path


def load(home: Path, text: str, annotated: bool = False, **options: object):
    (home / "my.csv").write_text(text, encoding="utf-8")
    return from_csv(home / "my.csv", home / "images", home / "annotated" if annotated else None, **options)


def refused(home: Path, text: str, annotated: bool = False, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        load(home, text, annotated, **options)
    return str(caught.value)


def test_every_column_arrives_where_it_belongs(home: Path) -> None:
    data = load(
        home,
        "\ufeff image ,Question,answer,context,complementary,contradictory,irrelevant,level,id,"
        "annotated,Source\n"
        ' a.png ,"Is it, really?",yes, c , helps ,misleads,off,object,one,b.png, mine \n'
        "b.png,Why?,,,,,,,,,\n",
        annotated=True,
    )
    assert data.name == "my" and len(data) == 2
    first, second = data
    assert (first.question, first.answer, first.context) == ("Is it, really?", "Yes", "c")
    assert first.contexts == {"complementary": "helps", "contradictory": "misleads", "irrelevant": "off"}
    assert (first.level, first.id) == ("object", "one")
    assert dict(first.metadata) == {"image": "a.png", "Source": "mine"}
    assert first.image.array()[0, 0, 0] == 50 and first.annotated.array()[0, 0, 0] == 151
    # An empty cell disables its preset and nothing else.
    assert (second.answer, second.context, second.contexts, second.level) == (None, "", {}, None)
    assert second.annotated is None and second.id == "b.png"
    assert second.presets.image_names == ("natural", "random")
    assert first.presets.image_names == ("natural", "annotated", "random")


def test_without_a_column_the_annotated_image_has_the_same_name(home: Path) -> None:
    data = load(home, "image,question\nb.png,q\n", annotated=True, name="mine")
    assert data[0].annotated.array()[0, 0, 0] == 151 and data.name == "mine"
    assert "column \"annotated\": there is no file 'sub/c.png'" in refused(
        home, "image,question\nsub/c.png,q\n", True
    )


def test_two_images_may_differ_in_their_ending_only(home: Path) -> None:
    Image.new("L", (4, 3), 99).save(home / "images" / "b.jpg")
    data = load(home, "image,question\nb.png,q\nb.jpg,q\n")
    assert [int(obs.image.array()[0, 0, 0]) for obs in data] == [51, 99]


@pytest.mark.parametrize(
    ("cells", "answers"),
    [
        (["1", "0", ""], ["Yes", "No", None]),
        (["TRUE", "false", "no"], ["Yes", "No", "No"]),
        (["1", "0", "3"], ["1", "0", "3"]),
        (["yes", "1", "red"], ["Yes", "1", "red"]),
        (["1.0", "0.0", ""], ["Yes", "No", None]),  # what pandas makes of 1, 0 and an empty cell
        (['"1,0"', '"0,0"', "1.00"], ["Yes", "No", "Yes"]),  # a spreadsheet with a decimal comma
        (["Y", "n", "T"], ["Yes", "No", "Yes"]),
        (["3.0", "1.0", ""], ["3.0", "1.0", None]),
        (["NA", "None", "nan"], ["NA", "None", "nan"]),
        (["1.0", "0.0", "nan", "<NA>"], ["Yes", "No", None, None]),  # what programs write for no value
        (["yes", "None", "null", "N/A"], ["Yes", None, None, None]),
        (["red", "None", "1"], ["red", "None", "1"]),
        (["null", "", "N/A"], ["null", None, "N/A"]),
        (["", "", ""], [None, None, None]),
    ],
)
def test_an_answer_column_is_yes_or_no_only_if_all_of_it_is(
    home: Path, cells: list[str], answers: list[str | None]
) -> None:
    data = load(home, "image,question,answer\n" + "".join(f"a.png,q,{cell}\n" for cell in cells))
    assert [obs.answer for obs in data] == answers


@pytest.mark.parametrize("cell", ["https://x.org/a.png", "s3://bucket/a.png", "data:image/png;base64_AAAA"])
def test_a_url_in_place_of_a_file_is_called_one(home: Path, cell: str) -> None:
    with pytest.raises(InputError, match=r"row 2.*is a URL, and nothing is fetched.*give its name"):
        load(home, f"image,question\n{cell},q\n")


def test_a_one_is_a_count_where_the_question_counts(home: Path) -> None:
    data = load(home, "image,question,answer\na.png,How many?,1.0\na.png,Is it?,1.0\na.png,Is it?,0.0\n")
    assert [obs.answer for obs in data] == ["1.0", "Yes", "No"]


def test_what_pandas_writes_is_read_back_and_judged(home: Path) -> None:
    frame = pd.DataFrame({"image": ["a.png"] * 3, "question": ["Is it?"] * 3, "answer": [1, 0, None]})
    data = load(home, frame.to_csv(index=False))
    assert "1.0" in (home / "my.csv").read_text()  # or nothing is tested
    judged = [[is_correct(said, obs.answer, obs.question) for said in ("Yes.", "No.")] for obs in data]
    assert judged == [[True, False], [False, True], [None, None]]


def test_wrong_rows_can_be_left_out_and_are_listed(home: Path) -> None:
    (home / "images" / "text.png").write_text("no image")
    text = "image,question,id\na.png,q,1\nno.png,q,2\ntext.png,q,3\nb.png,,4\n../outside.png,q,5\nb.png,q,6\n"
    with pytest.warns(
        UserWarning, match=r"4 of 6 rows were skipped.*row 3, column \"image\": there is no file"
    ):
        data = load(home, text, on_error="skip")
    assert [obs.id for obs in data] == ["1", "6"]
    assert [line.partition(",")[0] for line in data.skipped] == ["row 3", "row 4", "row 5", "row 6"]
    assert "4 skipped" in repr(data) and pickle.loads(pickle.dumps(data)).skipped == data.skipped
    assert load(home, "image,question\na.png,q\n", on_error="skip").skipped == ()
    with pytest.raises(InputError, match="has 1 error"):  # nothing is left
        load(home, "image,question\nnone.png,q\n", on_error="skip")
    with pytest.raises(InputError, match="on_error must be one of raise, skip"):
        load(home, "image,question\na.png,q\n", on_error="ignore")


def test_each_file_is_looked_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("isi_widget.datasets.files.check_image", lambda path: seen.append(path.name))
    load(home, "image,question\n" + "a.png,q\nb.png,q\n" * 50)
    assert seen == ["a.png", "b.png"]


def test_a_spreadsheets_unicode_text_is_read(home: Path) -> None:
    (home / "my.csv").write_bytes("image\tquestion\na.png\tGröße?\n".encode("utf-16"))
    assert from_csv(home / "my.csv", home / "images", delimiter="\t")[0].question == "Größe?"


def test_several_questions_about_one_image_have_different_names(home: Path) -> None:
    data = load(home, "image,question\na.png,q1\na.png,q2\na.png,q3\n")
    assert [obs.id for obs in data] == ["a.png", "a.png (2)", "a.png (3)"]
    assert "column \"id\": 'x' was given to an earlier row" in refused(
        home, "image,question,id\na.png,q,x\nb.png,q,x\n"
    )


def test_other_separators_empty_rows_and_quoted_lines(home: Path) -> None:
    data = load(home, 'image;question\n"a.png";"two\nlines, here"\n;\n\nsub/c.png;q\n', delimiter=";")
    assert [obs.question for obs in data] == ["two\nlines, here", "q"]


def test_all_wrong_rows_are_named_at_once(home: Path) -> None:
    (home / "images" / "text.png").write_text("no image")
    (home / "images" / "empty.png").touch()
    message = refused(
        home,
        "image,question,answer\na.png,fine,1\nA.png,q,1\n,q,1\na.png,,0\ntext.png,q,0\nempty.png,,0\n",
    )
    lines = message.split("\n  ")
    assert lines[0] == f"{home / 'my.csv'} has 6 errors:"
    expected = [
        ("row 3", "image", "there is no file 'A.png'"),
        ("row 4", "image", "the cell is empty"),
        ("row 5", "question", "the cell is empty"),
        ("row 6", "image", "not a readable image"),
        ("row 7", "image", "is empty (0 bytes)"),
        ("row 7", "question", "the cell is empty"),
    ]
    assert len(lines) == 1 + len(expected)
    for line, (row, column, text) in zip(lines[1:], expected, strict=True):
        assert line.startswith(f'{row}, column "{column}": ') and text in line
    assert "; there is 'a.png'" in lines[1]


def test_a_great_many_errors_are_counted(home: Path) -> None:
    lines = refused(home, "image,question\n" + "none.png,q\n" * 80).splitlines()
    assert "80 errors" in lines[0] and len(lines) == 52 and lines[-1].strip() == "... and 30 more"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../outside.png", "leads out of its folder"),
        ("sub/../../outside.png", "leads out of its folder"),
        ("..\\outside.png", "leads out of its folder"),
        ("/etc/passwd", "is an absolute path"),
        ("C:\\windows\\win.ini", "is an absolute path"),
        ("C:outside.png", "is an absolute path"),
        ("\\\\server\\share\\x.png", "is an absolute path"),
        ("link.png", "is a link that leads out of"),
        ("linked/outside.png", "is a link that leads out of"),
        ("loop.png", "loop.png"),
        ("sub", "there is no file 'sub'"),
        ("a" * 5000, "there is no file|cannot be looked up"),
    ],
)
def test_names_that_lead_out_of_the_folder_are_refused(home: Path, name: str, message: str) -> None:
    (home / "images" / "link.png").symlink_to(home / "outside.png")
    (home / "images" / "linked").symlink_to(home)
    (home / "images" / "loop.png").symlink_to(home / "images" / "loop.png")
    with pytest.raises(InputError, match=message):
        load(home, f"image,question\n{name},q\n")


def test_the_outside_file_of_the_test_above_would_load(home: Path) -> None:
    assert load(home, "image,question\nsub/c.png,q\n")[0].image.array()[0, 0, 0] == 7
    (home / "images" / "inner.png").symlink_to(home / "images" / "a.png")
    assert load(home, "image,question\ninner.png,q\n")[0].image.array()[0, 0, 0] == 50


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected a header with the columns image, question"),
        ("image,question\n", "has a header but no rows"),
        ("image,text\na.png,q\n", "the header has no column 'question'; it has ['image', 'text']."),
        ("image;question\na.png;q\n", "Is the delimiter ',' right?"),
        ("image,question,Image\na.png,q,b.png\n", "the column 'image' occurs more than once"),
        ("image,question\na.png,q, and more\n", "row 2: 3 cells, but the header has 2"),
        ('image,question\na.png,"q\n', "row 2: unexpected end of data"),
        ("image,question,annotated\na.png,q,a.png\n", "so its folder is needed"),
    ],
)
def test_a_table_of_wrong_form(home: Path, text: str, message: str) -> None:
    assert message in refused(home, text)


def test_files_and_folders_that_are_not_there(home: Path) -> None:
    with pytest.raises(InputError, match="There is no CSV file"):
        from_csv(home / "none.csv", home / "images")
    with pytest.raises(InputError, match="is a folder, not a CSV file"):
        from_csv(home / "images", home / "images")
    (home / "my.csv").write_bytes("image,question\na.png,Größe\n".encode("latin-1"))
    with pytest.raises(InputError, match="is not UTF-8"):
        from_csv(home / "my.csv", home / "images")
    with pytest.raises(InputError, match=r"images='.*nowhere' is no folder"):
        from_csv(home / "my.csv", home / "nowhere")
    with pytest.raises(InputError, match="delimiter must be one character"):
        load(home, "image,question\n", delimiter="::")


def test_images_are_loaded_when_they_are_needed(home: Path) -> None:
    data = load(home, "image,question\na.png,q\n")
    Image.new("L", (4, 3), 222).save(home / "images" / "a.png")
    assert np.unique(data[0].image.array()).tolist() == [222]
    (home / "images" / "a.png").unlink()
    with pytest.raises(InputError, match="There is no image file"):
        data[0].stimulus()
