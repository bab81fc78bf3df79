"""VLMs behind an OpenAI-compatible server: what goes in is an image and a text, what comes out is text.

`connect` gives a `RemoteVLM`, which run_trial and the widget take in place of a loaded one.
See docs/remote.md.
"""

from isi_widget.vlm.remote.connecting import connect
from isi_widget.vlm.remote.errors import (
    BadReply,
    ContentFiltered,
    RateLimited,
    RemoteError,
    RemoteTimeout,
    ServerFailed,
    Unreachable,
)
from isi_widget.vlm.remote.model import RemoteVLM
from isi_widget.vlm.remote.request import RemotePrefill

__all__ = [
    "BadReply",
    "ContentFiltered",
    "RateLimited",
    "RemoteError",
    "RemotePrefill",
    "RemoteTimeout",
    "RemoteVLM",
    "ServerFailed",
    "Unreachable",
    "connect",
]
