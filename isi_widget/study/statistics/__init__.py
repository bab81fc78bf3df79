"""What the rows of a study show: means, paired differences, rankings, calibration, curves, modality.

Pure functions of a frame with the columns of a stored study (`Study.rows`); no model, no drawing (see
`isi_widget.report.studies`). Observations are the independent cases everywhere: seeds and conditions of one
observation are not.
"""

from isi_widget.study.statistics.calibration import Calibration, calibration
from isi_widget.study.statistics.curves import curves
from isi_widget.study.statistics.modality import modality
from isi_widget.study.statistics.paired import paired
from isi_widget.study.statistics.ranking import RiskCoverage, auroc, risk_coverage
from isi_widget.study.statistics.reading import columns_for
from isi_widget.study.statistics.table import baselines, table, unjudged

__all__ = [
    "Calibration",
    "RiskCoverage",
    "auroc",
    "baselines",
    "calibration",
    "columns_for",
    "curves",
    "modality",
    "paired",
    "risk_coverage",
    "table",
    "unjudged",
]
