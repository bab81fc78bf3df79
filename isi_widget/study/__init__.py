"""Many observations through one model: what is usual for it on a data set, to hold one trial against.

`record` what is kept · `run` the run, which can go on later · `identity` whose numbers they are · `beside`
which averages belong to a trial, and what they say of it · `page` how they look in a notebook ·
`conditions` ready-made sets of conditions · `before_after` measures over minimal pairs.
Not for one trial (`isi_widget.trial`) nor for a few side by side (`isi_widget.study.compare`).
"""

from isi_widget.study import conditions
from isi_widget.study.beside import averages_for, for_trial, tell
from isi_widget.study.record import METRICS, Averages, Row
from isi_widget.study.run import averages

__all__ = ["METRICS", "Averages", "Row", "averages", "averages_for", "conditions", "for_trial", "tell"]
