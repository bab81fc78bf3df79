"""Servers that nearly speak the protocol: reasoning, other words for the end, bad replies among good ones."""

from __future__ import annotations

import json
import math

import pytest
from scripted_server import END, GOOD, SAID, SHOWN, WHOLE, quiet, sends, streams

from isi_widget import datasets
from isi_widget.answer import Answer
from isi_widget.errors import InputError
from isi_widget.trial import Trial, measure_uncertainty, run_trial
from isi_widget.vlm.remote import BadReply, ContentFiltered, ServerFailed, connect
from isi_widget.vlm.remote.reasoning import Speech, split_reasoning
from isi_widget.vlm.remote.replies import Piece, Reply

pytest.importorskip("openai", reason="the openai client is not installed (pip install 'isi-widget[remote]')")


both = pytest.mark.parametrize("stream", [True, False])


def says(finish="stop", **parts):
    """One reply, streamed or whole, with the same parts of a message for each of the answers asked for."""

    def act(handler, body):
        answers = range(body.get("n", 1))
        if not body["stream"]:
            message = {key: "".join(value) for key, value in parts.items()}
            choices = [{"index": i, "message": message, "finish_reason": finish} for i in answers]
            return handler.reply(200, {"choices": choices})
        handler.begin_stream()
        for i in answers:
            for key, values in parts.items():
                for value in values:
                    handler.chunk({"index": i, "delta": {key: value}, "finish_reason": None})
            handler.chunk({"index": i, "delta": {}, "finish_reason": finish})
        handler.end_stream()

    return act


# Reasoning ------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_only_reasoning_is_no_answer(script, url, field, stream):
    script.broken = [says("length", **{field: ["Let me ", "look."]})]
    told = []
    answer = quiet(url, stream=stream).answer(SHOWN, on_token=lambda *event: told.append(event))
    assert (answer.text, answer.reasoning, answer.finished) == ("", "Let me look.", False)
    assert (answer.tokens, told) == ((), [])
    assert answer.missing == "Only reasoning came, and no answer; raise max_new_tokens."


@both
def test_a_trial_of_reasoning_alone_is_not_judged_and_has_no_entropy(script, url, stream):
    script.broken = [says("length", reasoning=["Hm"])] * 30
    trial = run_trial(quiet(url, stream=stream), datasets.scenes()[3].stimulus(), samples=3)
    assert trial.stimulus.truth is not None
    assert (trial.correct, trial.uncertainty, trial.yes_no) == (None, None, None)
    assert any("not judged" in note and "raise max_new_tokens" in note for note in trial.notes)
    assert any("uncertainty was not measured" in note for note in trial.notes)
    again = Trial.from_dict(json.loads(json.dumps(trial.to_dict(), allow_nan=False)))
    assert again == trial
    assert again.answer.reasoning == "Hm"
    assert "Hm" in trial._repr_html_()


def test_uncertainty_of_reasoning_alone_is_refused(script, url):
    script.broken = [says("length", reasoning=["Hm"])] * 30
    with pytest.raises(InputError, match=r"Only reasoning came.*raise max_new_tokens"):
        measure_uncertainty(quiet(url), datasets.scenes()[3].stimulus(), samples=3)


def test_samples_without_an_answer_are_left_out_with_a_note(script, url):
    script.takes_n = False
    script.logprobs = False
    vlm = connect(url, "seer", fields={"n": None}, concurrency=1)
    thinks, answers = says("length", reasoning=["Hm"]), says(reasoning=["Hm"], content=["Yes"])
    script.broken = [answers, answers, thinks, answers, thinks]  # the shown answer, then four samples
    trial = run_trial(vlm, datasets.scenes()[3].stimulus(), samples=4, measures=("answer", "uncertainty"))
    assert [answer.text for answer in trial.uncertainty.answers] == ["Yes", "Yes"]
    assert any("samples hold no answer and are left out" in note for note in trial.notes)


@both
def test_reasoning_in_a_field_of_its_own_is_kept_beside_the_answer(script, url, stream):
    script.broken = [says(reasoning=["I see ", "a star."], content=["No"])]
    told = []
    answer = quiet(url, stream=stream).answer(SHOWN, on_token=lambda *event: told.append(event[1]))
    assert (answer.text, answer.reasoning, answer.missing) == ("No", "I see a star.", "")
    assert "".join(told) == "No"


