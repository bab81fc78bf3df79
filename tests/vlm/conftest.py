"""For tests of quantised models: tiny checkpoints in a folder, and models loaded from them once a file."""

from __future__ import annotations

import pytest
from tiny_models import BUILDERS

from isi_widget.vlm import load_vlm


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of a tiny checkpoint, as save_pretrained writes it."""
    folders = {}

    def folder(family, **text):
        key = (family, *sorted(text.items()))
        if key not in folders:
            folders[key] = tmp_path_factory.mktemp(family)
            model, processor = BUILDERS[family](**text)
            model.save_pretrained(folders[key])
            processor.save_pretrained(folders[key])
        return folders[key]

    return folder


@pytest.fixture(scope="module")
def loaded(saved):
    """A loaded tiny model, once for each set of arguments."""
    models = {}

    def load(family, quantization=None, dtype="float32", **arguments):
        key = (family, quantization, dtype, *sorted(arguments.items()))
        if key not in models:
            models[key] = load_vlm(saved(family), quantization=quantization, dtype=dtype, **arguments)
        return models[key]

    return load
