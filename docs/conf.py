"""Configuration of the documentation: `pip install '.[docs]' && sphinx-build -W docs docs/_build`."""

project = "xaudio"
author = "the xaudio developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "example-plugin"]
html_theme = "furo"
myst_heading_anchors = 3
napoleon_google_docstring = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
default_role = "literal"
suppress_warnings = ["ref.python"]  # shapes such as (samples,) in docstrings are words, not references
