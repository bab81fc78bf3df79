"""The build hook: the committed bundle is used as it is; without bundle and without npm, one clear error."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def hook(module: ModuleType, root: Path) -> object:
    return module.BundleHook(str(root), {}, None, None, str(root), "wheel")


def test_a_bundle_that_is_there_needs_no_node(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in module.BUNDLE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("built", encoding="utf-8")
    monkeypatch.setenv("PATH", "")
    hook(module, tmp_path).initialize("standard", {})
    assert (tmp_path / module.BUNDLE[0]).read_text(encoding="utf-8") == "built"


def test_no_bundle_and_no_npm_says_what_to_install(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match=r"npm was not found.*Install Node\.js"):
        hook(module, tmp_path).initialize("standard", {})
