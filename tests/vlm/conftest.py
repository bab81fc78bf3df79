"""For tests of quantised models: tiny checkpoints in a folder, and models loaded from them once a file; and
scripts of nnsight, in processes of their own.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

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


@pytest.fixture(scope="session")
def run_with_nnsight(tmp_path_factory):
    """Run a script of this folder in a process of its own; returns the folder that it wrote into."""

    def run(script):
        if importlib.util.find_spec("nnsight") is None:
            pytest.skip("nnsight is not installed: pip install nnsight")
        folder, here = tmp_path_factory.mktemp("nnsight"), Path(__file__).parent
        done = subprocess.run(
            [sys.executable, here / script, folder],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (here, *here.parents[:2])))},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return folder

    return run
