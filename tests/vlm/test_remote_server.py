"""A real server: `transformers serve` with the embedded model on loopback, against the same model loaded."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from transformers.utils.import_utils import is_serve_available

import isi_widget as isi
from isi_widget.errors import Cancelled, InputError
from isi_widget.vlm.remote import connect

pytestmark = pytest.mark.skipif(
    not is_serve_available(),
    reason="`transformers serve` needs openai, fastapi and uvicorn (pip install 'isi-widget[test]')",
)
KEY = "sk-Very-Secret-0123456789"
STARTS_WITHIN = 180


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The embedded checkpoint, with a generation config that lets the server sample, from all tokens."""
    source = Path(isi.__file__).parent / "embedded" / "vlm"
    target = tmp_path_factory.mktemp("served") / "vlm"
    shutil.copytree(source, target)
    path = target / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_sample": True, "top_k": 0}))
    return str(target)


@pytest.fixture(scope="module")
def url(folder, tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", folder]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + STARTS_WITHIN
            while not _healthy(f"http://127.0.0.1:{port}/health"):
                assert process.poll() is None, f"the server ended:\n{log.read_text()[-3000:]}"
                assert time.monotonic() < deadline, f"the server did not start:\n{log.read_text()[-3000:]}"
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _healthy(address):
    try:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return direct.open(address, timeout=2).status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def local():
    return isi.load_vlm()


@pytest.fixture
def remote(url, folder):
    return connect(url, folder)


@pytest.fixture(scope="module")
def unsure(local):
    """A stimulus on which the model is of several minds."""
    scenes = isi.datasets.scenes()
    noisy = [scenes[number].stimulus().noise(0.4, seed=1) for number in range(10)]
    return max(
        noisy, key=lambda s: len({a.text for a in local.sample(s, 16, temperature=1.5, max_new_tokens=4)})
    )


@pytest.mark.parametrize("stream", [True, False])
def test_greedy_answers_equal_those_of_the_loaded_model(url, folder, local, stream):
    remote = connect(url, folder, stream=stream)
    stimuli = []
    for number, observation in enumerate(list(isi.datasets.scenes())[3 : 9 if stream else 6]):
        plain = observation.stimulus()
        stimuli.append(plain)
        stimuli.append(plain.with_context(preset="contradictory"))
        stimuli.append(plain.noise(0.3, seed=number).box(20, 20, 60, 50, color="red"))
    said = [remote.answer(stimulus).text for stimulus in stimuli]
    assert said == [local.answer(stimulus).text for stimulus in stimuli]
    assert len(set(said)) > 1, "the check is empty unless the answers differ"


def test_what_this_server_does_not_tell_is_known_from_the_start(remote, folder):
    inside = {"attention", "segments", "image_map", "enumeration", "interventions", "sampled_logprobs"}
    assert {"yes_no", "logprobs"} | inside == set(remote.unavailable)
    answer = remote.answer(isi.datasets.scenes()[3].stimulus())
    assert all(math.isnan(value) for value in answer.logprobs)
    assert remote.info()["served"].startswith(folder)


def test_samples_follow_the_distribution_of_the_loaded_model(remote, local, unsure):
    n, temperature = 60, 1.5
    here = [answer.text for answer in local.sample(unsure, 400, temperature=temperature, seed=1)]
    there = [answer.text for answer in remote.sample(unsure, n, temperature=temperature, seed=1)]
    assert len(set(there)) > 1
    likely = [text for text in set(here) if here.count(text) >= 40]
    assert likely
    for text in likely:
        expected = here.count(text) / len(here)
        sigma = math.sqrt(expected * (1 - expected) * (1 / n + 1 / len(here)))
        assert abs(there.count(text) / n - expected) < 4.5 * sigma


def test_this_server_ignores_temperature_unless_its_model_samples(url, folder, local, unsure):
    greedy = json.dumps({"do_sample": False, "eos_token_id": 2})
    remote = connect(url, folder, extra_body={"generation_config": greedy})
    said = {answer.text for answer in remote.sample(unsure, 8, temperature=1.5)}
    assert said == {local.answer(unsure).text}


def test_seeds_are_kept_where_requests_come_one_by_one(url, folder, unsure):
    remote = connect(url, folder, concurrency=1)
    texts = [[a.text for a in remote.sample(unsure, 6, temperature=1.5, seed=seed)] for seed in (4, 4, 5)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_tokens_come_as_a_stream_and_can_be_cancelled(remote, unsure):
    told = []
    answer = remote.answer(unsure, on_token=lambda *event: told.append(event))
    assert "".join(text for _, text, _ in told).strip() == answer.text
    with pytest.raises(Cancelled):
        remote.sample(unsure, 10, on_token=lambda *event: told.append(event), cancel=lambda: len(told) > 5)
    assert remote.answer(unsure) == answer


@pytest.mark.parametrize("tokens", [1, 24])
def test_an_answer_is_cut_where_that_of_the_loaded_model_is(remote, local, tokens):
    stimulus = isi.datasets.scenes()[3].stimulus()
    here = local.answer(stimulus, max_new_tokens=tokens)
    there = remote.answer(stimulus, max_new_tokens=tokens)
    assert (there.text, there.finished) == (here.text, here.finished)
    assert here.finished == (tokens > 1), "the answer is one word and then its end"


def test_what_the_server_refuses_is_told_in_its_own_words(url, folder):
    with pytest.raises(InputError, match="Server is pinned to"):
        connect(url, "another/model")
    remote = connect(url, folder, fields={"top_k": "top_k"})
    with pytest.raises(InputError, match=r"Unexpected fields in the request: \{'top_k'\}"):
        remote.sample(isi.datasets.scenes()[3].stimulus(), 2, top_k=5)


def test_a_trial_has_an_answer_and_the_discrete_entropy(remote, local, unsure):
    trial = isi.run_trial(remote, unsure, samples=6, temperature=1.5)
    assert trial.answer.text == local.answer(unsure).text
    assert trial.attention is None
    assert any("attention" in note for note in trial.notes)
    counts = [trial.uncertainty.cluster_ids.count(c) / 6 for c in set(trial.uncertainty.cluster_ids)]
    expected = -sum(p * math.log(p) for p in counts)
    assert trial.uncertainty.discrete_semantic_entropy == pytest.approx(expected)
    record = json.dumps(trial.to_dict(), allow_nan=False)
    for stored in (record, repr(trial), trial.code(), pickle.dumps(trial).decode("latin-1")):
        assert KEY not in stored
    assert isi.Trial.from_dict(json.loads(record)).answer.text == trial.answer.text
    assert trial.view()["answer"]["text"] == trial.answer.text
    with pytest.raises(InputError, match="'attention' is not available"):
        isi.run_trial(remote, unsure, measures=["attention"])
