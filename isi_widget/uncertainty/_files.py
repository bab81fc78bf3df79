"""The files of an entailment checkpoint: found in the hub's local cache, or downloaded with progress.

Many MNLI checkpoints hold only pickled weights, but have a pull request by the hub's own bot with the same
weights as safetensors. Such a conversion is used as if it were part of the checkpoint. Not for reading the
files (see `_loading`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from isi_widget.pretrained import hub

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SMALL = (".json", ".txt", ".model")
_SMALL_BYTES = 64 * 2**20
_TOKENIZERS = ("tokenizer.json", "spm.model", "vocab.txt", "vocab.json", "sentencepiece.bpe.model")
_BOT, _TITLE = "SFconvertbot", "Adding `safetensors` variant of this model"


@dataclass(frozen=True)
class Files:
    """Location of a checkpoint on the disk.

    Attributes
    ----------
    folder : folder of the configuration and tokenizer.
    weights : folder of the safetensors files; often the same.
    commit : commit of the configuration on the hub.
    """

    folder: Path
    weights: Path
    commit: str


def on_disk(name: str, revision: str | None = None) -> Files | None:
    """Find a complete checkpoint in the hub's local cache; None if missing. Uses no network."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    commit = _commit(cache, revision or "main")
    folder = cache / "snapshots" / commit
    if not commit or not (folder / "config.json").is_file():
        return None
    if not any((folder / file).is_file() for file in _TOKENIZERS):
        return None
    for weights in (folder, *_conversions(cache)):
        if _complete(weights):
            return Files(folder, weights, commit)
    return None


def fetch(
    found: hub.Repository, progress: hub.Progress | None = None, cancel: hub.Cancel | None = None
) -> Files | None:
    """Download the missing files of a checkpoint into the cache; None if it has neither safetensors weights
    nor a conversion by the hub's bot.

    Raises
    ------
    InputError, Cancelled : as `hub.fetch`.
    """
    if found.folder is not None:
        return on_disk(found.name, found.revision)
    small = [
        file
        for file, count in found.files.items()
        if file.endswith(_SMALL) and "/" not in file and (count or 0) <= _SMALL_BYTES
    ]
    if "config.json" not in small:
        return None
    source = found
    if not {_SINGLE, _INDEX} & set(found.files):
        converted = _conversion_of(found)
        if converted is None:
            return None
        source = converted
    folder = hub.fetch(
        found, ["config.json", *(file for file in small if file != "config.json")], cancel=cancel
    )
    files = [_SINGLE]
    if _SINGLE not in source.files:
        index = hub.fetch(source, [_INDEX], cancel=cancel) / _INDEX
        files = [_INDEX, *_shards(index)]
    # Also fetch its configuration: the cache then records the commit of the conversion's name.
    weights = hub.fetch(source, ["config.json", *files], progress=progress, cancel=cancel)
    return Files(folder, weights, found.commit)


def _conversion_of(found: hub.Repository) -> hub.Repository | None:
    """Find the bot's open pull request with the weights of exactly this commit, as transformers does."""
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        requests = api.get_repo_discussions(
            found.name, author=_BOT, discussion_type="pull_request", discussion_status="open"
        )
        for request in requests:
            reference = f"refs/pr/{request.num}"
            if request.title != _TITLE:
                continue
            commits = api.list_repo_commits(found.name, revision=reference)
            if len(commits) > 1 and commits[1].commit_id == found.commit:
                return hub.find(found.name, reference)
    except Exception:  # on any failure transformers tries in its own way and reports the error
        return None
    return None


def _commit(cache: Path, revision: str) -> str:
    """Return the commit of a branch, tag or commit in the cache; "" if unknown."""
    noted = cache / "refs" / revision
    if noted.is_file():
        return noted.read_text(encoding="utf-8").strip()
    return revision if (cache / "snapshots" / revision).is_dir() else ""


def _conversions(cache: Path) -> Iterator[Path]:
    """Yield the folders of downloaded pull requests."""
    for reference in sorted((cache / "refs" / "refs" / "pr").glob("*")) + sorted(
        (cache / "refs" / "pr").glob("*")
    ):
        if reference.is_file():
            yield cache / "snapshots" / reference.read_text(encoding="utf-8").strip()


def _complete(folder: Path) -> bool:
    """Return whether a folder has all weights as safetensors."""
    if (folder / _SINGLE).is_file():
        return True
    index = folder / _INDEX
    shards = _shards(index) if index.is_file() else []
    return bool(shards) and all((folder / file).is_file() for file in shards)


def _shards(index: Path) -> list[str]:
    """Return the files named in an index; none if it is broken or names missing files."""
    try:
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return []
    beside = all(isinstance(f, str) and Path(f).name == f and f.endswith(".safetensors") for f in named)
    return sorted(named) if beside else []
