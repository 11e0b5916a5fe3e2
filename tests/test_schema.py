"""Settings as rows for people: nothing is left out, and what is said is what the models check."""

from typing import Annotated, Literal

from pydantic import Field

from wakesmith import card, config, registry, schema
from wakesmith.config import Settings
from wakesmith.steps._recipe import Recipe


class Inner(Settings):
    low: int = Field(default=1, ge=1, lt=9)
    high: int = 2
    """Above it."""
    RISING = (("low", "high"),)


class Outer(Settings):
    name: str
    """What it is called,
    on two lines."""
    inner: Inner = Inner()
    span: Annotated[list[float], config.span(0, 2)] = [0.5, 1.0]
    choice: Literal["a", "b"] | None = None
    student: config.Student = Field(default_factory=lambda: config.part("students", "ds_cnn"))


def test_each_key_is_told_with_type_default_limits_and_docstring():
    found = {key.path: key for key in schema.keys(Outer)}

    assert list(found) == ["name", "inner.low", "inner.high", "span", "choice", "student"]
    assert (found["name"].default, found["name"].text) == ("", "What it is called, on two lines.")
    assert (found["inner.low"].type, found["inner.low"].allowed) == ("whole number", "from 1 under 9")
    assert (found["inner.high"].allowed, found["inner.high"].text) == ("not below low", "Above it.")
    assert found["span"].allowed == "two rising numbers from 0 to 2"
    assert (found["choice"].type, found["choice"].default) == ("one of a, b or none", "none")
    assert (found["student"].type, found["student"].default, found["student"].part_of) == (
        "one of the students",
        "ds_cnn",
        "students",
    )


def test_docstrings_of_a_base_are_told_too():
    found = {key.path: key.text for key in schema.keys(registry.load("losses", "dkd").Config)}

    assert found["temperature"].startswith("Divides")
    assert found["target_weight"].startswith("Weight of TCKD")


def test_each_key_of_the_recipe_is_one_that_set_takes():
    values = Recipe(phrase="hey nova").model_dump(mode="json")
    for key in schema.keys(Recipe):
        here = values
        for word in key.path.split("."):
            assert word in here
            here = here[word]


def test_each_key_of_a_run_and_of_its_parts_says_what_it_does():
    models = [registry.load(kind, name).Config for kind in registry.KINDS for name in registry.names(kind) if name != "onnx_int8"]

    assert [f"{model.__module__} {key.path}" for model in (Recipe, *models) for key in schema.keys(model) if not key.text] == []


def test_each_key_of_the_card_says_what_it_is():
    models = (card.Card, card.Phrase, card.OperatingPoint, card.Measured, card.Misses, card.Rate, card.Source)

    assert [f"{model.__name__} {key.path}" for model in models for key in schema.keys(model) if not key.text] == []
