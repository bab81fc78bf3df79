"""What `import isi_widget` costs and offers: nothing heavy is loaded before it is needed."""

import subprocess
import sys

import pytest

import isi_widget

HEAVY = ("torch", "transformers", "matplotlib", "pandas", "IPython", "ipywidgets", "anywidget")


def modules_after(statement: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after `statement`."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import isi_widget",
        "import isi_widget.datasets, isi_widget.stimulus",
        "import isi_widget.uncertainty.entropy, isi_widget.uncertainty.clusters",
        "import isi_widget as isi; isi.datasets.scenes()[3].stimulus().box(1, 2, 30, 40).render()",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str) -> None:
    assert not modules_after(statement).intersection(HEAVY)


def test_every_public_name_resolves() -> None:
    for name in isi_widget.__all__:
        assert getattr(isi_widget, name) is not None
    assert set(isi_widget.__all__) <= set(dir(isi_widget))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = isi_widget.no_such_name
