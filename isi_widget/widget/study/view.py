"""`StudyView`: the widget of a study. Progress, cancel, resume, table, plots, rows; a row opens in a probe.

While a study runs, a thread of the view looks at it four times a second; nothing is called by the run, and
what costs more than sums (intervals, pages of rows) is made in further threads for at most a fiftieth of the
time. Not for what the numbers are (`tables`, `pages`), nor for running (`isi_widget.study`). Longer than
other modules because its threads share the state of one widget.
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets as widgets
import traitlets as t
from IPython.display import display

from isi_widget.checks import is_whole
from isi_widget.errors import InputError
from isi_widget.report.svg import NO_FORMULAS, QUIET, escape
from isi_widget.study.live import Progress, Run
from isi_widget.study.live.page import study_html
from isi_widget.study.live.table import Table, running_table
from isi_widget.study.live.tally import Failure
from isi_widget.study.stored import again_words, stored_words
from isi_widget.trial.measures import registered
from isi_widget.widget import cells
from isi_widget.widget.assets import source
from isi_widget.widget.controller import explain
from isi_widget.widget.guarded import Quiet
from isi_widget.widget.jobs import Job, Worker
from isi_widget.widget.shells import take_any_shell
from isi_widget.widget.study import tables
from isi_widget.widget.study.pages import Reader
from isi_widget.widget.study.query import Query

if TYPE_CHECKING:
    from isi_widget.study.study import Study
    from isi_widget.widget.probe import Probe

#: Seconds between two looks at a run, between two tables of running means, and between two stills.
_PAUSE, _TABLE, _STILL = 0.25, 1.0, 20.0
#: Seconds between two readings of the rows of a run at least; and how many times as long as one took.
_READ, _STATISTICS, _SHARE = 1.0, 20.0, 50.0
_NONE = {"row": -1, "state": "", "message": ""}
_STYLE = """<style>
body:has(.isi-study[data-study="{id}"]) .isi-kept[data-study="{id}"],
.jp-OutputArea:has(.isi-study[data-study="{id}"]) > .jp-OutputArea-child:has(.isi-kept[data-study="{id}"]),
.jp-OutputArea-child:not(:has(.isi-study)):has(+ .jp-OutputArea-child .isi-kept[data-study="{id}"]) {{
  display: none;
}}
</style>"""
_TO_GO_ON = (
    "This is what the notebook keeps of the study. For the rows and the probe, run the notebook from its "
    "first cell to this one: Run > Run All Above Selected Cell, then this cell."
)
_STORED = " Finished rows are in {store} and are not repeated; isi.open_study opens them, too."
_REASONS = 10


class _Page(Quiet, anywidget.AnyWidget):
    """What the view shares with its page."""

    _esm = source("study.js")
    _css = source("study.css")

    about = t.Dict().tag(sync=True)
    progress = t.Dict().tag(sync=True)
    table = t.Dict().tag(sync=True)
    plots = t.Dict().tag(sync=True)
    failures = t.Dict().tag(sync=True)
    query = t.Dict().tag(sync=True)
    page = t.Dict().tag(sync=True)
    opened = t.Dict(dict(_NONE)).tag(sync=True)
    error = t.Dict(default_value=None, allow_none=True).tag(sync=True)
    # number of the newest still that the notebook was sent
    stills = t.Int(0).tag(sync=True)
    # id of the widget in a notebook's outputs
    widget_id = t.Unicode().tag(sync=True)

    def __init__(self, query: Query, asked: Callable[[Query], None], **state: Any) -> None:
        self._lock = threading.RLock()  # ipywidgets itself is not thread-safe
        self._asked = asked
        super().__init__(query=query.to_dict(), **state)
        self.put(widget_id=self.model_id or "")
        take_any_shell(self.comm)

    def put(self, **state: Any) -> None:
        """Set traits, from any thread, in one update."""
        with self._lock, self.hold_sync():
            for name, value in state.items():
                setattr(self, name, value)

    def put_news(self, make: Callable[[], Mapping[str, Any]]) -> None:
        """Set the traits that `make` returns, from any thread.

        It is called under the lock: of two threads, the one that looks first puts first, so nothing old takes
        the place of something newer.
        """
        with self._lock:
            self.put(**make())

    def close(self) -> None:
        """Close it; not while another thread sends something."""
        with self._lock:
            super().close()

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take what a page has changed: only the query for rows. What makes no sense is refused."""
        own = {name: value for name, value in sync_data.items() if name not in _Page.__dict__}
        with self._lock:
            super().set_state(own)
        for name in sync_data.keys() - own.keys():
            try:
                if name != "query":
                    raise InputError(f"The page may not set {name!r:.60}.")
                self._asked(Query.of(sync_data[name]))
            except Exception as error:
                self.fail(error)
                self.send_state(name)

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message, from any thread."""
        with self._lock:
            self.send(message)

    def fail(self, error: BaseException) -> None:
        """Show what went wrong."""
        message, hint = explain(error)
        self.put(error={"message": message, "hint": hint})


class StudyView(Quiet, widgets.VBox):
    """The view of a study: `study.view()`, or the study at the end of a cell.

    Parameters
    ----------
    study : a study of `isi.run_study` or `isi.open_study`.

    Attributes
    ----------
    study : the study.
    query : the rows that are shown; set it to show others.
    probe : the probe of the row that is open, or None.
    probes : probes that somebody worked with on the page, {row: probe}.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.probe: Probe | None = None
        self.probes: dict[int, Probe] = {}
        self._row = -1
        self._query = Query()
        # apart, since statistics of a large study, or the load of a model, take long
        self._workers = {kind: Worker(f"isi-study-{kind}") for kind in ("rows", "slow", "open")}
        self._reader = Reader(lambda: study.columns, study.frame)
        # of what is made while it runs: the earliest time of the next one, and the state of the last one
        now = time.monotonic()
        self._allowed = {"table": 0.0, "page": 0.0, "statistics": now + _STATISTICS, "still": now + _STILL}
        self._made: dict[str, object] = {}
        self._table = Table()
        self._kept = f"isi-study-{id(self):x}-{time.time_ns():x}"
        self._displayed = False
        self._stills = 0
        self._watching = False
        self._state = threading.Lock()
        self._page = _Page(self._query, self._show, about=self._about(), progress=self._progress_record())
        self._page.on_msg(self._receive)
        super().__init__([self._page])
        run = study._run
        if run is not None:
            run.at_start(self._watch)
        if run is not None and run.running:
            self._watch()
        else:
            self._settle()

    # ---- Python twins of the page
    @property
    def query(self) -> Query:
        """The rows that are shown."""
        return self._query

    @query.setter
    def query(self, query: Query) -> None:
        self._show(query)

    def open_row(self, row: int) -> Probe:
        """Open a row in a probe below the table, run it again with its seed, and return the probe.

        The stored results are shown at once; after the run the page also shows whether they agree with it.

        A probe that was worked with on its page is kept when another row is opened, and comes back with its
        row.

        Parameters
        ----------
        row : number of the row.

        Raises
        ------
        InputError : there is no such finished row, or its input or model cannot be made again. Errors of the
            model are raised, too; they are also shown in the probe.
        """
        self._put(opened={"row": row, "state": "opening", "message": ""})
        known = self.probes.get(row)
        try:
            stored = self.study.stored(row)
            probe = self.study.probe(row) if known is None else known
        except BaseException as error:
            self._put(opened={"row": row, "state": "error", "message": explain(error)[0]})
            raise
        self._replace(probe)
        self._row = row
        words = stored_words(stored)
        self._put(opened={"row": row, "state": "open", "message": words})
        if known is not None:
            return probe
        measures = [name for name in self.study.settings.measures if name in registered()]
        trial = probe.run(measures or "everything")
        if self._row == row and self.probe is probe:
            message = " ".join(filter(None, [words, again_words(stored, self.study.differences(row, trial))]))
            self._put(opened={"row": row, "state": "open", "message": message})
        return probe

    def close_row(self) -> None:
        """Close the probe of the open row."""
        self._replace(None)
        self._put(opened=dict(_NONE))

    def close(self) -> None:
        """Remove the view from the page; the study goes on."""
        if not hasattr(self, "_page"):  # it could not be made
            return
        for worker in self._workers.values():
            worker.release()
        layouts = [self.layout, self._page.layout]
        self._replace(None)
        for probe in self.probes.values():
            probe.close()
        self._page.close()
        super().close()
        for layout in layouts:
            layout.close()

    def show(self) -> None:
        """Display the view and, as a second output, what a notebook keeps for places without widgets."""
        self._displayed = True
        cells.displayed(self)
        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        display({**data, "text/plain": repr(self.study)}, metadata=metadata, raw=True)
        display(self._still(), display_id=self._kept, raw=True)

    def _ipython_display_(self) -> None:
        self.show()

    # ---- freed when no cell shows it: see `cells.py`
    @property
    def parts(self) -> tuple[Any, ...]:
        """The widgets in it."""
        return tuple(self.children)

    @property
    def worked_with(self) -> bool:
        """Whether somebody has worked with the probe of a row."""
        return bool(self.probes) or (self.probe is not None and self.probe.worked_with)

    def _rest(self) -> None:
        for worker in self._workers.values():
            worker.rest()

    # ---- watching a run
    def _watch(self) -> None:
        """Follow the run in a thread, until it is over."""
        with self._state:
            if self._watching:
                return
            self._watching = True
        run, view = self.study._run, weakref.ref(self)
        try:
            threading.Thread(target=_follow, args=(run, view), name="isi-study-watch", daemon=True).start()
        except RuntimeError as error:  # the system gives no thread
            self._watching = False
            self._page.fail(error)

    def _look(self, run: Run) -> bool:
        """Show how far the run is; return whether it is followed further. What fails is shown on the page."""
        with self._state:  # a run that is resumed from now on is followed by another thread
            closed = self._page.comm is None
            self._watching = run.running and not closed
            further = self._watching
        try:
            if further:
                self._tick(run)
            elif not closed:
                self._settle()
        except Exception as error:
            self._page.fail(error)
        return further

    def _tick(self, run: Run) -> None:
        """Show how far the run is, and means, at most once a second."""
        self._put_progress()
        if self._due("table", run):
            self._allowed["table"] = time.monotonic() + _TABLE
            self._sums(run)
        if self._due("page", run):
            self._later("page", self._read_page)
        if self._due("statistics", run):
            self._later("statistics", self._statistics)
        if self._due("still", run):
            self._later("still", self._keep)

    def _due(self, kind: str, run: Run) -> bool:
        """Return whether there are new rows since a kind of thing was made, and it may be made again."""
        rows = run.progress().done
        due = bool(rows) and rows != self._made.get(kind) and time.monotonic() >= self._allowed[kind]
        if due:
            self._made[kind] = rows
            self._allowed[kind] = math.inf  # until it is made
        return due

    def _sums(self, run: Run) -> None:
        def news() -> dict[str, Any]:
            table, failures, others = run.sums(
                lambda tally: (running_table(tally), tally.failures, tally.other_reasons)
            )
            self._table = table
            return {"table": asdict(table), "failures": _failures(failures, others)}

        self._page.put_news(news)

    def _settle(self) -> None:
        """Make everything that is shown of rows that do not change."""
        run = self.study._run
        self._put_progress()
        if run is not None and run.progress().done:
            self._sums(run)
        self._later("page", self._read_page)
        self._later("statistics", self._statistics)
        self._later("still", self._keep)

    # ---- in the view's own threads
    def _later(self, kind: str, work: Callable[[], None]) -> None:
        """Do work in a thread of the view; a newer one of the same kind takes the place of one that waits."""

        def do(job: Job) -> None:
            begun = time.thread_time()  # of this thread: what the run loses, not what it waits for
            try:
                work()
            except BaseException as error:
                self._page.fail(error)
            took = time.thread_time() - begun
            least = {"page": _READ, "statistics": _STATISTICS, "still": _STILL}.get(kind, 0.0)
            pause = max(least, _SHARE * took)
            self._allowed[kind] = time.monotonic() + pause

        worker = {"page": "rows", "turn": "rows", "open": "open"}.get(kind, "slow")
        self._workers[worker].submit(Job(kind, do, kind=kind))

    def _read_page(self) -> None:
        run = self.study._run
        pages = self._reader.pages(None if run is None else run.progress().done)
        self._turn(pages.page(self._query))

    def _turn(self, page: dict[str, Any]) -> None:
        self._put(page=page)

    def _statistics(self) -> None:
        study = self.study
        frame = study.frame(tables.needed(study.columns))
        if not len(frame):
            return
        table, plots = tables.tables(frame, study.baseline, self._order())
        state: dict[str, Any] = {"plots": asdict(plots)}
        if not study.running:
            self._table = table
            state["table"] = asdict(table)
        if study._run is None:
            state["progress"] = asdict(tables.counted(frame, study.size)) | {"resumable": False}
            state["failures"] = _failures(*tables.failures_of(study.failed))
        self._put(**state)

    def _order(self) -> Sequence[str]:
        return [str(item["name"]) for item in self.study.header["conditions"]]

    # ---- what a page asks
    def _show(self, query: Query) -> None:
        """Show other rows: from what was read last, at once, else when it is read."""
        self._query = query
        self._put(query=query.to_dict())

        def turn() -> None:
            pages = self._reader.last
            if pages is None:
                self._read_page()
            else:
                self._turn(pages.page(query))

        self._later("turn", turn)

    def _receive(self, _: Any, content: Any, buffers: Sequence[Any]) -> None:
        """Take one message of the page."""
        try:
            kind = content.get("kind") if isinstance(content, Mapping) else None
            if kind == "cancel":
                self.study.cancel()
                self._put_progress()
            elif kind == "resume":
                self.study.resume()
            elif kind == "still":
                self._later("answer", self._send_still)
            elif kind == "dismiss":
                self._put(error=None)
            elif kind == "open" and is_whole(content.get("row")):
                self._ask_row(int(content["row"]))
            else:
                raise InputError(f"There is no message {content!r:.60} of a study's page.")
        except Exception as error:
            self._page.fail(error)

    def _ask_row(self, row: int) -> None:
        if row < 0:
            self._later("open", self.close_row)
            return
        self._put(opened={"row": row, "state": "opening", "message": ""})

        def work() -> None:
            try:
                self.open_row(row)
            except Exception:
                # shown already: by the page where there is no probe, else by the probe
                if self._page.opened["state"] == "opening":
                    raise

        self._later("open", work)

    # ---- values for the page
    def _put(self, **state: Any) -> None:
        self._page.put(**state)

    def _put_progress(self) -> None:
        self._page.put_news(lambda: {"progress": self._progress_record()})

    def _replace(self, probe: Probe | None) -> None:
        """Put a probe below the table, in the place of the present one, which is closed unless somebody
        worked with it.
        """
        before, self.probe = self.probe, probe
        self.children = [self._page] if probe is None else [self._page, probe]
        if before is None or before is probe:
            return
        if before.worked_with:
            self.probes[self._row] = before
        else:
            before.close()

    def _about(self) -> dict[str, Any]:
        header = self.study.header
        return {
            "conditions": len(header["conditions"]),
            "observations": int(header["data"]["size"]),
            "seeds": len(self.study.seeds),
            "models": len(header["models"]),
            "data": self.study.data,
            "store": "" if self.study.store is None else str(self.study.store),
        }

    def _progress(self) -> Progress:
        run = self.study._run
        if run is not None:
            return run.progress()
        known = self._page.progress if hasattr(self, "_page") else {}
        fields = {name: known[name] for name in Progress.__dataclass_fields__ if name in known}
        return replace(Progress("waiting", 0, self.study.size), **fields)

    def _progress_record(self) -> dict[str, Any]:
        progress = self._progress()
        # as people read them: a new value for each microsecond would be a message each
        rounded = replace(
            progress,
            seconds=float(round(progress.seconds)),
            left=None if progress.left is None else float(round(progress.left)),
            rate=None if progress.rate is None else float(f"{progress.rate:.2g}"),
        )
        return asdict(rounded) | {"resumable": self.study._run is not None}

    # ---- what a notebook keeps
    def _still(self) -> dict[str, str]:
        self._stills += 1
        reasons = [Failure(**reason) for reason in self._page.failures.get("reasons", ())[:_REASONS]]
        page = study_html(self.study.title, self._progress(), self._table, reasons)
        id, store = escape(self._page.widget_id), self.study.store
        advice = _TO_GO_ON if store is None else _TO_GO_ON + _STORED.format(store=store)
        html = (
            f'<div class="isi-kept {NO_FORMULAS}" data-study="{id}" data-still="{self._stills}">'
            f"{_STYLE.format(id=id)}{page}"
            f'<div style="{QUIET};margin-top:4px">{escape(advice)}</div></div>'
        )
        return {"text/html": html, "text/plain": repr(self.study)}

    def _keep(self) -> None:
        """Bring the kept page in the notebook's outputs up to date."""
        if self._displayed:
            display(self._still(), display_id=self._kept, update=True, raw=True)
            self._put(stills=self._stills)

    def _send_still(self) -> None:
        """Send the kept page to a page whose notebook has an older one: JupyterLab forgets which output is
        meant when it is loaded again.
        """
        data = self._still()
        self._page.tell({"kind": "still", "number": self._stills, "data": data})


def _failures(reasons: Sequence[Any], others: int) -> dict[str, Any]:
    return {"reasons": [asdict(reason) for reason in reasons], "others": others}


def _follow(run: Run, view: weakref.ref[StudyView]) -> None:
    """Look at a run until it is over, or until its view is closed or forgotten."""
    further = True
    while further:
        run.wait(_PAUSE)
        shown = view()
        further = shown is not None and shown._look(run)
        del shown
