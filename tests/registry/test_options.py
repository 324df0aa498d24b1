"""Options read from signatures and docstrings, and plugins written as text."""

from typing import Literal

import pytest
from hypothesis import given, strategies as st

from xaudio.errors import PluginError
from xaudio.registry.loading import KINDS, registry
from xaudio.registry.options import REQUIRED, check_options, convert, format_spec, options_of, parse_spec, split_specs, summary_of

FIRST_PARTY = [(kind, name) for kind in KINDS for name in registry().names(kind)]

# What may stand in a specification: anything but the separators, without spaces at the ends.
words = st.text(st.characters(exclude_characters=":=,"), min_size=1).map(str.strip).filter(bool)
values = st.text(st.characters(exclude_characters=",")).map(str.strip)


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
