"""What can go wrong with a server, one exception each; none of them leaves the `RemoteVLM` unusable.

What the caller can mend (key, model name, settings) is an `InputError`. Not for the decision what to try
again (see `server.py`).
"""

from __future__ import annotations

from isi_widget.errors import InputError


class RemoteError(RuntimeError):
    """A server did not do what it was asked; base of the exceptions below."""


class Unreachable(RemoteError):
    """No connection, or it broke."""


class RemoteTimeout(RemoteError):
    """The server kept silent for longer than `timeout`."""


class RateLimited(RemoteError):
    """Too many requests (429), also after waiting and trying again."""


class ServerFailed(RemoteError):
    """The server reports an error of its own (5xx, or in the middle of a stream)."""


class BadReply(RemoteError):
    """The reply is not what the protocol says: broken JSON, no choices, an answer that breaks off."""


class ContentFiltered(RemoteError):
    """The server withheld an answer."""


class Refused(InputError):
    """The server refuses the request as it is (400, 422): often a setting that it does not know."""


NO_ANSWER = "ended its reply without an answer. If the server cannot stream, connect with stream=False."
