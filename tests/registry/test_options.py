"""Options read from signatures and docstrings, and plugins written as text."""

from typing import Annotated, Literal

import pytest
from hypothesis import given, strategies as st
from pydantic import Field, PositiveInt, conint

from xaudio.errors import PluginError
from xaudio.plugin import AtOnce, ProductPrecision, Share
from xaudio.registry.loading import KINDS, registry
from xaudio.registry.options import REQUIRED, check_options, convert, format_spec, options_of, parse_spec, split_specs, summary_of

FIRST_PARTY = [(kind, name) for kind in KINDS for name in registry().names(kind)]

# What may stand in a specification: anything but the separators, without spaces at the ends.
words = st.text(st.characters(exclude_characters=":=,"), min_size=1).map(str.strip).filter(bool)
values = st.text(st.characters(exclude_characters=",")).map(str.strip)


@pytest.mark.slow
@given(words, st.dictionaries(words, values))
def test_parse_spec_undoes_format_spec(name: str, options: dict[str, str]) -> None:
    assert parse_spec(format_spec(name, options)) == (name, options)


@given(st.text())
def test_any_text_is_a_specification_or_a_plugin_error_of_one_line(text: str) -> None:
    try:
        name, options = parse_spec(text)
    except PluginError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert name == name.strip() != ""
        assert parse_spec(format_spec(name, options)) == (name, options)


@given(st.text(":=, ab", max_size=12))
def test_separators_in_any_order_are_a_specification_or_an_error(text: str) -> None:
    try:
        name, options = parse_spec(text)
    except PluginError:
        # An error has a cause: no name, an option without name or '=', or one given twice.
        name, colon, rest = text.partition(":")
        keys = [part.partition("=")[0].strip() for part in rest.split(",")]
        assert not name.strip() or (
            colon and (any("=" not in part for part in rest.split(",")) or "" in keys or len(set(keys)) < len(keys))
        )
    else:
        assert all(key == key.strip() != "" for key in options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lrp", ("lrp", {})),
        (" lrp : composite = epsilon_plus , epsilon=1e-6 ", ("lrp", {"composite": "epsilon_plus", "epsilon": "1e-6"})),
        ("audiomnist:data=C:\\a=b", ("audiomnist", {"data": "C:\\a=b"})),
        ("x:a=", ("x", {"a": ""})),
    ],
)
def test_parse_spec(text: str, expected: tuple[str, dict[str, str]]) -> None:
    assert parse_spec(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "No plugin is named in ''"),
        (":a=1", "No plugin is named"),
        ("lrp:", "Cannot read ''"),
        ("lrp:a", "Cannot read 'a' in 'lrp:a': expected name:option=value"),
        ("lrp:a=1,,b=2", "Cannot read ''"),
        ("lrp:=1", "Cannot read '=1'"),
        ("lrp:a=1,a=2", "'a' is given twice"),
    ],
)
def test_parse_spec_says_what_it_cannot_read(text: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        parse_spec(text)


def test_format_spec_of_values_that_are_not_text_is_read_back_by_convert() -> None:
    text = format_spec("x", {"folds": (0, 2), "data": None, "rate": 0.5})
    assert text == "x:folds=0+2,data=None,rate=0.5"
    _, options = parse_spec(text)
    assert convert("folds", tuple[int, ...], options["folds"]) == (0, 2)
    assert convert("data", str | None, options["data"]) is None


def documented(
    *,
    rate: int,
    window: Literal["hann", "boxcar"] = "hann",
    low: float = 0.0,
    high: float = 1.0,
    plain: str = "a",
    many: tuple[int, ...] | None = None,
) -> None:
    """First line.

    More text. Parameters are not here.

    Parameters
    ----------
    rate : int
        In Hz, of
        the sound.

        And more.
    window : {"hann", "boxcar"}
    low, high : float
        Limits of the band.

    Returns
    -------
    plain
        This is no parameter.
    """


def test_descriptions_come_from_the_docstring() -> None:
    options = options_of(documented)
    assert list(options) == ["rate", "window", "low", "high", "plain", "many"]
    assert options["rate"].description == "In Hz, of the sound. And more."
    assert options["rate"].default is REQUIRED
    assert options["window"].description == ""
    assert options["low"].description == options["high"].description == "Limits of the band."
    assert options["plain"].description == ""
    assert summary_of(documented) == "First line."


def test_types_are_named_as_a_person_would() -> None:
    names = {name: option.type_name for name, option in options_of(documented).items()}
    assert names["window"] == "hann | boxcar"
    assert names["rate"] == "int"
    assert names["many"] == "int,... | none"


def bounded(
    *,
    steps: PositiveInt = 1,
    samples: Annotated[int, Field(ge=1, description="Of the type.")] = 1,
    width: conint(gt=2, lt=9, multiple_of=3) = 3,
    ends: tuple[Share, ...] = (0.0, 1.0),
    scale: Annotated[float, Field(ge=0)] | None = None,
    mode: Annotated[Literal["a", "b"] | None, Field(description="Of the type.")] = None,
    at_once: AtOnce = 64,
) -> None:
    """First line.

    Parameters
    ----------
    steps : int
        Of the docstring.
    mode : {"a", "b"} or None
        Of the docstring.
    """


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("steps", -3, "int, above 0"),
        ("steps", "0", "int, above 0"),
        ("samples", -3, "int, 1 or more"),
        ("samples", "-3", "int, 1 or more"),
        ("samples", 0, "int, 1 or more"),
        ("samples", "0", "int, 1 or more"),
        ("samples", "many", "int, 1 or more"),
        ("width", 9, "int, above 2, below 9, a multiple of 3"),
        ("width", "4", "int, above 2, below 9, a multiple of 3"),
        ("ends", "0.5+1.5", "float, 0 or more, 1 at most,..."),
        ("ends", (float("nan"),), "float, 0 or more, 1 at most,..., finite"),
        ("scale", -0.5, "float, 0 or more | none"),
        ("scale", "inf", "float, 0 or more | none, finite"),
        ("scale", float("nan"), "float, 0 or more | none, finite"),
        ("mode", "c", "a | b | none"),
        ("at_once", 0, "int | none, 1 or more"),
    ],
)
def test_the_bounds_of_a_type_hold_and_are_named(option: str, value: object, expected: str) -> None:
    with pytest.raises(PluginError) as raised:
        check_options("explainer 'x'", bounded, {option: value})
    assert str(raised.value) == f"{value!r} does not fit option {option!r} of explainer 'x': expected {expected}."


