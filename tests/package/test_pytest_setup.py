"""How the tests themselves are selected and tried."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parents[1]


@pytest.fixture
def root(request):
    """The conftest of all tests."""
    return request.config.pluginmanager.get_plugin(str(TESTS / "conftest.py"))


def test_only_the_tests_of_a_browser_are_marked_as_such(root):
    marked = {}

    def item(path):
        return SimpleNamespace(path=path, add_marker=lambda mark: marked.setdefault(path, mark.name))

    inside, outside = TESTS / "browser" / "test_first.py", TESTS / "browser_of_files" / "test_second.py"
    root.pytest_collection_modifyitems([item(inside), item(outside), item(TESTS / "test_third.py")])
    assert marked == {inside: "browser"}


def test_the_tests_of_this_run_are_marked_by_their_folder(request):
    for item in request.session.items:
        marked = item.get_closest_marker("browser") is not None
        assert marked == (TESTS / "browser" in item.path.parents), item.nodeid


def test_no_example_of_a_property_is_judged_by_the_clock():
    steady, exploring = map(settings.get_profile, ("steady", "exploring"))
    for profile in (steady, exploring):
        assert profile.deadline is None and HealthCheck.too_slow in profile.suppress_health_check
    assert steady.derandomize and not exploring.derandomize
    assert steady.max_examples == exploring.max_examples == 100


def test_no_property_sets_a_deadline_of_its_own():
    own = [path.name for path in TESTS.rglob("test_*.py") if "deadline=" + "None" in path.read_text("utf-8")]
    assert own == []


def test_no_two_files_of_tests_have_one_name():
    names = [path.name for path in TESTS.rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
