"""Explanations measured: evaluation, truth, perturbation, statistics, comparison, timing."""