@pytest.mark.parametrize(
    ("field", "thought"),
    [
        ("reasoning_details", [{"type": "reasoning.text", "text": "Let me "}, {"text": "look."}]),
        ("reasoning", {"content": "Let me look."}),
        ("thinking", ["Let me ", "look."]),
        ("thought", "Let me look."),
    ],
)
def test_reasoning_in_parts_or_objects_is_reasoning(script, url, field, thought):
    delta = {"choices": [{"index": 0, "delta": {field: thought}, "finish_reason": None}]}
    cut = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
    script.broken = [streams(*(f"data: {json.dumps(part)}\n\n" for part in (delta, cut)))]
    answer = quiet(url).answer(SHOWN)
    assert (answer.text, answer.reasoning) == ("", "Let me look.")
    assert answer.missing == "Only reasoning came, and no answer; raise max_new_tokens."


TAGGED = {
    "<think>I see.</think>\n\nNo": ("No", "I see."),
    "<think>\nI see.\n</think>No": ("No", "I see."),
    "I see.</think>\n\nNo": ("No", "I see."),  # the template has written the opening tag
    "<thinking>a</thinking><answer>No</answer>": ("No", "a"),
    "<REASONING>a</REASONING> No": ("No", "a"),
    "<thought>a</thought>No": ("No", "a"),
    "[THINK]a[/THINK]No": ("No", "a"),
    "\u25c1think\u25b7a\u25c1/think\u25b7No": ("No", "a"),
    "<seed:think>a</seed:think>No": ("No", "a"),
    "<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>No<|end_of_solution|>": ("No", "a"),
    "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>No": ("No", "a"),
    "<think>a</think>No<think>b</think>": ("No", "a\nb"),
    "<think>never ends": ("", "never ends"),
    "<think></think>\n\nNo": ("No", ""),
    "<answer>No</answer>": ("No", ""),
    "No": ("No", ""),
    "a < b": ("a < b", ""),
    "<b>No</b>": ("<b>No</b>", ""),
    "": ("", ""),
}


@pytest.mark.parametrize("text", TAGGED)
def test_reasoning_in_the_text_is_told_apart(text):
    found = split_reasoning(text)
    assert (found.answer, found.reasoning) == TAGGED[text]
    assert "\n".join(text[a:b] for a, b in found.spans).strip() == found.answer


@pytest.mark.parametrize("text", [t for t in TAGGED if not t.startswith("I see.</think>")])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_is_shown_while_it_comes_is_never_reasoning(text, size):
    speech = Speech()
    shown = "".join(speech.feed(text[at : at + size]) for at in range(0, len(text), size))
    answer, reasoning = TAGGED[text]
    assert answer in shown or shown.strip() == answer
    for thought in reasoning.split("\n")[:1]:
        assert len(thought) < 2 or thought not in shown


@both
@pytest.mark.parametrize("cut", [1, 4, 100])
def test_reasoning_in_the_content_is_neither_judged_nor_clustered(script, url, stream, cut):
    text = "<think>Yes, there is a star. No...</think>\n\nNo"
    chunks = [text[at : at + cut] for at in range(0, len(text), cut)]
    script.broken = [says(content=chunks)] * 10
    trial = run_trial(
        quiet(url, stream=stream),
        datasets.scenes()[3].stimulus(),
        samples=3,
        measures=("answer", "uncertainty"),
    )
    assert trial.answer.text == "No"
    assert trial.answer.reasoning == "Yes, there is a star. No..."
    assert {answer.text for answer in trial.uncertainty.answers} == {"No"}
    assert any("reasoned before it answered" in note for note in trial.notes)
    assert not any("there is a star" in note for note in trial.notes), "notes are gathered over many trials"


@both
def test_likelihoods_are_those_of_the_answer_alone(script, url, stream):
    script.said = (
        ("<think>", -1.0),
        ("Hm", -2.0),
        ("</think>", -3.0),
        ("\n\n", -0.1),
        ("No", -0.5),
        (".", -0.25),
    )
    answer = quiet(url, stream=stream).answer(SHOWN)
    assert (answer.text, answer.tokens, answer.logprobs) == ("No.", ("No", "."), (-0.5, -0.25))


def test_likelihoods_are_not_told_where_a_token_is_half_tag_half_answer(script, url):
    script.said = (("<think>", -1.0), ("Hm</think>N", -2.0), ("o", -3.0))
    answer = quiet(url).answer(SHOWN)
    assert (answer.text, answer.tokens) == ("No", ("No",))
    assert math.isnan(answer.logprobs[0])


