"""A study while it runs: how far it is, running sums, the updating display of a cell, cancel and resume.

Not for how rows are computed or stored, nor for the interactive view (`isi_widget.widget`).
"""

from isi_widget.study.live.run import Progress, Run
from isi_widget.study.live.shown import Live

__all__ = ["Live", "Progress", "Run"]
