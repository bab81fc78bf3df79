"""The PDF report: read with another library, it says what the trial says, and nothing that it should not."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import re
import subprocess
import sys
from collections import Counter
from functools import cache

import numpy as np
import pypdf
import pytest
from fontTools.ttLib import TTFont
from hypothesis import given, settings
from hypothesis import strategies as st
from made_fonts import make_font
from made_trials import HOSTILE, make_answer, make_silent_trial, make_trial
from PIL import Image
from pypdf.generic import ContentStream

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.report import fonts
from isi_widget.report.making import report
from isi_widget.report.pdf import fonts as pdf_fonts
from isi_widget.report.pdf.sheet import BOTTOM, MARGIN, MARK
from isi_widget.report.style import SEGMENT_COLORS
from isi_widget.setting import settings_of
from isi_widget.study.compare import Comparison
from isi_widget.trial.measures.attention import ATTENTION_CAVEAT
from isi_widget.trial.measures.uncertainty_terms import ENTROPIES, GRAPH
from isi_widget.trial.reports import open_report
from isi_widget.uncertainty.lexical import WITHOUT_CLUSTERS

HEBREW = "האם יש כוכב אדום בתמונה?"
ARABIC = "هل توجد نجمة حمراء في الصورة؟"


@cache
def plain():
    """The report of the plain trial, which several tests read."""
    return report(make_trial())


def read(data):
    return pypdf.PdfReader(io.BytesIO(data))


def squeezed(text):
    """Without white space: lines may break anywhere."""
    return "".join(text.split())


def text_of(data, pages=slice(None)):
    return "\n".join(page.extract_text() for page in read(data).pages[pages])


def body_of(data):
    """All text, without running heads and page numbers; white space squeezed out."""
    parts = []

    def keep(text, _, matrix, *__):
        if BOTTOM < matrix[5] < 842 - 50:
            parts.append(text)

    for page in read(data).pages:
        page.extract_text(visitor_text=keep)
    return squeezed("".join(parts))


def boxes(page, color):
    """(x, y, width, height) of every box that is filled with a colour; y from the bottom of the page."""
    wanted = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    fill, found, pending, kept = None, [], [], []
    for operands, operator in ContentStream(page.get_contents(), page.pdf).operations:
        name = operator.decode()
        if name == "q":
            kept.append(fill)
        elif name == "Q":
            fill = kept.pop()
        elif name in ("rg", "g"):
            values = [float(value) for value in operands]
            fill = values * 3 if name == "g" else values
        elif name == "re":
            pending.append(tuple(map(float, operands)))
        elif name in ("f", "F", "f*", "B"):
            if fill is not None and np.allclose(fill, wanted, atol=3e-3):
                found += pending
            pending = []
        elif name in ("S", "n"):
            pending = []
    return found


def images_of(data):
    """Every raster image of the document once: {object number: picture}."""
    return {image.indirect_reference.idnum: image.image for page in read(data).pages for image in page.images}


# ------------------------------------------------------------------------------------ as a document
def test_the_same_trials_give_the_same_bytes(trial):
    assert report(trial) == plain() != report(make_trial(shift=0.1))
    assert report([trial, trial]) == report([make_trial(), make_trial()])


def test_a_path_is_written_and_given_back(trial, tmp_path):
    path = report(trial, tmp_path / "a.pdf")
    assert path == tmp_path / "a.pdf" and path.read_bytes() == plain()
    assert trial.report(str(path), title="Other") == path
    assert read(path.read_bytes()).metadata.title == "Other"


def test_metadata_are_those_of_the_trial(trial, bare):
    document = read(plain())
    assert document.metadata.title == "Is there a star?"
    assert document.metadata.creation_date.isoformat() == "2026-01-01T00:00:00+00:00"
    assert document.root_object["/Lang"] == "en"
    assert document.root_object["/ViewerPreferences"]["/DisplayDocTitle"]
    late = dataclasses.replace(bare, created="2026-03-01T12:30:00.000+02:00")
    assert read(report([bare, late])).metadata.creation_date.isoformat() == "2026-03-01T10:30:00+00:00"
    undated = dataclasses.replace(bare, created="")
    assert report(undated) == report(undated)


def test_every_font_is_embedded_and_every_letter_can_be_copied(trial, monkeypatch):
    made = make_trial(question=f"{HEBREW} {ARABIC} Ελλάδα Россия")
    fonts = {}
    for data in (plain(), report([made, trial])):
        for page in read(data).pages:
            for font in page["/Resources"]["/Font"].values():
                font = font.get_object()
                assert "/ToUnicode" in font
                descriptor = font["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
                fonts[font["/BaseFont"]] = "/FontFile2" in descriptor or "/FontFile3" in descriptor
    assert len(fonts) >= 3 and all(fonts.values())
    assert all("+" in name for name in fonts)  # subsets


def test_charts_are_vectors_and_the_only_image_is_what_the_model_saw(trial):
    (image,) = images_of(plain()).values()
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), np.asarray(trial.stimulus.render()))
    other = dataclasses.replace(trial, stimulus=trial.stimulus.box(5, 5, 20, 20, color="red"))
    found = images_of(report([trial, other, make_trial()]))
    expected = {t.stimulus.render().tobytes() for t in (trial, other)}
    assert {image.convert("RGB").tobytes() for image in found.values()} == expected
    assert len(found) == 2  # the same picture is kept once, however often it is drawn


def test_a_large_image_is_reduced_and_the_page_says_so(bare):
    rng = np.random.default_rng(0)
    pixels = np.asarray(Image.fromarray(rng.integers(0, 255, (15, 20, 3), np.uint8)).resize((2000, 1500)))
    large = isi.Stimulus(pixels, "Is there?")
    data = report(dataclasses.replace(bare, stimulus=large))
    (image,) = images_of(data).values()
    assert image.size == (1600, 1200)
    near = np.asarray(large.render().resize((1600, 1200))).astype(int)
    assert abs(np.asarray(image.convert("RGB")).astype(int) - near).mean() < 3
    assert "2000×1500px.Onthispageitisreducedto1600×1200px" in body_of(data)
    assert open_report(data).stimulus == large  # every pixel is in the attached file


@pytest.mark.parametrize(("count", "least", "most"), [(1, 2, 3), (3, 7, 8), (20, 41, 45)])
def test_the_number_of_pages_is_sane(count, least, most):
    trials = [make_trial(context=f"Context {i}.") for i in range(count)]
    assert least <= len(read(report(trials)).pages) <= most


def test_sections_stand_in_the_outline(bare):
    document = read(report(Comparison((bare, bare), ("first", "second"))))
    assert [item["/Title"] for item in document.outline] == [
        "Comparison", "1  first", "2  second", "What the numbers mean"
    ]  # fmt: skip


# -------------------------------------------------------------------------------------------- content
def test_every_number_stands_there_with_its_name_unit_interval_and_definition():
    trial = make_trial(texts=("Yes.", "Yes.", "No.", "Maybe."), context="A star.")
    text = body_of(report(trial))
    for entropy in trial.view()["uncertainty"]["entropies"]:
        unit = entropy["unit"]
        assert squeezed(entropy["label"]) in text and squeezed(entropy["definition"]) in text
        number = f"{entropy['value']:.3f}[{entropy['low']:.3f},{entropy['high']:.3f}]{unit}"
        assert number in text
    for measure in GRAPH:
        value = trial.uncertainty.graph_measures[measure.name]
        assert f"{value:.3f}{measure.unit}" in text and squeezed(measure.definition) in text
    attention = trial.view()["attention"]
    for share in (*attention["absolute"].values(), *attention["relative"].values()):
        assert f"{share:.3f}" in text
    assert f"{attention['modality_dominance_index']:.3f}" in text and squeezed(ATTENTION_CAVEAT) in text
    for name, share in trial.yes_no.items():
        assert f"p({name})" in text and f"{share:.3f}" in text
    for name, made in settings_of(isi.Settings).items():
        assert squeezed(f"{name}{getattr(trial.settings, name)}{made.summary}") in text
    assert squeezed("measuresanswer, uncertainty, attention") in text
    for part in ("LLaVA-1.5", "float32", "Scenes only.", "python 3.11", "total 0.400", trial.stimulus.key):
        assert squeezed(part) in text
    assert "truthYes" in text and "\N{CHECK MARK}right" in text and "contextAstar." in text


def test_measures_of_the_graph_are_all_known_by_words():
    assert {measure.name: measure.unit for measure in GRAPH} == dict(WITHOUT_CLUSTERS)
    assert all(measure.definition.endswith(".") for measure in GRAPH)


def test_the_code_is_complete_however_long():
    contexts = {"complementary": "word " * 300, "irrelevant": "x" * 1200}
    observation = isi.Observation(np.zeros((9, 9, 3), np.uint8), "Is it?", answer="Yes", contexts=contexts)
    trial = dataclasses.replace(make_trial(), stimulus=observation.stimulus().with_context("own\n\ttext"))
    assert squeezed(trial.code()) in body_of(report(trial))


def test_a_token_has_its_probability_and_a_shade_of_it():
    answer = make_answer("Yes", math.log(0.9), math.log(0.25), -math.inf)
    data = report(make_trial().with_results(answer=answer))
    assert all(text in body_of(data) for text in ("t00.900", "t10.250", "t20.000", "3tokens"))
    assert "likeliestothertoken" not in body_of(data)
    first = boxes(read(data).pages[0], "#C2C2C2")  # 0.08 + 0.42 x 0.9 of #7A7A7A on white
    assert len(first) == 1


def test_a_token_has_its_likeliest_alternative_below():
    answer = dataclasses.replace(
        make_answer("Yes", -0.1, -0.2),
        alternatives=(((" No", math.log(0.25)), ("x", -9.0)), (("", math.log(0.125)),)),
    )
    text = body_of(report(make_trial().with_results(answer=answer)))
    assert "t00.905\N{OPEN BOX}No0.250" in text and "t10.819end0.125" in text


def test_the_curve_of_the_entropy_is_drawn_where_it_is_not_flat():
    trial = make_trial(texts=("a", "b", "c", "a", "d"))
    data, curve = report(trial), trial.view()["uncertainty"]["curve"]
    assert squeezed(curve["definition"]) in body_of(data)
    page = next(p for p in read(data).pages if "bynumberof" in squeezed(p.extract_text()))
    lines, points = [], []
    for operands, operator in ContentStream(page.get_contents(), page.pdf).operations:
        if operator in (b"m", b"l"):
            points = [] if operator == b"m" else points
            points.append(tuple(map(float, operands)))
        elif operator == b"S":
            lines.append(points)
    (mean,) = [line for line in lines if len(line) == len(curve["samples"])]
    heights = [38 * value / curve["scale"] for value in curve["mean"]]
    assert [y - mean[0][1] for _, y in mean] == pytest.approx([h - heights[0] for h in heights], abs=0.02)
    assert "bynumberof" not in body_of(report(make_trial(texts=("a",) * 2)))  # too few for a line


def test_answers_stand_in_their_clusters(trial):
    text = body_of(report(make_trial(texts=("Yes.", "Yes.", "No.", "Maybe."))))
    assert "Yes.2of42×Yes." in text and "No.1of41×No." in text


def test_a_trial_without_likelihoods_says_so(silent):
    text = body_of(report(silent))
    assert text.count("notavailable") == 3 and not re.search(r"\bnan\b", text_of(report(silent)).lower())
    assert "Themodeldoesnotreporttheprobabilitiesofitstokens." in text
    assert "Notavailable:attention.Aservershowsonlytext." in text


def test_what_was_not_run_is_left_out(bare):
    text = body_of(report(bare))
    for word in ("Uncertainty", "Clusters", "Attention", "tokenbytoken", "p(yes)"):
        assert word not in text
    assert "Isthereastar?" in text and len(read(report(bare)).pages) == 1


def test_a_model_that_is_quantised_says_what_is_not():
    model = {
        "name": "m/x",
        "quantization": "nf4",
        "not_quantized": ["vision_tower", "lm_head"],
        "compute_dtype": "bfloat16",
    }
    text = body_of(report(dataclasses.replace(make_trial(), model=model)))
    assert "quantisationnf4" in text and "notquantisedvision_tower,lm_head" in text
    assert "computesinbfloat16" in text


def test_long_texts_flow_over_pages_and_long_words_break():
    context = " ".join(f"word{i}" for i in range(1150))
    question = "Q" * 3000
    data = report(make_trial(context=context, question=question))
    text = body_of(data)
    assert len(context) > 10_000 - 1000 and squeezed(context) in text and question in text
    assert len(read(data).pages) <= 8


# ------------------------------------------------------------------------------------------- drawings
def test_attention_bars_have_their_lengths_and_colours(trial):
    data = plain()
    page = next(page for page in read(data).pages if "by layer" in page.extract_text())
    shares = trial.attention.absolute()
    for name in shares:
        color = SEGMENT_COLORS[name]
        found = boxes(page, color)
        bars = [
            box
            for box in found
            if box[3] == pytest.approx(-7, abs=0.01) or box[3] == pytest.approx(7, abs=0.01)
        ]
        assert [abs(width) for _, _, width, _ in bars] == pytest.approx([120 * shares[name]], abs=0.02)
        columns = [abs(box[3]) for box in found if box not in bars]
        layers = [66 * layer[name] for layer in trial.attention.per_layer()]
        assert sorted(columns) == pytest.approx(sorted(layers), abs=0.02)


def test_layers_are_counted_from_0_as_in_python(trial):
    page = next(page for page in read(plain()).pages if "by layer" in page.extract_text())
    below = page.extract_text().split("by layer")[1].split()
    assert below[: len(trial.attention.per_layer())] == ["0", "1", "2"]


def test_marks_are_where_a_trial_differs_from_the_first(trial):
    def marked(*trials):
        return boxes(read(report(trials)).pages[0], MARK)

    assert marked(trial, make_trial()) == []
    page = read(report([trial, trial.with_results(answer=make_answer("No.", -0.1))])).pages[0]
    (box,) = boxes(page, MARK)
    texts = {}
    page.extract_text(visitor_text=lambda text, _, matrix, *__: texts.setdefault(text.strip(), matrix))
    x, y = texts["No."][4], texts["No."][5]
    assert box[0] <= x <= box[0] + box[2] and min(box[1], box[1] + box[3]) <= y <= max(
        box[1], box[1] + box[3]
    )
    assert len(marked(trial, make_trial(context="Another one."))) == 1
    assert len(marked(trial, make_trial(shift=0.045))) == 2  # image and context, not the question


@cache
def _advances(name):
    face = next(face for face in pdf_fonts.shipped() if face.path.stem == name)
    font = TTFont(face.path)
    widths, cmap = font["hmtx"].metrics, font.getBestCmap()
    return lambda text: sum(widths[cmap[ord(c)]][0] for c in text) / font["head"].unitsPerEm


@pytest.mark.parametrize("kind", ["usual", "long", "several", "hostile", "many tokens"])
def test_nothing_leaves_the_paper(kind, hostile):
    word = "W" * 400
    trials = {
        "usual": make_trial(context="A star."),
        "long": make_trial((word, word, word + "x"), question=word, context=word * 10),
        "several": [make_trial((word, "b"), question=word), make_trial(context=word), make_trial()],
        "hostile": hostile,
        "many tokens": dataclasses.replace(
            make_trial(),
            results={
                "answer": dataclasses.replace(make_answer("x", *[-0.5] * 700), tokens=("W" * 60,) * 700)
            },
        ),
    }[kind]
    names = {
        "DejaVuSansBook": "DejaVuSans",
        "DejaVuSansBold": "DejaVuSans-Bold",
        "DejaVuSansMonoBook": "DejaVuSansMono",
    }
    seen = 0
    for page in read(report(trials)).pages:
        pieces = []
        page.extract_text(visitor_text=lambda *piece, pieces=pieces: pieces.append(piece))
        for text, _, matrix, font, size in pieces:
            text = text.strip("\n")
            if font is None or not text.strip() or not text.isascii() or "\n" in text:
                continue
            width = _advances(names[font["/BaseFont"].split("+")[1]])(text) * size
            assert matrix[4] >= MARGIN - 0.5 and matrix[4] + width <= 595.28 - MARGIN + 3, text
            assert 20 < matrix[5] < 842 - 30
            seen += 1
    assert seen > 50


# ------------------------------------------------------------------------------------------- writing
def words_with_places(data, wanted):
    found = {}

    def keep(text, _, matrix, *__):
        for word in wanted:
            if word in text:
                found.setdefault(word, matrix[4])

    for page in read(data).pages:
        page.extract_text(visitor_text=keep)
    return found


def test_right_to_left_is_shaped_ordered_and_set_to_the_right():
    import uharfbuzz as hb

    data = report(make_trial(question=ARABIC, context=HEBREW))
    text = text_of(data)
    for word in (*ARABIC.replace("؟", "").split(), *HEBREW.replace("?", "").split()):
        assert word in text
    # shaped: the glyphs of the page are those that HarfBuzz gives, not the letters' isolated forms
    path = next(face.path for face in pdf_fonts.shipped() if face.path.stem == "DejaVuSans")
    font = hb.Font(hb.Face(path.read_bytes()))
    buffer = hb.Buffer()
    buffer.add_str("نجمة")
    buffer.guess_segment_properties()
    hb.shape(font, buffer)
    shaped = {font.glyph_to_string(info.codepoint) for info in buffer.glyph_infos}
    isolated = {TTFont(path).getBestCmap()[ord(c)] for c in "نجمة"}
    assert shaped.isdisjoint(isolated - {"afii57449"})
    embedded = set()
    for page in read(data).pages[:1]:
        for item in page["/Resources"]["/Font"].values():
            descriptor = item.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"]
            if "Sans" in item.get_object()["/BaseFont"] and "Bold" not in item.get_object()["/BaseFont"]:
                program = descriptor.get_object()["/FontFile2"].get_object().get_data()
                embedded |= _outlines(TTFont(io.BytesIO(program)))
    reference = TTFont(path)
    assert {_outline(reference, name) for name in shaped} <= embedded


def _outline(font, name):
    from fontTools.pens.recordingPen import DecomposingRecordingPen

    glyphs = font.getGlyphSet()
    pen = DecomposingRecordingPen(glyphs)
    glyphs[name].draw(pen)
    return repr(pen.value)


def _outlines(font):
    return {_outline(font, name) for name in font.getGlyphOrder()}


def test_the_first_word_of_a_hebrew_line_is_its_rightmost():
    pages = read(report(make_trial(question=HEBREW, texts=("Yes.",)))).pages
    places = []
    pages[0].extract_text(
        visitor_text=lambda text, _, matrix, *__: places.append((matrix[4], text)) if "כוכב" in text else None
    )
    assert places and all(x > 250 for x, _ in places)  # in the right half: the block itself begins at 262


@pytest.fixture
def no_other_fonts(monkeypatch):
    monkeypatch.setattr(fonts, "installed", lambda: [])


def test_what_no_font_draws_is_said_on_its_page_and_only_there(no_other_fonts):
    with pytest.warns(UserWarning, match="No font of this computer draws 中文\U0001f680: .* apt install"):
        data = report([make_trial(question="中文 \U0001f680?"), make_trial()], title="Two trials")
    said = []
    for page in read(data).pages:
        text = squeezed(page.extract_text())
        assert ("\ufffd\ufffd" in text) == ("U+4E2D,U+6587,U+1F680.Theattachedfile" in text)
        said.append("standsforwhat" in text)
    assert said[0] and said[1] and not any(said[-2:])  # trial 2 quotes it as a difference
    plain = make_trial(question="Ελλάδα Россия ✓ é \u2192")
    assert "\ufffd" not in text_of(report(plain))
    many = text_of(report(make_trial(question="".join(map(chr, range(0x4E00, 0x4E20))))))
    assert "U+4E07 and 24 more" in many


def test_a_long_text_that_cannot_be_drawn_is_noted_on_each_of_its_pages(no_other_fonts):
    pages = read(report(make_trial(context="中文" * 6000))).pages
    for page in pages:
        text = squeezed(page.extract_text())
        assert ("\ufffd\ufffd" in text) == ("U+4E2D,U+6587.Theattachedfile" in text)
    assert sum("\ufffd" * 20 in squeezed(page.extract_text()) for page in pages) >= 2


@pytest.mark.parametrize("sign", ["-", " .", "\u0301"])
def test_thousands_of_signs_without_a_direction_are_no_trouble(sign):
    data = report(make_trial(context=sign * 2000, question=f"{HEBREW}{sign * 1500}"))
    assert squeezed(text_of(data)).count(sign.strip()) > 1000 or not sign.isprintable()


def test_a_font_of_the_computer_draws_what_the_shipped_ones_cannot(tmp_path, monkeypatch):
    path = make_font(tmp_path, {0x4E2D: "zhong"})
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(fonts, "installed", lambda: [tmp_path / "broken.ttf", path])
    data = report(make_trial(question="中 星"))
    assert "中 \ufffd" in text_of(data, slice(1)) and "U+661F." in squeezed(text_of(data, slice(1)))
    assert "U+4E2D" not in text_of(data)
    used = [font.get_object()["/BaseFont"] for font in read(data).pages[0]["/Resources"]["/Font"].values()]
    assert any("Made" in name for name in used)


# ------------------------------------------------------------------------------------------- security
def names_in(value, seen):
    """Every key and name of the document's objects."""
    if isinstance(value, pypdf.generic.IndirectObject):
        if (value.idnum, value.generation) in seen:
            return
        seen.add((value.idnum, value.generation))
        yield from names_in(value.get_object(), seen)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from names_in(item, seen)
    elif isinstance(value, list):
        for item in value:
            yield from names_in(item, seen)
    elif isinstance(value, pypdf.generic.NameObject):
        yield str(value)


