"""What is run before a change is offered: `nox -s quick` while working, `nox` before a commit is shared."""

import nox

nox.options.sessions = ["quick", "full", "docs"]
nox.options.reuse_existing_virtualenvs = True
PINNED = ("-c", "constraints.txt")
# Without it each worker, and each process of a test, compiles all modules anew.
BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}


@nox.session
def quick(session: nox.Session) -> None:
    """Lint, types, and the quick tests."""
    session.install(*PINNED, "-e", ".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("pytest", "-m", "quick", *session.posargs, env=BYTECODE)


@nox.session
def types(session: nox.Session) -> None:
    """Types alone."""
    session.install(*PINNED, "-e", ".[test]")
    session.run("mypy", *session.posargs)


@nox.session
def full(session: nox.Session) -> None:
    """All tests, from an installed copy."""
    session.install(*PINNED, ".[test]")
    session.run("pytest", *session.posargs, env=BYTECODE)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, with warnings as errors."""
    session.install(*PINNED, ".[docs]")
    session.run("sphinx-build", "-W", "-b", "html", "docs", "docs/_build/html", *session.posargs)


@nox.session
def transformers(session: nox.Session) -> None:
    """Models of Hugging Face, with the oldest transformers they are taken from."""
    session.install(*PINNED, "-e", ".[test]")
    session.install("--no-deps", "transformers==4.57.6", "huggingface_hub==0.36.2", "tokenizers==0.22.2")
    session.run("pytest", "tests/plugins/huggingface", *session.posargs)


@nox.session
def ray(session: nox.Session) -> None:
    """The engine that starts workers on a cluster of Ray."""
    session.install(*PINNED, "-e", ".[test,ray]")
    session.run("pytest", "-n", "0", "tests/plugins/test_ray.py", *session.posargs)
