"""Recognisers that take part in a study: power, and what a listener could do."""
