"""Recordings and data sets, brought to what a model takes, and the domains of time and frequency."""
