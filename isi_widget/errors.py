"""The exceptions of this package that callers are expected to catch.

Not for wrapping errors of other libraries: those pass through, unless a clearer message can be given.
"""


class InputError(ValueError):
    """Something that the caller passed is wrong; the message says what, what was expected, and what to do."""


class OutOfMemory(InputError):
    """There is not enough memory for what was asked; the message says what to lower.

    Nothing is lost: what was allocated for it has been freed, and the model can be used again.
    """


class Cancelled(RuntimeError):
    """The caller asked a running computation to stop, and it has."""
