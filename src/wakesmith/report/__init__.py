"""The report for people: plain values in; a table for the terminal, or one self-contained page, out."""

from wakesmith.report.facts import check, of_phrases, warnings
from wakesmith.report.page import html
from wakesmith.report.terminal import table

__all__ = ["check", "html", "of_phrases", "table", "warnings"]
