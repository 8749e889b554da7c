"""One page on a trained model, for a reader who knows the data: text, and HTML with pictures."""

from wyner_keras.reporting.document import ReportPage
from wyner_keras.reporting.page import report

__all__ = ["ReportPage", "report"]
