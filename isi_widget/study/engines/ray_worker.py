"""`StudyWorker`: a process of a Ray cluster that holds one model and runs units of a study.

It knows no Ray: `ray_engine.py` makes actors of it. Failures come back as records, since an exception of a
library may not be known where the study is driven.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isi_widget._version import __version__
from isi_widget.study.work import How, Unit, judge_of, rows_of
from isi_widget.trial import Measure
from isi_widget.trial import measures as known
from isi_widget.vlm.cluster.actor import failure_record


@dataclass(frozen=True)
class Description:
    """How a worker makes its model.

    Attributes
    ----------
    arguments : arguments of `load_vlm`; None for a model behind a server.
    vlm : model behind a server; else None.
    interventions : interventions that the model is seen with.
    how : how the trials are run.
    measures : measures that were registered where the study is driven.
    """

    arguments: Mapping[str, Any] | None
    vlm: Any
    interventions: tuple[Any, ...]
    how: How
    measures: tuple[Measure, ...] = ()


class StudyWorker:
    """Holds one model, and runs one unit after the other."""

    def __init__(self) -> None:
        self._vlm: Any = None
        self._judge: Any = None

    def load(self, description: Description) -> dict[str, Any]:
        """Load the model and the entailment model.

        Returns
        -------
        {"info": `VLM.info()`, "judge": label of the entailment model, "version"}, or {"error": record}.
        """
        try:
            for measure in description.measures:
                known.register_measure(measure)
            vlm = description.vlm
            if description.arguments is not None:
                from isi_widget.vlm import load_vlm

                vlm = load_vlm(**description.arguments)
            if description.interventions:
                vlm = vlm.intervene(*description.interventions)
            self._vlm, self._judge = vlm, judge_of(vlm, description.how)
            judge = "" if self._judge is None else self._judge.label
            return {"info": vlm.info(), "judge": judge, "version": __version__}
        except Exception as error:
            return {"error": failure_record(error), "version": __version__}

    def rows(self, packed: bytes) -> dict[str, Any]:
        """Return {"rows": the rows of a pickled unit}, or {"error": record}."""
        try:
            unit: Unit = pickle.loads(packed)  # noqa: S301  (of the process that drives the study)
            return {"rows": list(rows_of(self._vlm, unit, judge=self._judge))}
        except Exception as error:
            return {"error": failure_record(error)}
