"""Many observations through one model: what is usual for it on a data set, to hold one trial against.

Studies: `condition` a named change, `steps` and `step_values` its parts as data, `drawn` one from a
stimulus · `running` the run, `arguments` what it is given, `header` what was run · `plan` which rows there
are, `work` the unit of work, `engines/` what runs it · `rows` the columns, `table` as Arrow, `store` the
folder, `memory` without one · `study` the result, `again` a row once more, `code` as Python, `analysis` and
`statistics/` its statistics, `report` as a document · `live/` a run that is watched.
Averages: `record` what is kept · `run` the run · `beside` which averages belong to a trial · `page` how they
look in a notebook · `in_use` those in use.
Both: `identity` whose numbers they are · `conditions` ready-made sets of conditions · `before_after` measures
over minimal pairs.
Not for one trial (`isi_widget.trial`) nor for a few side by side (`isi_widget.study.compare`).
"""

from isi_widget.study import conditions
from isi_widget.study.beside import averages_for, for_trial, tell
from isi_widget.study.record import METRICS, Averages, Row
from isi_widget.study.run import averages

__all__ = ["METRICS", "Averages", "Row", "averages", "averages_for", "conditions", "for_trial", "tell"]