def test_hostile_texts_are_only_ever_text(hostile):
    evil = HOSTILE + " {nb} **b** [l](https://x.y) __u__ (((\\ ) Tj /JS (x) \x00\x1b[31m"
    stimulus = dataclasses.replace(hostile.stimulus, question=evil)
    trial = dataclasses.replace(hostile, stimulus=stimulus, notes=(evil,), versions={evil: evil})
    data = report([trial, hostile], title=evil)
    text = squeezed(text_of(data))
    assert text.count(squeezed(HOSTILE)) > 8
    assert squeezed("{nb} **b** [l](https://x.y) __u__ (((\\ ) Tj /JS (x) \\x00\\x1b[31m") in text
    names = set(names_in(read(data).trailer, set()))
    assert names.isdisjoint({"/JavaScript", "/JS", "/URI", "/Launch", "/Annots", "/AA", "/AcroForm"})
    assert not isinstance(read(data).root_object["/OpenAction"], dict)  # where to begin, not what to do
    assert open_report(data) == [trial, hostile]


@settings(max_examples=8)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_comes_to_paper_and_back(question, answer):
    try:
        trial = make_trial(texts=(answer, "No."), question=question, context=answer)
    except InputError:  # an empty question is none
        return
    data = report(trial, title=answer)
    assert open_report(data) == trial
    for page in read(data).pages:
        page.extract_text()


