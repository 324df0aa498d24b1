"""Options of a plugin: the keyword-only parameters of its factory, read from its signature and docstring."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from ..errors import PluginError, unknown

if typing.TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

REQUIRED = inspect.Parameter.empty
Item = TypeVar("Item")


@dataclass(frozen=True)
class Option:
    """One option of a plugin: its name, type, default (`REQUIRED` if it has none) and description."""

    name: str
    annotation: Any
    default: Any
    description: str

    @property
    def type_name(self) -> str:
        """The type as a person would write it, such as ``'a' | 'b'`` or ``float``."""
        return _type_name(self.annotation)


BOUNDS = {
    "gt": "above {:g}",
    "ge": "{:g} or more",
    "lt": "below {:g}",
    "le": "{:g} at most",
    "multiple_of": "a multiple of {:g}",
}
"""Limits of annotated types, as messages say them."""


def _metadata(annotation: Any) -> Iterator[Any]:
    """What an annotated type says beside the type: limits, groups of limits, pydantic's fields and descriptions."""
    if typing.get_origin(annotation) is typing.Annotated:
        for part in typing.get_args(annotation)[1:]:
            yield from (part, *getattr(part, "metadata", ()))


def _limits(annotation: Any) -> list[str]:
    parts = [(key, getattr(part, key, None)) for part in _metadata(annotation) for key in BOUNDS]
    return [BOUNDS[key].format(limit) for key, limit in parts if limit is not None]


def _members(annotation: Any) -> Iterator[Any]:
    """A type and those it is made of: of a union, of a tuple, and what is annotated."""
    yield annotation
    if typing.get_origin(annotation) is typing.Annotated:
        yield from _members(typing.get_args(annotation)[0])
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType, tuple):
        for part in typing.get_args(annotation):
            yield from _members(part)


def _type_name(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return ", ".join([_type_name(typing.get_args(annotation)[0]), *_limits(annotation)])
    if origin is typing.Literal:
        return " | ".join(str(choice) for choice in typing.get_args(annotation))
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_type_name(part) for part in typing.get_args(annotation))
    if annotation is type(None):
        return "none"
    if origin is tuple:
        members = typing.get_args(annotation)
        return ",".join(_type_name(part) if part is not Ellipsis else "..." for part in members)
    return getattr(annotation, "__name__", str(annotation)) if origin is None else str(annotation).replace("typing.", "")


def _words(annotation: Any) -> str:
    """The description that an annotated type carries, as pydantic's ``Field(description=...)`` or ``Doc(...)`` does."""
    texts = (getattr(part, key, None) for part in _metadata(annotation) for key in ("description", "documentation"))
    return next((text for text in texts if text), "")


@cache
def options_of(factory: Callable[..., Any]) -> dict[str, Option]:
    """Options of a factory, by name.

    Parameters
    ----------
    factory : callable
        Its keyword-only parameters become options. Their descriptions are those of the docstring's ``Parameters`` or, where it
        has none, of the annotated type.

    Raises
    ------
    PluginError
        If a parameter is not keyword-only, so that it could not be given by name.
    """
    try:
        hints = typing.get_type_hints(
            factory.__init__ if isinstance(factory, type) else factory,  # type: ignore[misc]
            include_extras=True,
        )
    except Exception as error:  # an annotation that names something which is not imported
        raise PluginError(f"The type hints of {_describe(factory)} cannot be read: {error}.") from error
    described = _parameter_descriptions(inspect.getdoc(factory) or "")
    options = {}
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            raise PluginError(
                f"Parameter {name!r} of {_describe(factory)} must be keyword-only: put it behind a '*' in the signature."
            )
        annotation = hints.get(name, str)
        options[name] = Option(name, annotation, parameter.default, described.get(name) or _words(annotation))
    return options


def _describe(factory: Callable[..., Any]) -> str:
    return f"{getattr(factory, '__module__', '?')}.{getattr(factory, '__qualname__', factory)}"


def _parameter_descriptions(docstring: str) -> dict[str, str]:
    """Descriptions of the parameters in a numpydoc docstring."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", docstring, re.M | re.S)
    described: dict[str, str] = {}
    names: list[str] = []
    for line in section.group(1).splitlines() if section else ():
        if line and not line[0].isspace():
            names = [name.strip() for name in line.split(" : ")[0].split(",")]
            described.update(dict.fromkeys(names, ""))
        elif line.strip():
            described.update({name: f"{described[name]} {line.strip()}".strip() for name in names})
    return described


def summary_of(factory: Callable[..., Any]) -> str:
    """First line of a factory's docstring."""
    return (inspect.getdoc(factory) or "").split("\n", 1)[0]


def examples_of(factory: Callable[..., Any]) -> str:
    """The lines below the heading ``Examples`` of a factory's docstring, such as commands; nothing where there is none."""
    section = re.search(r"^Examples\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", inspect.getdoc(factory) or "", re.M | re.S)
    return section.group(1).strip() if section else ""


