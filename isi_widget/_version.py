"""The version of this package, importable; pyproject.toml carries the same, and a test compares them."""

__version__ = "0.1.0"
