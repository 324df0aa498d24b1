"""One self-contained page: tables, figures, players, configuration."""

from __future__ import annotations

import xaudio.plugin

from .manipulation import CONDITIONS
from .results import Results

write_report = xaudio.plugin.report_writer(Results, __package__, lambda results: {**dict(results), "conditions": CONDITIONS})
"""Writes ``report.html`` from what a folder holds."""