@given(st.text(alphabet=st.characters(), max_size=80))
def test_clean_text_has_no_character_that_does_something(text):
    cleaned = pdf_fonts.clean(text)
    assert all(c == "\n" or (ord(c) >= 32 and not 127 <= ord(c) < 160) for c in cleaned)
    assert "\ufdd0" not in cleaned and "\ufffe" not in cleaned
    cleaned.encode()  # no lone surrogate


# --------------------------------------------------------------------------------------- and back again
def test_a_report_is_read_back(trial, silent, bare, hostile, tmp_path):
    assert open_report(plain()) == trial and open_report(report([silent])) == silent
    path = tmp_path / "several.pdf"
    several = [trial, silent, hostile] + [bare] * 9 + [make_trial(shift=0.1)]
    report(several, path)
    assert open_report(path) == open_report(str(path)) == open_report(path.read_bytes()) == several


def test_the_attached_file_is_plain_json(trial):
    import json

    attached = read(plain()).attachments
    assert list(attached) == ["trial.json"]
    assert isi.Trial.from_dict(json.loads(attached["trial.json"][0])) == trial


def test_attachments_larger_than_what_the_reader_takes_by_itself_are_read(trial):
    data = plain()
    with pypdf.apply_configuration(zlib_maximum_output_length=100):
        with pytest.raises(pypdf.errors.LimitReachedError):
            read(data).attachments["trial.json"]
        assert open_report(data) == trial


