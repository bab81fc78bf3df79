"""A scripted server for each test, without waits and without the computer's own proxy and key."""

import pytest
from scripted_server import Script, serving

from isi_widget.vlm.remote import server as remote_server


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(remote_server, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def url(script):
    with serving(script) as address:
        yield address
