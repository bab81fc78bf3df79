"""Floor 4: one stimulus meets one VLM, and everything that comes out is kept in a `Trial`.

`record` the record · `run` making it · `settings` how · `terms` what the measures are called and mean ·
`view` the record as plain JSON and as a row · `code` as Python (`code_pictures`, `literals`).
Not for drawing (`isi_widget.report`) nor for many trials (`isi_widget.study`).
"""

from isi_widget.trial.record import Trial
from isi_widget.trial.run import OnText, choose_judge, measure_uncertainty, run_trial
from isi_widget.trial.settings import Settings

__all__ = ["OnText", "Settings", "Trial", "choose_judge", "measure_uncertainty", "run_trial"]
