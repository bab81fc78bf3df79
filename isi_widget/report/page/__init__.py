"""Reports as one self-contained HTML file: no network, no script, readable on paper and on a small screen.

Not for fragments of notebooks (`isi_widget.report.html`), nor for PDF (`isi_widget.report.pdf`).
"""
