"""Hypotheses tested by manipulation: what is changed in a test set, its matched controls, and what is found."""
