"""The HTML report: one safe file without network and script, complete beside the PDF, and read back equal."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from made_fonts import make_font
from made_trials import HOSTILE, make_answer, make_silent_trial, make_trial

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.report import embedding, fonts
from isi_widget.report.carried import find
from isi_widget.report.differences import differences
from isi_widget.report.making import report, report_session
from isi_widget.setting import settings_of
from isi_widget.study.compare import Comparison

VOID = {"meta", "img", "br", "path", "rect"}
BLOCKS = {"h1", "h2", "h3", "p", "li", "td", "th", "div", "dt", "dd", "pre", "figcaption", "section"}
ALLOWED = {
    *VOID, *BLOCKS, "html", "head", "title", "style", "body", "header", "nav", "ol", "ul", "a", "bdi", "main",
    "footer", "table", "thead", "tbody", "tr", "span", "b", "strong", "mark", "small", "figure", "dl", "code",
    "svg", "text",
}  # fmt: skip


class Reader(HTMLParser):
    """Texts, elements and addresses of a page; every element must be closed in order."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self.keys: list[str] = []
        self.tags: set[str] = set()
        self.feed(page.decode())
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag in BLOCKS:
            self.texts.append(" ")
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            assert not name.startswith("on"), name
            if name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
                self.addresses.append(value)
            if name == "id":
                self.keys.append(value)
            if name == "style":
                assert "url(" not in value and "expression" not in value

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def checked(page):
    """Read a page that must be safe."""
    found = Reader(page)
    assert found.tags <= ALLOWED, found.tags - ALLOWED
    kinds = ("data:image/jpeg;base64,", "data:image/png;base64,", "data:application/gzip;base64,", "#")
    assert all(address.startswith(kinds) for address in found.addresses)
    inner = {address[1:] for address in found.addresses if address.startswith("#")}
    assert inner <= set(found.keys) and len(set(found.keys)) == len(found.keys)
    rest = page.decode().replace("http://www.w3.org/2000/svg", "")
    assert "http:" not in rest and "https:" not in rest and "@import" not in rest
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page.decode())[1]
    assert "default-src &#x27;none&#x27;" in policy and "script" not in policy
    return found


def session(count=3):
    """Trials of two observations."""
    first = make_trial()
    boxed = dataclasses.replace(first, stimulus=first.stimulus.box(5, 5, 20, 20))
    other = make_trial(("No.", "No.", "No."), question="Is there a moon?", shift=0.1)
    return dict(enumerate([first, boxed, other, make_trial(("Maybe.",))][:count], 1))


# ------------------------------------------------------------------------------------------ as a document
def test_a_page_is_one_safe_file_in_one_language_with_a_title(trial, tmp_path):
    path = report(trial, tmp_path / "a.html")
    assert path == tmp_path / "a.html"
    page = path.read_bytes()
    text = checked(page).text
    assert page.startswith(b"<!DOCTYPE html>") and b'<html lang="en">' in page
    assert b"<title>Is there a star?</title>" in page
    assert page == report(trial, format="html") == trial.report(format="html")
    assert "Is there a star?" in text and "2026-01-01" in text


@pytest.mark.parametrize("ending", ["html", "htm", "HTML"])
def test_the_ending_decides(trial, tmp_path, ending):
    assert report(trial, tmp_path / f"a.{ending}").read_bytes().startswith(b"<!DOCTYPE html>")
    assert report(trial, tmp_path / "a").read_bytes().startswith(b"%PDF-")


def test_wrong_endings_formats_and_titles_are_refused(trial, tmp_path):
    with pytest.raises(InputError, match=r"\.pdf or \.html"):
        report(trial, tmp_path / "a.docx")
    with pytest.raises(InputError, match="named as pdf"):
        report(trial, tmp_path / "a.pdf", format="html")
    with pytest.raises(InputError, match="format is 'odt'"):
        report(trial, format="odt")
    with pytest.raises(InputError, match="title of a report"):
        report(trial, title=3)
    with pytest.raises(InputError, match="cannot be written"):
        report(trial, tmp_path / "missing" / "a.html")


def test_hostile_texts_stay_texts_and_nothing_is_lost(hostile):
    for page in (
        report(hostile, format="html"),
        report(Comparison((hostile, make_trial()), (HOSTILE, "b")), format="html", title=HOSTILE),
        report_session({1: hostile, 2: hostile}, format="html", notes={1: HOSTILE}, pinned=[2]),
    ):
        found = checked(page)
        assert HOSTILE in found.text and b"<script" not in page.lower()


def test_control_characters_and_lone_surrogates_are_shown_as_in_python():
    page = report(make_trial(question="a\x00b\x1b[31m\ud800\ufffe\u202eabc"), format="html")
    assert "a\\x00b\\x1b[31m\ufffd\ufffd\u202eabc" in checked(page).text


