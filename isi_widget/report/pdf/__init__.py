"""PDF reports of trials and comparisons, and reading them back."""

from isi_widget.report.pdf.document import report

__all__ = ["report"]