def test_what_is_within_the_bounds_of_a_type_is_converted() -> None:
    given = {"steps": "2", "samples": 3, "width": "6", "ends": "0+0.5", "scale": "none", "mode": "none", "at_once": "none"}
    expected = {"steps": 2, "samples": 3, "width": 6, "ends": (0.0, 0.5), "scale": None, "mode": None, "at_once": None}
    assert check_options("explainer 'x'", bounded, given) == expected


def test_a_type_describes_an_option_that_the_docstring_does_not() -> None:
    described = {name: option.description for name, option in options_of(bounded).items()}
    assert described["steps"] == described["mode"] == "Of the docstring."
    assert described["samples"] == "Of the type."
    assert described["at_once"].startswith("How many inputs the model computes at once")
    assert described["width"] == ""


def test_a_missing_option_without_description_has_no_empty_brackets() -> None:
    def bare(*, data: str) -> None: ...

    with pytest.raises(PluginError, match=r"^The dataset 'd' needs the option 'data'\.$"):
        check_options("dataset 'd'", bare, {})


def test_a_factory_without_docstring_and_options() -> None:
    assert options_of(lambda: 1) == {}
    assert summary_of(lambda: 1) == ""
    assert check_options("explainer 'x'", lambda: 1, {}) == {}
    with pytest.raises(PluginError, match=r"Unknown option 'a'\. Known: none\.$"):
        check_options("explainer 'x'", lambda: 1, {"a": "1"})


@given(st.text(), st.sampled_from([int, float, bool, Literal["a", "b"], tuple[int, ...], int | None, tuple[str, ...] | None]))
def test_any_text_fits_a_type_or_is_a_plugin_error_of_one_line(text: str, annotation: object) -> None:
    try:
        convert("option 'o'", annotation, text)
    except PluginError as error:
        assert len(str(error).splitlines()) == 1
        assert "option 'o'" in str(error)


@given(st.floats(allow_nan=False), st.integers(), st.booleans())
def test_what_is_written_as_text_is_read_back(number: float, whole: int, flag: bool) -> None:
    assert convert("o", float, str(number)) == number
    assert convert("o", int, str(whole)) == whole
    assert convert("o", bool, str(flag)) is flag


@pytest.mark.parametrize(("kind", "name"), FIRST_PARTY, ids=["/".join(item) for item in FIRST_PARTY])
def test_every_first_party_plugin_describes_itself_and_its_options(kind: str, name: str) -> None:
    if registry().owner(kind, name).distribution != "xaudio":
        pytest.skip("installed by a third party")
    factory = registry().factory(kind, name)
    summary = summary_of(factory)
    assert summary.endswith(".")
    assert len(summary) > 15
    undescribed = [
        option.name
        for option in options_of(factory).values()
        if not option.description and (kind, option.name) != ("model", "classes")
    ]
    assert undescribed == []


def test_split_specs_keeps_options_with_their_plugin() -> None:
    assert split_specs("visual, audible:peak=0.5,loudness=match,html") == ("visual", "audible:peak=0.5,loudness=match", "html")
    assert split_specs("") == ()


@pytest.mark.parametrize("option", ["recordings", "top", "references", "draws"])
def test_counts_of_a_benchmark_are_refused_below_1(option: str) -> None:
    with pytest.raises(
        PluginError, match=f"^'0' does not fit option '{option}' of benchmark 'concepts': expected int, 1 or more"
    ):
        registry().create("benchmark", "concepts", {option: "0"})


def test_every_plugin_says_the_precision_of_products_with_the_type_of_the_core():
    """One list of formats and one text, wherever an explainer or a metric has the option."""
    found = {}
    for kind in ("explainer", "metric"):
        for name in registry().names(kind):
            options = options_of(registry().factory(kind, name))
            found |= {name: options["precision"]} if "precision" in options else {}
    assert {"lrp", "gradient", "pixel_flipping", "deletion_auc"} <= set(found)
    assert {option.annotation for option in found.values()} == {ProductPrecision}
    (text,) = {option.description for option in found.values()}
    assert text.startswith("Number format of the network's products.")
    with pytest.raises(PluginError, match=r"expected float32 \| bfloat16"):
        registry().create("explainer", "lrp", {"precision": "float16"})