def test_the_page_has_whatever_the_pdf_has(trial):
    text = checked(report(trial, format="html")).text
    view = trial.view(details=True)
    for name, value, words in view["settings_in_words"]:
        assert name in text and value in text and words in text
    assert set(settings_of(isi.Settings)) <= {name for name, *_ in view["settings_in_words"]}
    uncertainty, attention = view["uncertainty"], view["attention"]
    expected = [
        *(entropy["label"] for entropy in uncertainty["entropies"]),
        *(f"{entropy['value']:.3f}" for entropy in uncertainty["entropies"]),
        *(" ".join(entropy["definition"].split()) for entropy in uncertainty["entropies"]),
        *(term["label"] for term in uncertainty["graph"]),
        *(term["text"].strip() for term in uncertainty["graph"]),
        uncertainty["curve"]["definition"],
        uncertainty["order"]["text"],
        *uncertainty["caveats"],
        *(f"{attention['absolute'][name]:.3f}" for name in attention["segments"]),
        f"{attention['modality_dominance_index']:.3f}",
        attention["definition"],
        view["answer"]["scope"],
        *(f"p({name}) {share:.3f}" for name, share in view["answer"]["yes_no"].items()),
        trial.stimulus.key,
        trial.created,
        "python 3.11",
        "Scenes only.",
    ]
    for one in expected:
        assert " ".join(one.split()) in text, one
    code = view["code"]
    assert " ".join(code.split()) in text


def test_a_trial_of_nothing_and_a_silent_one_have_pages(bare):
    assert "No answer was asked" in checked(report(bare, format="html")).text
    text = checked(report(make_silent_trial(), format="html")).text
    assert "nan" not in text.lower().replace("nance", "") and "Not available: attention" in text


def test_tokens_show_their_probability_and_the_likeliest_other(trial):
    answer = dataclasses.replace(
        make_answer("Yes.", -0.1), alternatives=((("\u2581No", -2.5), ("a", -4.0)),), tokens=(" Yes",)
    )
    text = checked(report(trial.with_results(answer=answer), format="html")).text
    assert "␣Yes" in text and f"{np.exp(-0.1):.3f}" in text and f"{np.exp(-2.5):.3f}" in text


def test_a_large_picture_is_light_on_the_page_and_whole_inside(trial):
    rng = np.random.default_rng(0)
    noisy = trial.stimulus.with_image(rng.integers(0, 256, (1200, 1500, 3), dtype=np.uint8))
    large = dataclasses.replace(trial, stimulus=noisy)
    page = report(large, format="html")
    assert "On this page a JPEG of 900 × 720 px" in checked(page).text
    assert isi.open_report(page) == large


# ------------------------------------------------------------------------------------------ a session
def test_a_session_has_every_trial_with_note_pin_data_and_a_list_of_contents():
    trials = session()
    page = report_session(trials, format="html", notes={2: "the box\nmatters"}, pinned=[2])
    found = checked(page)
    assert {f"trial-{number}" for number in trials} <= set(found.keys)
    assert {"group-1", "group-2", "data", "definitions"} <= set(found.keys)
    for expected in ("the box matters", "pinned", "Is there a star?", "Is there a moon?", "true answer Yes"):
        assert expected in found.text
    contents = page.decode().split("<nav")[1].split("</nav>")[0]
    assert re.findall(r'href="#([^"]+)"', contents) == [
        "group-1", "trial-1", "trial-2", "group-2", "trial-3", "data", "settings", "definitions",
    ]  # fmt: skip
    assert f"SHA-256 {trials[1].stimulus.image.sha256[:16]}" in found.text


def test_each_trial_is_compared_with_the_baseline_of_its_observation():
    trials = session(4)
    text = checked(report_session(trials, format="html", baseline=2)).text
    assert "compared with trial 2 (box)" in text and "compared with trial 3 (original" in text
    assert text.count("Differences from trial 2") == 2 and "Differences from trial 1" not in text
    assert "The input is unchanged; that of the baseline has 1." in text
    assert "The answer is “Maybe.”" in text
    with pytest.raises(InputError, match="The baseline is trial 9"):
        report_session(trials, baseline=9)
    with pytest.raises(InputError, match="no trial to report"):
        report_session({})


def test_the_pdf_of_a_session_has_the_same(tmp_path):
    import pypdf

    path = report_session(
        session(), tmp_path / "a.pdf", notes={2: "the box matters"}, pinned=[2], title="My session"
    )
    text = "".join("".join(page.extract_text().split()) for page in pypdf.PdfReader(path).pages)
    for expected in (
        "theboxmatters",
        "pinned",
        "Istherea moon?",
        "SHA-256",
        "Differencesfromtrial1",
        "Mysession",
    ):
        assert expected.replace(" ", "") in text
    assert list(isi.open_report(path)) == list(session().values())


