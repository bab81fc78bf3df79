"""One version: of the package, of pyproject.toml, of every trial's record."""

import tomllib
from pathlib import Path

import isi_widget


def test_the_package_and_pyproject_carry_the_same_version() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert isi_widget.__version__ == project["project"]["version"]
