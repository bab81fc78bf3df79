"""The exceptions of this package that callers may catch.

Errors of other libraries pass through, unless a clearer message is possible.
"""


class InputError(ValueError):
    """Invalid input; the message states what was wrong, what was expected and what to do."""


class OutOfMemory(InputError):
    """Not enough memory for the request; the message states what to reduce.

    Nothing is lost: the memory of the request has been freed, and the model can be used again.
    """


class Cancelled(RuntimeError):
    """A running computation was cancelled by the caller.

    Attributes
    ----------
    partial : result of the part that was finished; None where there is none.
    """

    partial: object = None
