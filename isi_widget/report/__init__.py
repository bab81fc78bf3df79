"""Floor 5: trials as pictures, pages, rows and code. Not for measuring anything (see `isi_widget.trial`)."""
