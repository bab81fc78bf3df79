"""The house has no circle of imports. Its floors are contracts in pyproject.toml, run by `make check`."""

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest


@pytest.fixture(scope="module")
def imports():
    """Each module with those it imports, also within functions; imports for annotations alone left out."""
    graph = grimp.build_graph("isi_widget", exclude_type_checking_imports=True, cache_dir=None)
    # a row of a study opens in a probe, a study in its view: edges that the contract of the floors excuses
    for module in ("again", "live.shown"):
        graph.remove_import(importer=f"isi_widget.study.{module}", imported="isi_widget.widget")
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_no_modules_import_each_other_in_a_circle(imports):
    assert len(imports) > 200
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_a_circle_would_be_found(imports):
    with pytest.raises(CycleError):
        TopologicalSorter({**imports, "isi_widget.errors": {"isi_widget.vlm.model"}}).prepare()
