"""Checks of a plugin against the contract of its kind, for the tests of its author.

As in scikit-learn, one test is made of each check::

    import pytest
    from xaudio.testing import checks_of


    @pytest.mark.parametrize("check", checks_of("explainer", "mine"))
    def test_contract(check):
        check()

`xaudio plugins check` makes the same checks.
"""

from __future__ import annotations

from .conformance import Check, ContractError, Result, check, checks_of

__all__ = ["Check", "ContractError", "Result", "check", "checks_of"]