def check_options(label: str, factory: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Options converted to the types that the factory declares.

    Parameters
    ----------
    label : str
        How messages name the plugin, such as "explainer 'lrp'".
    factory : callable
    given : mapping
        Values, or strings as they come from a command line.

    Raises
    ------
    PluginError
        For an unknown option (naming the nearest), a missing one, or a value that does not fit.
    """
    options = options_of(factory)
    for name in given:
        if name not in options:
            raise PluginError(f"In the options of {label}: {unknown('option', name, options)}")
    missing = [name for name, option in options.items() if option.default is REQUIRED and name not in given]
    if missing:
        description = options[missing[0]].description
        raise PluginError(f"The {label} needs the option {missing[0]!r}{f' ({description})' if description else ''}.")
    return {name: convert(f"option {name!r} of {label}", options[name].annotation, value) for name, value in given.items()}


def convert(label: str, annotation: Any, value: Any) -> Any:
    """A value, or a string from a command line, as the annotated type; the string "none" is None where that is allowed.

    A number with a bound is finite.

    Parameters
    ----------
    label : str
        What messages call the option.
    annotation : type
        With bounds, as in ``Annotated[int, Field(ge=1)]``.
    value : object

    Raises
    ------
    PluginError
        If the value does not fit, naming what was expected.
    """
    from pydantic import ValidationError

    if annotation is Any:
        return value
    original, parts = value, list(_members(annotation))
    if isinstance(value, str) and value.lower() == "none" and type(None) in parts:
        return None
    for choice in choices_of(annotation):
        if isinstance(value, str) and value == str(choice):  # a choice may be a number
            return choice
    unbounded = not any(map(_limits, parts))
    try:
        if isinstance(value, str) and any(typing.get_origin(part) is tuple for part in parts):
            value = tuple(part.strip() for part in value.split("," if "," in value else "+") if part.strip())
        return _adapter(annotation, unbounded).validate_python(value)
    except ValidationError as error:
        finite = ", finite" if error.errors()[0]["type"] == "finite_number" else ""
        raise PluginError(f"{original!r} does not fit {label}: expected {_type_name(annotation)}{finite}.") from None


def _adapter(annotation: Any, unbounded: bool) -> TypeAdapter[Any]:
    """What makes a value fit a type; made once for a type, unless what is said beside it has no hash."""
    try:
        hash(annotation)
    except TypeError:
        return _made_adapter(annotation, unbounded)
    return _kept_adapter(annotation, unbounded)


def _made_adapter(annotation: Any, unbounded: bool) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=unbounded))
    except PydanticUserError:  # a type that brings a pydantic configuration of its own
        return TypeAdapter(annotation)


_kept_adapter = cache(_made_adapter)


def choices_of(annotation: Any) -> list[Any]:
    """The values of which an option takes one, if its type names them."""
    return [
        choice for part in _members(annotation) if typing.get_origin(part) is typing.Literal for choice in typing.get_args(part)
    ]


def first_fault(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, as "'steps' is -1: input should be greater than 0".

    Parameters
    ----------
    error : pydantic.ValidationError
    """
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "value_error":  # of our own
        return str(first["ctx"]["error"])
    if first["type"] in ("extra_forbidden", "missing"):
        return f"{where!r} is {'unknown' if first['type'] == 'extra_forbidden' else 'missing'}"
    shown = repr(first["input"])
    return f"{where!r} is {shown if len(shown) < 80 else type(first['input']).__name__}: {first['msg'].lower()}"


def parse_spec(text: str) -> tuple[str, dict[str, str]]:
    """Name and options of a plugin written as ``name`` or ``name:key=value,key=value``.

    Parameters
    ----------
    text : str

    Raises
    ------
    PluginError
        If the text has another form.

    Examples
    --------
    >>> parse_spec("lrp:composite=epsilon_plus,epsilon=1e-6")
    ('lrp', {'composite': 'epsilon_plus', 'epsilon': '1e-6'})
    """
    name, colon, rest = text.partition(":")
    options: dict[str, str] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise PluginError(f"Cannot read {part!r} in {text!r}: expected name:option=value,option=value.")
        if key.strip() in options:
            raise PluginError(f"The option {key.strip()!r} is given twice in {text!r}.")
        options[key.strip()] = value.strip()
    if not name.strip():
        raise PluginError(f"No plugin is named in {text!r}: expected name:option=value,option=value.")
    return name.strip(), options


def split_specs(text: str) -> tuple[str, ...]:
    """Several plugins with their options, separated by commas.

    Parameters
    ----------
    text : str

    Examples
    --------
    >>> split_specs("visual,audible:peak=0.5,loudness=match")
    ('visual', 'audible:peak=0.5,loudness=match')
    """
    specs: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if "=" in part.partition(":")[0] and specs and ":" in specs[-1]:
            specs[-1] += f",{part}"
        else:
            specs.append(part)
    return tuple(specs)


def jsonable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON values; tuples as `parse_spec` reads them, and paths from the root, so that they hold anywhere."""
    simple = str | int | float | bool | None
    joined = {name: "+".join(map(str, value)) if isinstance(value, tuple) else value for name, value in options.items()}
    joined = {name: value.absolute() if isinstance(value, Path) else value for name, value in joined.items()}
    return {name: value if isinstance(value, simple) else str(value) for name, value in joined.items()}


def format_spec(name: str, options: Mapping[str, Any]) -> str:
    """The inverse of `parse_spec`, for titles and provenance.

    Parameters
    ----------
    name : str
    options : mapping
    """
    shown = {key: "+".join(map(str, value)) if isinstance(value, tuple) else value for key, value in options.items()}
    return name + (":" + ",".join(f"{key}={value}" for key, value in shown.items()) if options else "")


def for_each(option: str, given: Sequence[Item], count: int) -> list[Item | None]:
    """One value for each model of a benchmark, from none, one for all or one for each.

    Parameters
    ----------
    option : str
        As the user knows it, for the message.
    given : sequence
    count : int
        How many models there are.

    Raises
    ------
    PluginError
        If there is another number of them.
    """
    if len(given) not in (0, 1, count):
        raise PluginError(f"{option} names {len(given)} for {count} models; give one for all, or one for each.")
    return list(given) if len(given) == count else [given[0] if given else None] * count
