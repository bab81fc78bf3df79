"""Reports as PDF. Not for HTML (`page`), nor for reading reports (`isi_widget.trial.reports`)."""
