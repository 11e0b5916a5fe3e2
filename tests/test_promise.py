"""What listening reads of a card, without pydantic: the same cards are taken, and the same of them is said."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.hostile_models import Hostile, cards
from tests.test_bundle import card, edited
from tests.test_bundle import folder as folder  # a fixture
from wakesmith import bundle, promise
from wakesmith.card import Card, OperatingPoint, Phrase
from wakesmith.errors import BundleError

POINT = {"threshold": 0.5, "chosen_on": "dev"}


def bare(schema: Any) -> Any:
    """Without words for people."""
    if isinstance(schema, list):
        return [bare(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: bare(one) for key, one in schema.items() if not (key in ("title", "description") and isinstance(one, str))}


def test_the_schema_in_the_package_is_the_cards():
    made = json.dumps(bare(Card.model_json_schema()), indent=1, ensure_ascii=False) + "\n"

    assert promise.SCHEMA.read_text(encoding="utf-8") == made, f"write {promise.SCHEMA.name} anew, as this test makes it"


def test_what_it_promises_is_what_the_card_says(folder: Path):
    edited(folder, phrases=[{"text": "hey nova", "operating_point": POINT}, {"text": "stop"}])
    whole, found = bundle.check(folder), promise.load(folder)

    same = {one.name for one in fields(found)} - {"phrases"}
    assert {name: getattr(found, name) for name in same} == {name: getattr(whole, name) for name in same}
    assert (found.texts, found.phrase, found.score_samples) == (whole.texts, whole.phrase, whole.score_samples)
    point = whole.phrases[0].operating_point
    assert found.phrases[0].operating_point == promise.Point(point.threshold, point.smoothing_window, point.refractory_s)
    assert found.phrases[1].operating_point is None


def test_a_card_of_format_1_is_read_as_one_of_today(folder: Path):
    old = json.loads((folder / bundle.CARD).read_text())
    del old["phrases"]
    (folder / bundle.CARD).write_text(json.dumps({**old, "format_version": 1, "phrase": "hey nova", "operating_point": POINT}))

    assert promise.load(folder).phrases == [promise.Phrase("hey nova", promise.Point(0.5))]


@pytest.mark.parametrize("model", [OperatingPoint, Phrase, Card])
def test_what_a_card_leaves_out_is_what_the_schema_says(model: type):
    mine = {OperatingPoint: promise.Point, Phrase: promise.Phrase, Card: promise.Promise}[model]
    own = {name: field.default for name, field in model.model_fields.items() if not field.is_required()}
    made = {one.name: one.default for one in fields(mine) if one.name in own}

    assert made == {name: own[name] for name in made}


@pytest.mark.parametrize("one", cards(), ids=lambda one: one.name)
def test_listening_refuses_the_cards_that_reading_all_of_it_refuses(one: Hostile, tmp_path: Path):
    def verdict(read: Any) -> bool:
        try:
            read(made)
        except BundleError:
            return False
        return True

    made = one.make(tmp_path)

    assert verdict(promise.load) == verdict(bundle.check)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rate_hz": 0}, r"card\.json: rate_hz: expected a whole number from 8000 to 48000, got 0\. Export"),
        ({"state_size": 1.0}, "state_size: expected a whole number from 1 to 10000000, got 1.0"),
        ({"language": ""}, "language: expected a text of 1 letters or more of at most 20 letters, got ''"),
        ({"front_end": "above"}, "front_end: expected inside or outside, got 'above'"),
        ({"sha256": "x"}, r"sha256: expected a text like \^\[0-9a-f\]"),
        ({"phrase": "x"}, "phrase: there is no such key"),
        (
            {"phrases": [{"text": "a", "operating_point": {**POINT, "threshold": 1.5}}]},
            r"phrases\[0\]\.operating_point\.threshold",
        ),
        ({"phrases": [{"text": "a"}, {"text": "a"}]}, "a phrase is named twice"),
        ({"phrases": [{}]}, r"phrases\[0\]\.text: is missing"),
        ({"versions": {"numpy": 2}}, "versions.numpy: expected a text, got 2"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(folder: Path, changes: dict[str, Any], told: str):
    with pytest.raises(BundleError, match=told):
        promise.load(edited(folder, **changes))


def test_a_card_that_was_saved_is_taken(tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes(b"a file")
    bundle.save_card(tmp_path, card(sha256=bundle.file_sha256(tmp_path / "model.onnx")))

    assert promise.load(tmp_path).sha256 == bundle.check(tmp_path).sha256
