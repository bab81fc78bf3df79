"""Blends entailment models of one lineage: `python -m isi_widget.training blend-entailment`.

A model that is trained further forgets part of its former skills. The mean of the weights of both models
keeps most skills of each, at the cost of one model (WiSE-FT, Wortsman et al., CVPR 2022; for several stages
model soups, Wortsman et al., ICML 2022). It works only if one model was trained further from the other, not
for independent trainings.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import DebertaV2ForSequenceClassification, PreTrainedTokenizerFast

from isi_widget.errors import InputError

_WORDS = "deberta.embeddings.word_embeddings.weight"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the blending command."""
    parser.add_argument(
        "models", type=Path, nargs="+", help="folders of exported models, in the order of their training"
    )
    parser.add_argument(
        "--weights", type=float, nargs="+", required=True, help="weight of each model in the mean; sum 1"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the blended model")


def run(arguments: argparse.Namespace) -> None:
    """Blend, export, and record the weights for the model card next to the stages of the last model."""
    try:
        blend(arguments.models, arguments.weights, arguments.output)
    except InputError as error:
        raise SystemExit(str(error)) from None
    measured = arguments.models[-1] / "evaluation.json"
    earlier = json.loads(measured.read_text(encoding="utf-8")) if measured.exists() else {}
    training = dict(earlier.get("training", {}))
    training["blends"] = [*training.get("blends", []), arguments.weights]
    noted = json.dumps({"training": training}, indent=1) + "\n"
    (arguments.output / "evaluation.json").write_text(noted, encoding="utf-8")


def blend(folders: Sequence[Path], weights: Sequence[float], output: Path) -> Path:
    """Write the weighted mean of the weights of exported models to a folder, as fp16; returns the folder.

    Parameters
    ----------
    folders : exported models in the order of their training. The vocabulary is that of the last one, and a
        word's embedding is the mean over the models that know the word.
    weights : weight of each model, all >= 0, the last one > 0; the sum is 1.
    output : output folder.

    Raises
    ------
    InputError : invalid weights, models of different shapes, words that the last model does not know.
    """
    if len(weights) != len(folders) or not math.isclose(sum(weights), 1, abs_tol=1e-6) or min(weights) < 0:
        raise InputError(
            f"{len(folders)} models need as many weights, none below 0, of sum 1; got {list(weights)}."
        )
    if weights[-1] == 0:
        raise InputError("The last model gives the vocabulary, so its weight has to be above 0.")
    models = [DebertaV2ForSequenceClassification.from_pretrained(f, dtype=torch.float32) for f in folders]
    states = [model.state_dict() for model in models]
    vocabularies = [PreTrainedTokenizerFast.from_pretrained(folder).get_vocab() for folder in folders]
    for folder, state, vocabulary in zip(folders, states, vocabularies, strict=True):
        _check_lineage(folder, state, states[-1], set(vocabulary) - set(vocabularies[-1]))
    mean = {
        name: sum(weight * state[name] for weight, state in zip(weights, states, strict=True))
        for name in states[-1]
        if name != _WORDS
    }
    mean[_WORDS] = _blend_words(vocabularies, [state[_WORDS] for state in states], weights)
    models[-1].load_state_dict(mean)
    models[-1].half().save_pretrained(output)
    for file in folders[-1].glob("tokenizer*.json"):
        shutil.copyfile(file, output / file.name)
    return output


def _check_lineage(
    folder: Path, state: dict[str, torch.Tensor], last: dict[str, torch.Tensor], lost: set[str]
) -> None:
    """Raise if a model cannot be blended with the last one."""
    shapes, wanted = ({k: v.shape for k, v in s.items() if k != _WORDS} for s in (state, last))
    if shapes != wanted or state[_WORDS].shape[1] != last[_WORDS].shape[1]:
        raise InputError(f"{folder} has other layers than the last model; blend models of one lineage.")
    if lost:
        raise InputError(
            f"{folder} knows words that the last model does not ({', '.join(sorted(lost)[:5])}); name the "
            "models in the order of their training."
        )


def _blend_words(
    vocabularies: Sequence[dict[str, int]], tables: Sequence[torch.Tensor], weights: Sequence[float]
) -> torch.Tensor:
    """Return embeddings [words of the last vocabulary, width]: the mean over the models that know
    the word.
    """
    total, known = torch.zeros_like(tables[-1]), torch.zeros(len(tables[-1]), 1)
    for vocabulary, table, weight in zip(vocabularies, tables, weights, strict=True):
        for word, index in vocabulary.items():
            place = vocabularies[-1][word]
            total[place] += weight * table[index]
            known[place] += weight
    return total / known
