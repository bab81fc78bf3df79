"""PDF reports of trials and comparisons, and reading them back."""

from isi_widget.report.pdf.document import open_report, report

__all__ = ["open_report", "report"]
