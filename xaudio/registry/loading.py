"""Find, load and create plugins."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any

import pluggy

from ..errors import PluginError, unknown
from . import hookspecs
from .options import check_options, jsonable, options_of

SPEC = "_xaudio_spec"
"""Attribute in which a representation or a data set keeps the name and the options it was made of, so that what is saved can make
it again; a data set all options, defaults and all."""

KINDS = ("dataset", "representation", "model", "loader", "explainer", "separator", "renderer", "metric", "benchmark", "engine")
FEATURES = ("command", "report", "server")
"""What a plugin offers beside factories; it is asked for when it is first needed, since commands import typer."""

ADAPT = "adapt"
"""The one hook that is called with an object, and offers nothing by name."""


@dataclass(frozen=True)
class Plugin:
    """An entry point of a distribution: what it is, and why it could not be loaded, if so."""

    name: str
    module: str
    distribution: str
    version: str
    error: str = ""
    provides: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"


class Registry:
    """Plugins of one set of entry points, loaded one by one: one that fails is named and the rest go on.

    Parameters
    ----------
    sources : iterable of EntryPoint
        By default those of the group ``xaudio`` in this environment.

    Attributes
    ----------
    plugins : list of Plugin
    """

    def __init__(self, sources: Iterable[EntryPoint] | None = None) -> None:
        self.plugins: list[Plugin] = []
        self._offers: dict[tuple[str, str], list[tuple[Plugin, Callable[..., Any]]]] = {}
        self._unasked: dict[str, list[tuple[Plugin, Callable[[], Any]]]] = {kind: [] for kind in FEATURES}
        self._adapters: list[Callable[..., Any]] = []
        entries = entry_points(group=hookspecs.PROJECT) if sources is None else sources
        origin = cache(_origin)  # of 50 plugins of one distribution it is read once
        for source in sorted(entries, key=lambda entry: entry.name):
            self._load(source, Plugin(source.name, source.value, *origin(source.dist)))

    def _load(self, source: EntryPoint, plugin: Plugin) -> None:
        try:
            hooks = _hooks_of(source.load(), source.name)
            adapter = hooks.pop(ADAPT, None)
            offers = {kind: _offered(kind, hook) for kind, hook in hooks.items() if kind not in FEATURES}
        except (Exception, SystemExit) as error:  # a plugin may fail in any way; the others must go on
            self.plugins.append(replace(plugin, error=_reason(error)))
            return
        self.plugins.append(plugin)
        self._adapters += [adapter] if adapter else []
        for kind, factories in offers.items():
            self._add(plugin, kind, factories)
        for kind in hooks.keys() & FEATURES:
            self._unasked[kind].append((plugin, hooks[kind]))

    def _add(self, plugin: Plugin, kind: str, offers: Mapping[str, Callable[..., Any]]) -> None:
        plugin.provides[kind] = tuple(sorted(offers))
        for name, offer in offers.items():
            self._offers.setdefault((kind, name), []).append((plugin, offer))

    def _ask(self, kind: str) -> None:
        """Ask the plugins for their commands, reports or servers, once."""
        for plugin, hook in self._unasked.pop(kind, ()):
            try:
                self._add(plugin, kind, _offered(kind, hook))
            except (Exception, SystemExit) as error:
                self._fail(plugin, _reason(error))

    def _fail(self, plugin: Plugin, error: str) -> None:
        """Note what went wrong in a plugin that was loaded, beside what is noted of its other hooks."""
        place = next(index for index, kept in enumerate(self.plugins) if replace(kept, error="") == plugin)
        errors = filter(None, (self.plugins[place].error, error))
        self.plugins[place] = replace(plugin, error="; ".join(errors))

    def problems(self) -> list[str]:
        """One line per plugin that failed to load and per name that two plugins offer."""
        failed = [f"The plugin {plugin} could not be loaded: {plugin.error}" for plugin in self.plugins if plugin.error]
        return failed + [self._collision(kind, name) for (kind, name), offers in self._offers.items() if len(offers) > 1]

    def _collision(self, kind: str, name: str) -> str:
        owners = " and ".join(str(plugin) for plugin, _ in self._offers[kind, name])
        return f"The {kind} {name!r} is offered by {owners}: uninstall one of them."

    def names(self, kind: str) -> list[str]:
        """Names of all plugins of a kind, or of the commands, reports or servers that plugins bring."""
        self._ask(kind)
        return sorted(name for offered, name in self._offers if offered == kind)

    def spelt(self, kind: str, name: str) -> str:
        """A name as its plugin spells it, if it differs in hyphens, underscores and capitals only (IntegratedGradients)."""
        if (kind, name) in self._offers:
            return name
        return next((offered for offered in self.names(kind) if _bare(offered) == _bare(name)), name)

    def factory(self, kind: str, name: str) -> Callable[..., Any]:
        """Factory of a plugin.

        Raises
        ------
        PluginError
            If no plugin, or more than one, offers the name.
        """
        self._ask(kind)
        offers = self._offers.get((kind, self.spelt(kind, name)))
        if offers is None:
            failed = "".join(f" {line}" for line in self.problems())
            raise PluginError(unknown(kind, name, self.names(kind)) + failed)
        if len(offers) > 1:
            raise PluginError(self._collision(kind, name))
        return offers[0][1]

    def offered(self, kind: str, name: str) -> Callable[..., Any] | None:
        """Factory of a plugin; None if no plugin, or more than one, offers the name."""
        offers = self._offers.get((kind, name), [])
        return offers[0][1] if len(offers) == 1 else None

    def owner(self, kind: str, name: str) -> Plugin:
        """The plugin that offers a name."""
        self.factory(kind, name)
        return self._offers[kind, self.spelt(kind, name)][0][0]

    def adapted(self, model: Any, feature_extractor: Any = None) -> Any:
        """What the first plugin that knows an object makes of it; None if none does. See the hook ``xaudio_adapt``."""
        answers = (adapter(model=model, feature_extractor=feature_extractor) for adapter in self._adapters)
        return next((answer for answer in answers if answer is not None), None)

    def create(self, kind: str, name: str, options: Mapping[str, Any] | None = None) -> Any:
        """Make a plugin's object, with its options checked and converted.

        Raises
        ------
        PluginError
            For an unknown name or option, or a value that does not fit.
        """
        factory = self.factory(kind, name)
        given = check_options(f"{kind} {name!r}", factory, options or {})
        made = factory(**given)
        if kind in ("representation", "dataset"):
            options = given if kind == "representation" else {**_defaults(factory), **given}
            with contextlib.suppress(AttributeError):  # of an object that takes none
                object.__setattr__(made, SPEC, {"name": self.spelt(kind, name), "options": jsonable(options)})
        return made


def _origin(distribution: Distribution | None) -> tuple[str, str]:
    """Name and version, which are read from a file."""
    metadata = distribution.metadata if distribution else {"Name": "?", "Version": "?"}
    return metadata["Name"], metadata["Version"]


def _defaults(factory: Callable[..., Any]) -> dict[str, Any]:
    return {name: option.default for name, option in options_of(factory).items()}


def _bare(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


def _reason(error: BaseException) -> str:
    """What went wrong in a plugin, in one line."""
    return " ".join((str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}").split())


def _hooks_of(module: Any, name: str) -> dict[str, Callable[[], Any]]:
    """The hooks that a plugin module implements, by kind, after checking their names."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name=name)
    hooks = {hook.name for hook in manager.get_hookcallers(manager.get_plugin(name)) or ()}
    specified = {hook for hook, _ in inspect.getmembers(hookspecs, inspect.isfunction) if hook.startswith("xaudio_")}
    for hook in hooks - specified:
        raise PluginError(f"{unknown('hook', hook, specified)} Hooks of a plugin must have one of these names.")
    if not hooks:
        raise PluginError(f"It has no hooks: mark a function such as {min(specified)!r} with @hookimpl of xaudio.plugin.")
    return {hook.removeprefix("xaudio_").removesuffix("s"): getattr(manager.hook, hook) for hook in sorted(hooks)}


def _offered(kind: str, hook: Callable[[], Any]) -> dict[str, Callable[..., Any]]:
    """What a hook offers, by name, after checking it."""
    offers: dict[str, Callable[..., Any]] = {}
    # pluggy leaves out a hook that returned None: that is a mistake here, not an empty offer.
    for factories in hook() or (None,):
        if not isinstance(factories, Mapping):
            shown = repr(factories) if len(repr(factories)) < 80 else type(factories).__name__
            raise PluginError(f"Its hook 'xaudio_{kind}s' returned {shown}; expected a mapping from names to factories.")
        for name, factory in factories.items():
            if not isinstance(name, str) or not re.fullmatch(r"[^\s:,=+/]+", name):
                rule = "expected text without blanks, ':', ',', '=', '+' and '/'"
                raise PluginError(f"Its hook 'xaudio_{kind}s' offers a factory by the name {name!r}; {rule}.")
            if not callable(factory):
                raise PluginError(f"Its hook 'xaudio_{kind}s' offers {factory!r} as {name!r}; expected a factory.")
            if kind not in FEATURES:
                options_of(factory)
            offers[name] = factory
    return offers


@cache
def registry() -> Registry:
    """The plugins of this environment, loaded once."""
    return Registry()
