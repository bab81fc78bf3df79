"""The documents that a probe and its pages have sent each other, by number: so that only what is new travels.

Pure but for what it remembers; no traits. Not for what a document is (`document.py`), nor for its check
(`protocol.py`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from isi_widget.widget import document as doc

_REMEMBERED = 64  # documents: more than gestures are on their way at any time


class Revisions:
    """Numbers the documents of one probe as they are sent, and reads the changes that a page sends back."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._documents: OrderedDict[int, doc.Document] = OrderedDict()
        self._of_page: set[int] = set()
        self._last = 0
        self._sent = 0  # what every page has, as far as one can know

    def number(self, document: doc.Document, of_page: bool = False) -> int:
        """Return the number of the current document; a new number if the object has changed since the last
        call.
        """
        with self._lock:
            if self._documents.get(self._last) is document:
                return self._last
            self._last += 1
            self._documents[self._last] = document
            if of_page:
                self._of_page.add(self._last)
            while len(self._documents) > _REMEMBERED:
                self._of_page.discard(self._documents.popitem(last=False)[0])
            return self._last

    def forget_sent(self) -> None:
        """Send the whole document the next time: a page does not have what it should have."""
        self._sent = 0

    def update(self, document: doc.Document) -> tuple[Mapping[str, Any], int]:
        """Return what to send of a document that was changed here, and its number."""
        with self._lock:
            number, before = self.number(document), self._documents.get(self._sent)
            base, self._sent = self._sent, number
            if before is None or doc.is_short(document):
                return document, number
            return {**doc.news(before, document), "base": base, "revision": number}, number

    def reply(self, document: doc.Document, base: int | None) -> Mapping[str, Any]:
        """Return what to send back of a document that a page has changed, starting from `base`
        (None: whole).
        """
        with self._lock:
            number = self.number(document, of_page=True)
            self._sent = number
            before = None if base is None else self._documents.get(base)
            if before is None:
                return {**document, "revision": number}
            return {**doc.news(before, document), "base": base, "revision": number}

    def read(self, change: Mapping[str, Any], present: doc.Document) -> doc.Document | None:
        """Return the document that a page means by `check_news`; its steps are not checked yet.

        None if it does not start from the present one, nor from one after which only pages have changed it.
        """
        with self._lock:
            last, base = self.number(present), change["base"]
            between = range(base + 1, last + 1)
            if base not in self._documents or not self._of_page.issuperset(between):
                return None
            return doc.patched(self._documents[base], change)
