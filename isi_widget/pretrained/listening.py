"""Reports of transformers during loading: progress is passed on, warnings wait until loading has succeeded.

Both work per thread: several loads may run at once, and an abandoned one may hang for ever. Not for loading.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: Function called with the fraction of weights read.
Report = Callable[[float], None]

_lock = threading.Lock()
_reports: dict[int, Report] = {}
_kept: dict[int, list[Callable[[], None]]] = {}
_previous_hook: Any = None
_previous_show: Any = None


# Progress ---------------------------------------------------------------------------------------------------


@contextmanager
def heard(report: Report) -> Iterator[None]:
    """Call `report` at each step of transformers' progress over the weights in this thread, inside the
    context.
    """
    from transformers.utils import logging as theirs

    # Missing in the first releases of transformers 5: then there is no progress and no cancelling here.
    if getattr(theirs, "set_tqdm_hook", None) is None:
        yield
        return
    global _previous_hook
    thread = threading.get_ident()
    with _lock:
        if not _reports:
            _previous_hook = theirs.set_tqdm_hook(_hook)
        _reports[thread] = report
    try:
        yield
    finally:
        with _lock:
            _reports.pop(thread, None)
            if not _reports:
                theirs.set_tqdm_hook(_previous_hook)


def _hook(factory: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    bar = factory(*args, **kwargs) if _previous_hook is None else _previous_hook(factory, args, kwargs)
    items: Any = args[0] if args else kwargs.get("iterable")
    report = _reports.get(threading.get_ident())
    return bar if report is None or not hasattr(items, "__len__") else _reported(bar, len(items), report)


def _reported(bar: Any, total: int, report: Report) -> Iterator[Any]:
    for index, item in enumerate(bar):
        report(index / total)
        yield item


# Warnings ---------------------------------------------------------------------------------------------------


class _Keeper(logging.Filter):
    """Stores the log records of this thread, for its handler to show later."""

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self.handler = handler

    def filter(self, record: logging.LogRecord) -> bool:
        kept = _kept.get(threading.get_ident())
        if kept is None:
            return True
        kept.append(lambda: _show(self.handler, record))
        return False


def _show(handler: logging.Handler, record: logging.LogRecord) -> None:
    handler.handle(record)


_keepers: list[_Keeper] = []


@contextmanager
def warnings_wait() -> Iterator[None]:
    """Delay the log records of transformers and the Python warnings of this thread until the end of the
    context. They are dropped if one of our own errors is raised, which explains the problem.
    """
    import transformers.utils.logging  # noqa: F401  (creates the log handler of transformers)

    thread = threading.get_ident()
    if thread in _kept:  # nested
        yield
        return
    with _lock:
        if not _kept:
            _install()
        kept = _kept[thread] = []
    try:
        yield
    except BaseException:
        kept.clear()
        raise
    finally:
        with _lock:
            del _kept[thread]
            if not _kept:
                _remove()
        for show in kept:
            show()


def _install() -> None:
    global _previous_show
    logger: Any = logging.getLogger("transformers")
    while logger is not None:
        for handler in logger.handlers:
            keeper = _Keeper(handler)
            handler.addFilter(keeper)
            _keepers.append(keeper)
        logger = logger.parent
    _previous_show = warnings.showwarning
    warnings.showwarning = _showwarning


def _remove() -> None:
    for keeper in _keepers:
        keeper.handler.removeFilter(keeper)
    _keepers.clear()
    if warnings.showwarning is _showwarning:
        warnings.showwarning = _previous_show


def _showwarning(message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any) -> None:
    kept, show = _kept.get(threading.get_ident()), _previous_show
    if kept is None:
        show(message, category, *args, **kwargs)
    elif not issubclass(
        category, FutureWarning | DeprecationWarning
    ):  # these warnings are for the developers of transformers
        kept.append(lambda: show(message, category, *args, **kwargs))