def test_content_as_a_list_of_parts(script, url):
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
        {"type": "text", "text": "No"},
    ]
    script.broken = [sends({"choices": [{**WHOLE, "message": {"content": parts}}]})]
    answer = quiet(url, stream=False).answer(SHOWN)
    assert (answer.text, answer.reasoning) == ("No", "Hm")


@pytest.mark.parametrize("part", [{"reasoning": "Hm"}, {"content": "<think>"}])
def test_the_first_token_of_reasoning_is_neither_yes_nor_no(script, url, part):
    script.broken = [
        streams(
            f"data: {json.dumps({'choices': [{'index': 0, 'delta': part}]})}\n\n",
            END.replace("stop", "length"),
        )
    ] * 2
    vlm = connect(url, "seer")
    assert "reasons before it answers" in vlm.unavailable["yes_no"]
    asked = len(script.bodies)
    with pytest.raises(InputError, match="yes_no is not available"):
        vlm.yes_no(SHOWN)
    assert len(script.bodies) == asked


def test_an_empty_answer_that_the_model_ended_is_an_answer():
    assert Answer("", (), (), ()).missing == ""
    assert "raise max_new_tokens" in Answer("", (), (), (), finished=False).missing
    assert Answer("", (), (), (), reasoning="Hm").missing == "Only reasoning came, and no answer."


# How it ended ---------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("word", ["eos", "end_turn", "STOP", "", "stop_sequence", "End-Turn", "COMPLETE"])
def test_other_words_for_stop(script, url, word, stream):
    script.finish = word
    vlm = quiet(url, stream=stream)
    assert [a.text for a in vlm.sample(SHOWN, 3)] == ["Yes, it is"] * 3
    assert vlm.answer(SHOWN).finished is True
    assert vlm.take_remarks() == ()


@pytest.mark.parametrize("word", ["MAX_TOKENS", "max_tokens", "model_length"])
def test_other_words_for_a_cut(script, url, word):
    script.finish = word
    assert quiet(url).answer(SHOWN).finished is False


@both
def test_an_unknown_word_is_read_as_a_stop_with_a_note(script, url, stream):
    script.finish = "finito"
    vlm = quiet(url, stream=stream)
    trial = run_trial(vlm, datasets.scenes()[3].stimulus(), measures=("answer",))
    assert trial.answer.finished is True
    assert any("'finito'" in note and "read as a stop" in note for note in trial.notes)
    script.finish = "stop"
    later = run_trial(vlm, datasets.scenes()[3].stimulus(), measures=("answer",))
    assert not any("finito" in note for note in later.notes), "a note belongs to its own trial"


def test_an_empty_reason_in_every_chunk_does_not_end_the_answer(script, url):
    empty = '"finish_reason": ""'
    chunk = 'data: {"choices": [{"index": 0, "delta": {"content": "%s"}, ' + empty + "}]}\n\n"
    script.broken = [streams(chunk % "Ye", chunk % "s", END), streams(chunk % "Ye", chunk % "s")]
    assert [quiet(url).answer(SHOWN).text for _ in range(2)] == ["Yes", "Yes"]


@pytest.mark.parametrize("word", ["SAFETY", "content-filter", "refusal"])
def test_other_words_for_a_filter(script, url, word):
    script.finish = word
    with pytest.raises(ContentFiltered):
        quiet(url).sample(SHOWN, 3)


@pytest.mark.parametrize("last", ['{"choices": null, "usage": {}}', '{"usage": {}}', '{"choices": []}'])
def test_a_last_chunk_without_choices(script, url, last):
    script.broken = [streams(GOOD, END, f"data: {last}\n\n", "data: [DONE]\n\n")]
    assert quiet(url).answer(SHOWN).text == "Ye"


# One bad reply --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [sends(b'{"choices": ['), streams(GOOD, "data: [DONE]\n\n"), streams(GOOD, END.replace("stop", "error"))],
)
@pytest.mark.parametrize("place", [0, 3])
def test_one_bad_reply_costs_one_sample(script, url, bad, place):
    script.broken = [None] * place + [bad]
    vlm, ended = quiet(url, fields={"n": None}, concurrency=1), []
    with pytest.warns(UserWarning, match="Only 5 of 6 answers came"):
        answers = vlm.sample(SHOWN, 6, on_answer=lambda row, answer: ended.append(row))
    assert [answer.text for answer in answers] == ["Yes, it is"] * 5
    assert ended == [row for row in range(6) if row != place]
    assert any("Only 5 of 6" in remark for remark in vlm.take_remarks())


