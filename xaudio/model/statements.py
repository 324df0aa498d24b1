"""What an explainer says of itself: what it takes of a model, relies on and promises; and whether a model offers it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, get_args

from ..errors import ModelError, PluginError, XaudioError
from ..registry.loading import registry
from ..types import Needs, Promise, Reliance
from .model import Model


class Statement(NamedTuple):
    """What an explainer says of itself; see `xaudio.types.Explainer`.

    Parameters
    ----------
    needs : {"scores", "gradient", "layers"}
        What it takes of the model.
    relies_on : frozenset of {"rules", "functions", "activation-modules"}
        What must hold of the model.
    promises : frozenset of {"sums-to-logit", "nothing-on-zeros"}
        What holds of its relevance.
    control : bool
        Whether it knows nothing of the model.
    """

    needs: Needs = "scores"
    relies_on: frozenset[Reliance] = frozenset()
    promises: frozenset[Promise] = frozenset()
    control: bool = False

    @property
    def runs_backward(self) -> bool:
        """Whether it takes gradients."""
        return self.needs != "scores"


def statement_of(explainer: Any, name: str = "") -> Statement:
    """What an explainer says of itself, by attributes of its own or of the factory that has its name.

    Raises
    ------
    PluginError
        If it says something that there is no word for.
    """
    factory = registry().offered("explainer", name)
    stated = {key: getattr(explainer, key, getattr(factory, key, value)) for key, value in Statement()._asdict().items()}
    label = f"explainer {name or getattr(explainer, '__name__', type(explainer).__name__)!r}"
    return Statement(
        _word(label, "needs", Needs, stated["needs"]),
        _words(label, "relies_on", Reliance, stated["relies_on"]),
        _words(label, "promises", Promise, stated["promises"]),
        bool(stated["control"]),
    )


def _word(label: str, attribute: str, words: Any, stated: Any) -> Any:
    if not isinstance(stated, str) or stated not in get_args(words):
        raise PluginError(f"The {label} has {attribute} = {stated!r}; expected one of {', '.join(get_args(words))}.")
    return stated


def _words(label: str, attribute: str, words: Any, stated: Any) -> frozenset[Any]:
    if isinstance(stated, str) or not isinstance(stated, Iterable):
        raise PluginError(f"The {label} has {attribute} = {stated!r}; expected a set of {', '.join(get_args(words))}.")
    return frozenset(_word(label, f"in {attribute}", words, word) for word in stated)


OFFERED = {
    frozenset({"scores"}): "gives scores only",
    frozenset({"scores", "gradient"}): "gives scores and their gradient, but hides its layers",
}
"""What a message says of a model that does not offer everything."""

NEEDED = {"scores": "scores", "gradient": "the gradient of the scores", "layers": "the model's layers"}


def needed(statement: Statement) -> Needs:
    """What an explainer takes of a model; one that relies on its operations must see them."""
    return "layers" if statement.relies_on else statement.needs


def check_offers(model: Model, explainer: Any, name: str = "") -> None:
    """Raise `ModelError` if an explainer needs what a model does not offer, naming those that would work.

    Parameters
    ----------
    model : Model
    explainer : callable
    name : str
        Of the plugin, if it is one.
    """
    wanted = needed(statement_of(explainer, name))
    if wanted in model.offers:
        return
    shown = name or getattr(explainer, "__name__", type(explainer).__name__)
    raise ModelError(
        f"{shown} needs {NEEDED[wanted]}, but the model ({model.source}) {OFFERED.get(model.offers, 'offers too little')}. "
        f"Explainers that work: {', '.join(_working(model))}."
    )


def _working(model: Model) -> list[str]:
    """The installed explainers that need no more than a model offers, but for those that know nothing of it."""
    stated = {name: _stated(name) for name in registry().names("explainer")}
    return [name for name, said in stated.items() if said and not said.control and needed(said) in model.offers]


def _stated(name: str) -> Statement | None:
    """What an installed explainer says of itself; None of one that cannot be made without options."""
    try:
        return statement_of(registry().create("explainer", name), name)
    except XaudioError:
        return None
