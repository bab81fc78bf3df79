"""The version of this package, in one importable place (pyproject.toml carries the same; a test compares them)."""

__version__ = "0.1.0"