def test_a_bad_chunk_among_many_answers_of_one_request_costs_none(script, url):
    first = GOOD.replace('"Ye"', '"Yes"').replace("}]}", ', "finish_reason": "stop"}]}')
    script.broken = [streams(first, 'data: {"choices": [\n\n')]
    answers = quiet(url).sample(SHOWN, 4)
    assert [answer.text for answer in answers] == ["Yes", *["Yes, it is"] * 3]
    assert [body.get("n", 1) for body in script.bodies] == [4, 1, 1, 1]


def test_a_server_that_only_sends_bad_replies_is_not_asked_for_ever(script, url):
    script.broken = [sends(b'{"choices": [')] * 100
    with pytest.raises(BadReply, match="broken JSON"):
        quiet(url, fields={"n": None}, concurrency=1, stream=False).sample(SHOWN, 50)
    assert len(script.bodies) < 6


def test_a_server_that_fails_is_an_error_also_after_good_samples(script, url):
    script.broken = [None, None, *[lambda handler, body: handler.error(501, "no")] * 9]
    with pytest.raises(ServerFailed):
        quiet(url, fields={"n": None}, concurrency=1).sample(SHOWN, 6)


def test_text_after_the_end_takes_the_answer_back(script, url):
    script.broken = [streams(GOOD, END, GOOD)]
    with pytest.warns(UserWarning, match="Only 2 of 3"):
        answers = quiet(url, fields={"n": None}, concurrency=1).sample(SHOWN, 3)
    assert [answer.text for answer in answers] == ["Yes, it is"] * 2


# Half characters ------------------------------------------------------------------------------------------


def test_halves_of_a_character_in_two_chunks_are_joined(script, url):
    half = 'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n'
    script.broken = [streams(half % "A \\ud83d", half % "\\ude00!", END)]
    told = []
    answer = quiet(url).answer(SHOWN, on_token=lambda *event: told.append(event[1]))
    assert answer.text == "A \U0001f600!"
    assert "".join(told) == "".join(answer.tokens) == "A \U0001f600!"


@both
@pytest.mark.parametrize("name", ["content", "reasoning"])
def test_lone_halves_are_replaced_wherever_they_come(script, url, stream, name):
    parts = {"content": ["Yes"], name: ["Yes \ud83d", " \ude00"]}
    script.broken = [says(**parts)] * 3
    trial = run_trial(quiet(url, stream=stream), datasets.scenes()[3].stimulus(), measures=("answer",))
    stored = json.dumps(trial.to_dict(), ensure_ascii=False).encode()
    assert "\ufffd".encode() in stored
    assert trial.report().startswith(b"%PDF")
    trial._repr_html_().encode()
    json.dumps(trial.view(), ensure_ascii=False).encode()


def test_a_half_at_the_end_and_in_tokens():
    reply = Reply()
    reply.add(Piece(0, "a\ud83d", None, None))
    reply.add(Piece(0, "", None, "stop"))
    assert reply.answer().text == "a\ufffd"


@pytest.mark.parametrize("text", ["half \ud83d", "\ude00 half", "\ud83d\ude00"])
def test_a_question_with_halves_reaches_the_server(script, url, text):
    class Odd:
        current_question, current_context, key = text, text, text

        def render(self):
            return SHOWN.render()

    assert quiet(url).answer(Odd()).text == "Yes, it is"
    sent = script.bodies[-1]["messages"][0]["content"][1]["text"]
    sent.encode()
    assert ("\U0001f600" in sent) == ("\ud83d\ude00" in text)


def test_an_error_with_halves_can_be_shown(script, url):
    script.broken = [lambda handler, body: handler.reply(400, b'{"error": {"message": "no \\ud83d"}}')] * 2
    with pytest.raises(InputError) as caught:
        quiet(url).answer(SHOWN)
    assert "no \ufffd" in str(caught.value).encode().decode()


def test_the_default_answer_is_untouched(url):
    assert quiet(url).answer(SHOWN).tokens == tuple(text for text, _ in SAID)


# Other dialects -------------------------------------------------------------------------------------------


def no(**choice):
    return json.dumps({"choices": [{"index": 0, **choice}]})


def events(*parts, end="\n\n"):
    return streams("".join(f"data: {part}{end}" for part in (*parts, "[DONE]")))


