"""Configuration of the documentation: `pip install '.[docs]' && sphinx-build -W docs docs/_build`."""

import re
import textwrap

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

project = "xaudio"
author = "the xaudio developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "example-plugin", "example-command"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["column.css"]
myst_heading_anchors = 3
napoleon_google_docstring = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
default_role = "literal"
smartquotes_action = "qe"  # no dashes: --out is an option
suppress_warnings = ["ref.python"]  # shapes such as (samples,) in docstrings are words, not references


def escape_shapes(app, what, name, item, options, lines):
    """Shapes such as (batch, channels, *axes) and magnitudes such as |x| are text and no markup, outside backticks."""
    for number, line in enumerate(lines):
        lines[number] = re.sub(r"`+[^`]*`+|(?<!\\)(?:\*(?=axes\b)|\|)", lambda m: m[0] if "`" in m[0] else f"\\{m[0]}", line)


def commands_of(command, name):
    """Each command below a group with its whole name, those of plugins too."""
    if not hasattr(command, "list_commands"):
        yield name, command
        return
    context = command.context_class(command, info_name=name)
    for part in command.list_commands(context):
        yield from commands_of(command.get_command(context, part), f"{name} {part}")


class Commands(SphinxDirective):
    """The reference of the command line, from the commands themselves."""

    def run(self):
        """A section for each command: what it does, and its arguments and options."""
        import typer

        from xaudio.cli.app import app

        return [self.section(name, command) for name, command in commands_of(typer.main.get_command(app), "xaudio")]

    def section(self, name, command):
        """What a command does, and a row for each argument and option."""
        section = nodes.section(ids=[nodes.make_id(name)])
        section += nodes.title(text=name)
        section += nodes.paragraph(text=" ".join((command.help or "").split()))
        rows = nodes.definition_list()
        for option in command.params:
            names = ", ".join(option.opts) if option.param_type_name == "option" else option.name.upper()
            words = getattr(option, "help", None) or ""
            default = "" if option.required or option.default in (None, "", False) else f" [default: {option.default}]"
            term = nodes.term("", "", nodes.literal(text=names))
            told = nodes.paragraph(text=(words + default if "[default" not in words else words))
            rows += nodes.definition_list_item("", term, nodes.definition("", told))
        if len(rows):
            section += rows
        if command.epilog:
            examples = textwrap.dedent(command.epilog.partition("Examples:\n")[2])
            section += [nodes.paragraph(text="Examples:"), nodes.literal_block(text=examples, language="sh")]
        return section


def setup(app):
    """Escape after napoleon has read the sections."""
    app.add_directive("commands", Commands)
    app.connect("autodoc-process-docstring", escape_shapes, priority=900)
