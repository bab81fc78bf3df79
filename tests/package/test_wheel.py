"""The wheel works for a stranger: in an empty environment it runs a trial without network or Node."""

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
        "isi_widget/static/study.js",
        "isi_widget/static/study.css",
        "isi_widget/stimulus/schema.json",
        "isi_widget/embedded/vlm/model.safetensors",
        "isi_widget/embedded/vlm/README.md",
        "isi_widget/embedded/entailment/model.safetensors",
        "isi_widget/embedded/averages.json",
        "isi_widget/py.typed",
    ):
        assert needed in names


def declared(path: Path) -> set[str]:
    """The distributions that a wheel asks for, and those that they ask for."""
    found: set[str] = set()

    def ask(requirements: Sequence[str], extras: Iterable[str]) -> None:
        for requirement in map(Requirement, requirements):
            marker = requirement.marker
            if marker and not any(marker.evaluate({"extra": extra}) for extra in ["", *extras]):
                continue
            name = canonicalize_name(requirement.name)
            if name not in found or requirement.extras:
                found.add(name)
                ask(metadata.requires(name) or [], requirement.extras)

    (name,) = (item for item in zipfile.ZipFile(path).namelist() if item.endswith(".dist-info/METADATA"))
    ask(metadata.PathDistribution(zipfile.Path(path, f"{Path(name).parent}/")).requires or [], [])
    return found


def link(distribution: metadata.Distribution, folder: Path) -> None:
    """Bring an installed distribution into another folder of packages, without a copy."""
    for first in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
        if not (folder / first).exists():
            (folder / first).symlink_to(Path(str(distribution.locate_file(first))))


def try_out(python: Path, folder: Path) -> None:
    """Run a trial with the wheel alone: no folder of this checkout, no network."""
    clean = {"PATH": str(python.parent), "HOME": str(folder), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    assert "answer:" in run(python, "-c", TRIAL, cwd=folder, env=clean)


def test_one_trial_in_a_clean_environment_offline(wheel: Path, tmp_path: Path) -> None:
    """The environment holds the wheel and what it asks for, linked from here: pip takes minutes for torch."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "-q", "--no-deps", "--no-index", wheel)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    for name in declared(wheel):
        link(metadata.distribution(name), packages)
    assert "No broken requirements" in run(*pip, "check")
    assert not (packages / "jupyterlab").exists() and not (packages / "pytest").exists()
    try_out(python, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_trial_after_a_real_installation(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel)
    try_out(python, tmp_path)
