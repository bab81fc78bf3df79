"""The wheel works for a stranger: in an empty environment it runs a trial without network or Node."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Runs in the clean environment. Any use of the network is an error: the embedded models are local.
TRIAL = """
import socket, sys

def refuse(*arguments, **options):
    raise AssertionError(f"the network was used: {arguments}")

socket.socket.connect = refuse
socket.create_connection = refuse
socket.getaddrinfo = refuse

import isi_widget as isi

assert "site-packages" in isi.__file__, isi.__file__
observation = isi.datasets.scenes()[0]
trial = isi.run_trial(isi.load_vlm(), observation.stimulus().box(10, 10, 50, 50), samples=4)
assert trial.answer.text and len(trial.uncertainty.answers) == 4
assert abs(sum(trial.attention.absolute().values()) - 1) < 1e-5
probe = isi.Probe(isi.load_vlm(), observation)
assert len(str(probe._esm)) > 10_000
print("answer:", trial.answer.text)
"""


def run(*command: str | Path, **options: object) -> str:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert result.returncode == 0, f"{command[:4]} failed:\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout with no Node on the PATH."""
    folder = tmp_path_factory.mktemp("wheel")
    environment = {**os.environ, "PATH": str(Path(sys.executable).parent)}
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, env=environment)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"isi_widget"}
    assert not [name for name in names if "node_modules" in name or name.endswith((".ts", ".tsx", ".pyc"))]
    for needed in (
        "isi_widget/static/widget.js",
        "isi_widget/static/widget.css",
        "isi_widget/static/editor.js",
        "isi_widget/stimulus/schema.json",
        "isi_widget/embedded/vlm/model.safetensors",
        "isi_widget/embedded/vlm/README.md",
        "isi_widget/embedded/entailment/model.safetensors",
        "isi_widget/embedded/averages.json",
        "isi_widget/py.typed",
    ):
        assert needed in names


@pytest.mark.timeout(900)
def test_one_trial_in_a_clean_environment_offline(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel)
    clean = {
        "PATH": str(environment / "bin"),
        "HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    assert "answer:" in run(python, "-c", TRIAL, cwd=tmp_path, env=clean)
