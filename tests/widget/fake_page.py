"""A page without a browser: it speaks the widget protocol with a Probe, through JSON, as the widget manager
does.
"""

from __future__ import annotations

import copy
import json
import threading
from typing import Any

from ipywidgets.widgets.widget import _put_buffers, _remove_buffers

from isi_widget.widget import document as doc
from isi_widget.widget.traits import ENTRIES

#: A drawing, as a page sends it.
BOX = {
    "op": "box",
    "x": 10,
    "y": 20,
    "width": 100,
    "height": 50,
    "color": "#ff0000",
    "fill": True,
    "line_width": 3,
}


class Page:
    """Keeps the state that a page would have, and every message it was sent, in order."""

    def __init__(self, probe: Any) -> None:
        self.probe = probe
        self.messages: list[dict[str, Any]] = []  # custom ones
        self.attached: list[list[bytes]] = []  # to each of them
        self.updates: list[dict[str, Any]] = []
        self.changed = threading.Condition()
        self.state: dict[str, Any] = {}
        self.sent: list[int] = []  # bytes of each update to the kernel, and of each message from it
        self.came: list[int] = []
        self.missed = 0
        self._take({"method": "update", "state": probe.get_state(), "buffer_paths": []}, [])
        self.updates.clear()
        probe.comm.publish_msg = self._published

    def _published(
        self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
    ) -> None:
        if msg_type == "comm_msg":
            self.came.append(len(json.dumps(_remove_buffers(data)[0])))
            self._take(data, buffers)

    def _take(self, data: dict[str, Any], buffers: Any) -> None:
        state, paths, found = _remove_buffers(data.get("state", {}))
        plain = json.loads(json.dumps({**data, "state": state}, allow_nan=False))
        _put_buffers(
            plain["state"],
            [*plain.get("buffer_paths", []), *paths],
            [bytes(b) for b in [*(buffers or []), *found]],
        )
        with self.changed:
            if plain["method"] == "custom":
                self.messages.append(plain["content"])
                self.attached.append([bytes(buffer) for buffer in buffers or []])
            elif plain["method"] == "update":
                self.updates.append(plain["state"])
                self.state.update(plain["state"])
                entries = [entry for name in ENTRIES if (entry := self.state.get(name))]
                self.state["trials"] = sorted(entries, key=lambda entry: entry["id"])
            if "document" in plain.get("state", {}):  # an echo, too
                self._take_document(plain["state"]["document"])
            self.changed.notify_all()

    def _take_document(self, news: dict[str, Any]) -> None:
        """As js/src/state/store.ts does it: the document is whole here, whatever travels."""
        if "kept" not in news:
            self.known = {name: news[name] for name in (*doc.empty(), "inside") if name in news}
            self.revision = news.get("revision", self.state.get("revision"))
        elif news["base"] == self.revision:
            self.known, self.revision = doc.patched(self.known, news), news["revision"]
        else:
            self.missed += 1
        self.state["document"] = self.known

    def set(self, **state: Any) -> None:
        """What `model.set(...); model.save_changes()` does."""
        self.state.update(copy.deepcopy(state))
        data = {"method": "update", "state": json.loads(json.dumps(state)), "buffer_paths": []}
        self.sent.append(len(json.dumps(data)))
        self.probe._handle_msg({"content": {"data": data}, "buffers": []})

    def send(self, content: Any, *buffers: bytes) -> None:
        """What `model.send(content, undefined, buffers)` does."""
        data = {
            "method": "custom",
            "content": content if not isinstance(content, dict) else json.loads(json.dumps(content)),
        }
        self.probe._handle_msg({"content": {"data": data}, "buffers": [memoryview(b) for b in buffers]})

    def wait(self, what: Any, seconds: float = 120) -> None:
        """Until `what(page)` holds."""
        with self.changed:
            assert self.changed.wait_for(lambda: what(self), seconds), (
                self.state.get("status"),
                self.state.get("error"),
            )

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["kind"] == kind]

    def operations(self) -> list[dict[str, Any]]:
        return self.state["document"]["operations"]

    def draw(self, *operations: dict[str, Any]) -> None:
        """One gesture, as js/src/document.ts makes it."""
        old = self.state["document"]
        self.edit(doc.step(old, [*old["operations"], *operations]))

    def edit(self, document: dict[str, Any]) -> None:
        """Another document, of which only what was added is sent."""
        news = {**doc.news(self.known, document), "base": self.revision}
        self.set(document=document if doc.is_short(document) else news)


def idle(page: Page) -> bool:
    return page.state["status"]["state"] == "idle"


def painted(page: Page) -> bool:
    return page.state["preview"]["key"] == page.state["inputs"]["key"]
