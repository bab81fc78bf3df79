"""Floor 4: one stimulus meets one VLM, and everything that comes out is kept in a `Trial`.

`record` the record · `run` making it · `measures/` what can be measured, one object each · `shared` what they
share in a run · `settings` how it is run · `view` the record as plain JSON and as a row · `code` as Python
(`code_pictures`, `literals`) · `labels` of models.
Not for many trials (`isi_widget.study`).
"""

from isi_widget.trial.measures import Measure, Term, register_measure
from isi_widget.trial.record import Trial
from isi_widget.trial.run import measure_uncertainty, run_trial, run_trials
from isi_widget.trial.settings import Settings
from isi_widget.trial.shared import OnText, choose_judge

__all__ = [
    "Measure",
    "OnText",
    "Settings",
    "Term",
    "Trial",
    "choose_judge",
    "measure_uncertainty",
    "register_measure",
    "run_trial",
    "run_trials",
]
