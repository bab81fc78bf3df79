"""The two exceptions of this package that callers are expected to catch.

Not for wrapping errors of other libraries: those pass through, unless a clearer message can be given.
"""


class InputError(ValueError):
    """Something that the caller passed is wrong; the message says what, what was expected, and what to do."""


class Cancelled(RuntimeError):
    """The caller asked a running computation to stop, and it has."""