STOP = no(delta={}, finish_reason="stop")
DIALECTS = {
    "a whole message in a stream": events(no(message={"content": "No"}, finish_reason="stop")),
    "the text of older completions": events(no(text="No", finish_reason="stop")),
    "parts that are texts": events(no(delta={"content": ["N", "o"]}), STOP),
    "a part without a type": events(no(delta={"content": [{"text": "No"}]}), STOP),
    "one part": events(no(delta={"content": {"type": "text", "text": "No"}}), STOP),
    "parts without words": events(
        no(delta={"content": [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "No"}]}),
        STOP,
    ),
    "numbers as texts": events(
        json.dumps({"choices": [{"index": "0", "delta": {"content": "No"}, "finish_reason": "stop"}]})
    ),
    "a reason as an object": events(
        no(delta={"content": "No"}), no(delta={}, finish_reason={"type": "stop"})
    ),
    "the name of an enumeration": events(
        no(delta={"content": "No"}), no(delta={}, finish_reason="FinishReason.STOP")
    ),
    "empty data and names of events": streams(
        "event: ping\n\n",
        "data:\n\n",
        "event: message\nid: 1\ndata: " + no(delta={"content": "No"}) + "\n\n",
        "data: \n\n",
        "event: done\n\n",
        f"data: {STOP}\n\n",
    ),
    "a byte order mark": streams("\ufeffdata: " + no(delta={"content": "No"}) + "\n\n", f"data: {STOP}\n\n"),
    "lines cut anywhere": streams(
        *(
            f": hi\r\nevent: a\r\ndata: {no(delta={'content': 'No'})}\r\n\r\n"
            f"data:\r\n\r\ndata: {STOP}\r\n\r\n"
        ),
    ),
    "one object in place of a stream": sends({"choices": [{**WHOLE, "message": {"content": "No"}}]}),
    "a tag with attributes": events(no(delta={"content": "<think time=3>Yes</think>No"}), STOP),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects_of_a_stream(script, url, name):
    script.broken = [DIALECTS[name]]
    vlm = quiet(url)
    answer = vlm.answer(SHOWN)
    assert (answer.text, answer.finished) == ("No", True)
    assert not any("not known here" in remark for remark in vlm.take_remarks())


@pytest.mark.parametrize("word", ["max_output_reached", "context_length_exceeded", "token limit"])
def test_a_word_for_a_limit_is_a_cut(script, url, word):
    script.finish = word
    assert quiet(url).answer(SHOWN).finished is False


@pytest.mark.parametrize("word", ["network_error", "timeout", "insufficient_system_resource"])
def test_a_word_for_a_failure_is_no_answer(script, url, word):
    script.finish = word
    with pytest.raises(BadReply, match=word):
        quiet(url).answer(SHOWN)


@both
def test_a_call_of_a_tool_is_no_empty_answer(script, url, stream):
    call = {"tool_calls": [{"index": 0, "function": {"name": "look", "arguments": "{}"}}]}
    whole = sends({"choices": [{**WHOLE, "message": call}]})
    script.broken = [events(no(delta=call), STOP) if stream else whole]
    with pytest.raises(BadReply, match="called a tool"):
        quiet(url, stream=stream).answer(SHOWN)


ERRORS = [
    streams('event: error\ndata: {"type": "overloaded_error", "message": "boom 7"}\n\n'),
    streams('data: {"object": "error", "message": "boom 7", "code": 400}\n\n', "data: [DONE]\n\n"),
    streams('data: {"detail": "boom 7"}\n\n'),
    sends({"error": {"message": "boom 7"}}),
]


@pytest.mark.parametrize("reply", ERRORS)
def test_an_error_with_status_200_is_told_in_the_servers_words(script, url, reply):
    script.broken = [reply]
    with pytest.raises(ServerFailed, match="boom 7"):
        quiet(url).answer(SHOWN)


@both
def test_a_web_page_is_named(script, url, stream):
    script.broken = [sends(b"<html>Log in</html>", "text/html; charset=utf-8")]
    with pytest.raises(BadReply, match=r"web page.*Log in.*base_url"):
        quiet(url, stream=stream).answer(SHOWN)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({"message": {"role": "assistant", "content": "No"}, "done": True}, "Ollama's own API.*/v1"),
        ({"type": "message", "content": [{"type": "text", "text": "No"}]}, "Anthropic"),
        ({"object": "response", "output": []}, "Responses API"),
        ([{"generated_text": "No"}], "Text Generation Inference"),
    ],
)
def test_other_protocols_are_named(script, url, reply, words):
    script.broken = [sends(reply)]
    with pytest.raises(BadReply, match=words):
        quiet(url, stream=False).answer(SHOWN)


def test_a_stream_that_was_not_requested_is_named(script, url):
    script.broken = [streams(GOOD, END)]
    with pytest.raises(BadReply, match="stream=True"):
        quiet(url, stream=False).answer(SHOWN)
