"""Explanations measured: evaluation, truth, statistics, comparison, timing."""
