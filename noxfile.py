"""What is run before a change is offered: `nox -s quick` while working, `nox` before a commit is shared."""

import nox

nox.options.sessions = ["quick", "full", "docs"]
nox.options.reuse_existing_virtualenvs = True
PINNED = ("-c", "constraints.txt")
SLOW = "browser or process or trains or bench or data"


@nox.session
def quick(session: nox.Session) -> None:
    """Lint, types, and the tests without marks: about three minutes on two cores."""
    session.install(*PINNED, "-e", ".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("pytest", "-m", f"not ({SLOW})", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Types alone."""
    session.install(*PINNED, "-e", ".[test]")
    session.run("mypy", *session.posargs)


@nox.session
def full(session: nox.Session) -> None:
    """All tests, from an installed copy."""
    session.install(*PINNED, ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, with warnings as errors."""
    session.install(*PINNED, ".[docs]")
    session.run("sphinx-build", "-W", "-b", "html", "docs", "docs/_build/html", *session.posargs)
