import json
from pathlib import Path
from typing import Any

import pytest

from wakesmith import bundle, load_bundle
from wakesmith.card import Card, OperatingPoint, Phrase
from wakesmith.errors import BundleError

MODEL = b"not a model, but a file"


def card(**changes: Any) -> Card:
    values: dict[str, Any] = {
        "phrases": [Phrase(text="hey nova")],
        "language": "en",
        "labels": ["wake", "near_miss", "speech", "noise"],
        "rate_hz": 16_000,
        "step_samples": 1280,
        "scores_per_step": 2,
        "state_size": 10,
        "receptive_samples": 24_000,
        "listens": "streaming",
        "features": {"name": "log_mel"},
        "student": {"name": "ds_cnn"},
        "parameters": 100,
        "sha256": "0" * 64,
    }
    return Card(**{**values, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(MODEL)
    bundle.save_card(tmp_path, card(sha256=bundle.file_sha256(tmp_path / "model.onnx")))
    return tmp_path


def edited(folder: Path, **changes: Any) -> Path:
    path = folder / bundle.CARD
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def test_a_card_comes_back_as_it_was_saved(tmp_path: Path):
    point = OperatingPoint(threshold=0.7, target_fa_per_hour=0.5, chosen_on="dev")
    saved = card(phrases=[Phrase(text="Grüße", operating_point=point)])
    bundle.save_card(tmp_path, saved)

    assert bundle.load_card(tmp_path) == saved


def test_the_same_card_gives_the_same_bytes(tmp_path: Path):
    bundle.save_card(tmp_path, card())
    first = (tmp_path / bundle.CARD).read_bytes()
    bundle.save_card(tmp_path, bundle.load_card(tmp_path))

    assert (tmp_path / bundle.CARD).read_bytes() == first


def test_a_whole_bundle_passes(folder: Path):
    assert bundle.check(folder).phrase == "hey nova"


def test_an_operating_point_is_written_and_nothing_else_changes(folder: Path):
    before = bundle.load_card(folder)
    point = OperatingPoint(threshold=0.6, smoothing_window=3, refractory_s=1.5, target_fa_per_hour=0.5, chosen_on="dev")

    bundle.set_operating_point(folder, point)

    assert bundle.check(folder) == before.model_copy(update={"phrases": [Phrase(text="hey nova", operating_point=point)]})


def test_a_changed_model_file_is_found(folder: Path):
    (folder / "model.onnx").write_bytes(MODEL + b"!")

    with pytest.raises(BundleError, match="sha256"):
        bundle.check(folder)


def test_a_missing_model_file_is_named(folder: Path):
    (folder / "model.onnx").unlink()

    with pytest.raises(BundleError, match=r"model\.onnx: .* missing"):
        bundle.check(folder)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "a/b.onnx", "..", ".hidden", ""])
def test_a_model_outside_the_folder_is_refused(folder: Path, name: str):
    with pytest.raises(BundleError, match="model"):
        bundle.check(edited(folder, model=name))


def test_a_model_that_is_a_link_out_of_the_folder_is_refused(folder: Path):
    outside = folder / "elsewhere"
    outside.mkdir()
    (folder / "model.onnx").rename(outside / "model.onnx")
    (folder / "model.onnx").symlink_to(outside / "model.onnx")

    with pytest.raises(BundleError, match="points out"):
        bundle.check(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format_version": 3}, "format_version 3"),
        ({"phrase": "x"}, "Did you mean 'phrases'"),
        ({"state_size": 10**12}, "state_size"),
        ({"state_size": "10"}, "state_size"),
        ({"rate_hz": 0}, "rate_hz"),
        ({"scores_per_step": 3}, "multiple of scores_per_step"),
        ({"phrases": [{"text": "hey nova", "operating_point": {"threshold": 1.5, "chosen_on": "dev"}}]}, "threshold"),
        ({"features": {"floor": float("nan")}}, "NaN"),
    ],
)
def test_a_card_that_breaks_the_contract_tells_where(folder: Path, changes: dict[str, Any], told: str):
    with pytest.raises(BundleError, match=told):
        bundle.load_card(edited(folder, **changes))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '"card"', "\x00"])
def test_a_card_that_is_no_mapping_is_a_bundle_error(folder: Path, text: str):
    (folder / bundle.CARD).write_text(text)

    with pytest.raises(BundleError):
        bundle.load_card(folder)


def test_a_card_that_is_not_utf8_is_a_bundle_error(folder: Path):
    (folder / bundle.CARD).write_bytes(b"\xff\xfe\x00")

    with pytest.raises(BundleError):
        bundle.load_card(folder)


def test_a_huge_card_is_not_read(folder: Path):
    (folder / bundle.CARD).write_bytes(b" " * (bundle.MAX_CARD_BYTES + 1))

    with pytest.raises(BundleError, match="larger"):
        bundle.load_card(folder)


def test_a_folder_without_a_card_says_which_folder_is_wanted(tmp_path: Path):
    with pytest.raises(BundleError, match="wakesmith export"):
        load_bundle(tmp_path)


def test_a_model_file_that_is_no_model_is_a_bundle_error(folder: Path):
    with pytest.raises(BundleError, match="cannot load it"):
        load_bundle(folder)
