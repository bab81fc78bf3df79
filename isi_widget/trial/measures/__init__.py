"""The measures of a trial, each one object in a file of its own: answer, yes_no, uncertainty, attention.

`base` what a measure is · `registry` the measures by name. Not for running them (`isi_widget.trial.run`).
"""

from isi_widget.trial.measures.base import Measure, Term
from isi_widget.trial.measures.registry import (
    OWN,
    by_default,
    find_measure,
    follow_measures,
    forget_measure,
    measures,
    register_measure,
    registered,
    resolve,
)

__all__ = [
    "OWN",
    "Measure",
    "Term",
    "by_default",
    "find_measure",
    "follow_measures",
    "forget_measure",
    "measures",
    "register_measure",
    "registered",
    "resolve",
]