def _blank():
    writer, buffer = pypdf.PdfWriter(), io.BytesIO()
    writer.add_blank_page(100, 100)
    writer.add_attachment("other.json", b"{}")
    writer.write(buffer)
    return buffer.getvalue()


def _attached(content):
    writer, buffer = pypdf.PdfWriter(), io.BytesIO()
    writer.add_blank_page(100, 100)
    writer.add_attachment("trial.json", content)
    writer.write(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: open_report(b"hello"), "These bytes are neither a PDF nor HTML"),
        (lambda: open_report("/nowhere/x.pdf"), "/nowhere/x.pdf cannot be read: No such file"),
        (lambda: open_report(3), "takes a path or the bytes of a report; got int"),
        (lambda: open_report(_blank()), "a PDF without trials inside"),
        (lambda: open_report(_attached(b"{")), "trial.json inside it is no JSON"),
        (lambda: open_report(_attached(b"[]")), "must be a dict"),
        (lambda: open_report(b"%PDF-1.4 and then nothing"), "damaged PDF"),
        (lambda: report([]), "at least one, a probe or a study; got an empty list"),
        (lambda: report("trial"), "not of the path .trial.: isi.open_probe"),
        (lambda: report([make_trial(), 3]), "got int"),
        (lambda: report(None), "got NoneType"),
        (lambda: report(make_trial(), "/nowhere/at/all.pdf"), "cannot be written to /nowhere/at/all.pdf"),
        (lambda: report(make_trial(), title=3), "title of a report must be a text"),
    ],
)
def test_bad_input_is_one_clear_error(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("at", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_damaged_report_is_an_error_or_still_right(trial, at):
    data = plain()
    cut = int(len(data) * at)
    for broken in (data[:cut], data[:cut] + b"\x00" * 200 + data[cut + 200 :]):
        with contextlib.suppress(InputError):
            assert open_report(broken) == trial


def test_the_package_is_called_and_nothing_is_imported_before():
    code = (
        "import sys, isi_widget as isi; assert not {'fpdf', 'pypdf', 'matplotlib'} & set(sys.modules)\n"
        "import isi_widget.report.html\n"
        "assert callable(isi.report) and isi.report.html is isi_widget.report.html\n"
        "try: isi.report([])\n"
        "except isi.InputError: print('asked')"
    ).replace("import sys, isi_widget as isi", "import sys, isi_widget, isi_widget as isi")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "asked"


def test_definitions_of_several_trials_stand_once():
    data = report([make_trial(), make_trial(context="x"), make_trial(context="y")])
    text = body_of(data)
    definitions = Counter(squeezed(measure.definition) for measure in (*ENTROPIES, *GRAPH))
    assert {definition: text.count(definition) for definition in definitions} == definitions
    assert text.count("Samesettingsandseed") == 1 and text.count("prepend_question") == 1
    mixed = report([make_trial(), make_silent_trial()])  # the same model, other settings
    assert body_of(mixed).count(squeezed("prepend_questionTrue")) == 2
