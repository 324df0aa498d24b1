"""A study served to browsers without losing an answer."""
