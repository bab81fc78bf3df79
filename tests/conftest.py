"""For all tests: how properties are tried, how tests are shared among processes, which need a browser, and
the embedded model.

`steady` tries the same examples of a property in every run, and judges none by the clock: a run that fails,
fails again. `make test-all` tries new ones (`--hypothesis-profile exploring`).
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from isi_widget.vlm import VLM

BROWSER = Path(__file__).parent / "browser"

# Each setting is stated: Hypothesis's own defaults differ where it finds itself in continuous integration.
for name, derandomize in (("exploring", False), ("steady", True)):
    settings.register_profile(
        name, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=derandomize
    )
settings.load_profile("steady")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Mark the tests of the browser's folder, and no others."""
    for item in items:
        if BROWSER in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(autouse=True, scope="module")
def light_collection() -> None:
    """Leave what is imported by now out of garbage collection: a million objects, looked at each time that a
    test makes sure that something was freed. What a test makes is still collected.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes (`-n 2`): a file goes to one of them; all tests of the browser go to one, which
    starts JupyterLab and Chromium once.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "browser" if config.rootpath / Path(file).parent == BROWSER else file

    config.option.loadscopereorder = False  # the browser's tests are among the first: they take longest
    return Scheduler(config, log)


@pytest.fixture(scope="session")
def vlm() -> VLM:
    """The embedded model, loaded once."""
    from isi_widget import load_vlm

    return load_vlm()
