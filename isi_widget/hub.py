"""What loading a VLM and loading an entailment model share: when transformers may show its progress bars.

Not for loading itself (see `isi_widget.vlm.loading`, `isi_widget.uncertainty.entailment`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def progress_bars(*, shown: bool) -> Iterator[None]:
    """Within it transformers shows its progress bars only if `shown`: an embedded model loads in a moment."""
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    if not shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()
