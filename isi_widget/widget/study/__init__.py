"""The interactive view of a study: `view` the widget, `pages` its rows, page by page, `tables` what it shows
above them, `query` what a page may ask for.

Not for running a study (`isi_widget.study`).
"""

from isi_widget.widget.study.view import StudyView

__all__ = ["StudyView"]
