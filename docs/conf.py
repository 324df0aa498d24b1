"""Configuration of the documentation: `pip install '.[docs]' && sphinx-build -W docs docs/_build`."""

import re

project = "xaudio"
author = "the xaudio developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "example-plugin", "example-command"]
html_theme = "furo"
myst_heading_anchors = 3
napoleon_google_docstring = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
default_role = "literal"
suppress_warnings = ["ref.python"]  # shapes such as (samples,) in docstrings are words, not references


def escape_shapes(app, what, name, item, options, lines):
    """Shapes such as (batch, channels, *axes) and magnitudes such as |x| are text and no markup, outside backticks."""
    for number, line in enumerate(lines):
        lines[number] = re.sub(r"`+[^`]*`+|(?<!\\)(?:\*(?=axes\b)|\|)", lambda m: m[0] if "`" in m[0] else f"\\{m[0]}", line)


def setup(app):
    """Escape after napoleon has read the sections."""
    app.connect("autodoc-process-docstring", escape_shapes, priority=900)