def test_differences_follow_the_rules_of_the_marks():
    base = make_trial()
    assert differences(base.view(), base.view()) == [
        "No difference that is marked: neither in the input nor in the results."
    ]
    other = make_trial(("No.", "No.", "No.", "No."), context="A star.", shift=0.2)
    lines = " ".join(differences(other.view(), base.view()))
    assert "The context is “A star.”, not (empty)." in lines
    assert "The answer is “No.” (wrong), not “Yes.” (right)." in lines
    assert "Attention on image, of the inputs, is 0.250, not 0.500 (-0.250)." in lines
    assert "Attention on question" not in lines and "p(yes)" not in lines


# ------------------------------------------------------------------------------------------ read back
def test_a_page_is_read_back_equal(trial, hostile, tmp_path):
    assert isi.open_report(report(trial, tmp_path / "a.html")) == trial
    several = [trial, hostile, make_silent_trial()]
    back = isi.open_report(report(several, format="html"))
    assert back == several and all(one.received for one in back)
    assert isi.open_report(report([trial], format="html")) == trial
    assert isi.open_report(str(report_session({7: trial, 9: hostile}, tmp_path / "b.html"))) == [
        trial,
        hostile,
    ]


def test_shared_pictures_are_inside_once(trial):
    rng = np.random.default_rng(0)
    shown = trial.stimulus.with_image(rng.integers(0, 256, (100, 100, 3), dtype=np.uint8))
    trials = [dataclasses.replace(trial, stimulus=shown.noise(0.1, seed=seed)) for seed in range(6)]
    one, six = (find(report(of, format="html"), 10**9)[0] for of in (trials[0], trials))
    assert len(six) < 1.2 * len(one)
    assert isi.open_report(report(trials, format="html")) == trials


def test_damaged_pages_are_refused(trial):
    page = report(trial, format="html")
    start = page.index(b"gzip;base64,") + len(b"gzip;base64,")
    end = page.index(b'"', start)

    def holding(content):
        data = base64.b64encode(gzip.compress(content)).decode().encode()
        return page[:start] + data + page[end:]

    for wrong, match in (
        (page.replace(b"data-isi-trials", b"data-isi-other"), "without trials inside"),
        (page[:start] + page[start + 8 : end] + page[end:], "damaged"),
        (page[:start] + page[start : end - 40] + page[end:], "damaged"),
        (holding(b"[]"), "different version"),
        (holding(b'{"schema":2,"single":true,"pictures":{}}\n{}'), "different version"),
        (holding(b'{"schema":1,"single":true}\n{}'), "pictures are missing"),
        (holding(b'{"schema":1,"single":true,"pictures":{}}'), "trials are missing"),
        (holding(b'{"schema":1,"single":true,"pictures":{}}\n{"trial":7}'), "damaged"),
        (holding(b'{"schema":1,"single":true,"pictures":{}}\n' + b"\n".join([b"{}"] * 1001)), "at most 1000"),
        (b"<html>nothing</html>", "without trials inside"),
        (b"text", "neither a PDF nor HTML"),
    ):
        with pytest.raises(InputError, match=match):
            isi.open_report(wrong)


def test_a_bomb_inside_is_not_unpacked(trial, monkeypatch):
    from isi_widget.trial import reports

    page = report(trial, format="html")
    monkeypatch.setattr(reports, "_LARGEST", 1000)
    with pytest.raises(InputError, match="MB of trials inside"):
        isi.open_report(page)


# ------------------------------------------------------------------------------------------ fonts
def letters_of(page):
    """Code points of each font inside the page."""
    data = re.findall(r"font/woff;base64,([A-Za-z0-9+/=]+)", page.decode())
    return [set(TTFont(io.BytesIO(base64.b64decode(one))).getBestCmap()) for one in data]


def test_letters_beyond_latin_are_in_the_file_and_others_are_not():
    assert letters_of(report(make_trial(question="Ist da ein Stern? É"), format="html"))[1:] == []
    (found,) = letters_of(report(make_trial(question="Ελλάδα האם هل Россия"), format="html"))
    assert {ord(c) for c in "Ελλάδα האם هل Россия" if c != " "} <= found and ord("S") not in found


def test_letters_that_matplotlib_lacks_come_from_the_fonts_of_the_computer(tmp_path, monkeypatch):
    path = make_font(tmp_path, {0x4E2D: "a", 0x6587: "b"})
    monkeypatch.setattr(fonts, "installed", lambda: [path])
    page = report(make_trial(question="\u4e2d\u6587?"), format="html")
    assert {0x4E2D, 0x6587} in letters_of(page)
    assert b"isi-embedded-2" in page
    assert "\u4e2d\u6587?" in checked(page).text


def test_letters_that_no_font_draws_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(fonts, "installed", lambda: [])
    assert "\u4e2d" in checked(report(make_trial(question="\u4e2d"), format="html")).text
    assert embedding.faces(["\u4e2d"]) == ""
