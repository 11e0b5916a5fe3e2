"""The shipped folder: card.json beside the model file. Save, load, check."""

from __future__ import annotations

import contextlib
import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wakesmith.disk import is_file
from wakesmith.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from wakesmith.card import Card, Measured, OperatingPoint
    from wakesmith.promise import Promise

FORMAT_VERSION: Literal[2] = 2
"""1 had one `phrase` with one `operating_point`; such cards are read as those of a single phrase."""
CARD = "card.json"
README = "README.md"
"""The model card: card.json for people, written with it."""
MAX_CARD_BYTES = 1 << 20
MAX_MODEL_BYTES = 1 << 29


def save_card(folder: str | Path, card: Card) -> None:
    """Write card.json, and the model card that says the same to people. The same card and model give the same bytes."""
    from wakesmith.report import card as model_card

    model = Path(folder) / card.model
    text = json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
    _write(Path(folder) / README, model_card.text(card, model.stat().st_size if model.is_file() else None))
    _write(Path(folder) / CARD, text + "\n")


def _write(path: Path, text: str) -> None:
    """Aside first, then renamed."""
    aside = path.with_name(path.name + ".part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def load_card(folder: str | Path) -> Card:
    """Read and validate card.json; the model file is not looked at. Raises BundleError."""
    from wakesmith import config
    from wakesmith.card import Card

    path, data = Path(folder) / CARD, read(folder)
    try:
        card: Card = config.parse(Card, data, str(path))
    except ConfigError as error:
        raise BundleError(f"{error} Export the bundle again.") from error
    check_counts(path, card)
    return card


def read(folder: str | Path) -> Any:
    """What card.json holds, of format 1 as of today's; nothing of it is validated. Raises BundleError."""
    path = Path(folder) / CARD
    if not is_file(path):
        if is_file(inside := Path(folder) / "bundle" / CARD):
            raise BundleError(f"{folder}: is a run folder. Name the bundle in it: {inside.parent}")
        raise BundleError(f"{folder}: not a bundle: no {CARD} in it. Name the folder that `wakesmith export` wrote.")
    if path.stat().st_size > MAX_CARD_BYTES:
        raise BundleError(f"{path}: larger than {MAX_CARD_BYTES} bytes, so no card of ours. Export the bundle again.")
    try:
        data = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not readable as JSON ({error}). Export the bundle again.") from error
    if isinstance(data, dict) and data.get("format_version") not in (1, FORMAT_VERSION):
        found = data.get("format_version")
        raise BundleError(f"{path}: format_version {found!r}, this Wakesmith reads 1 and {FORMAT_VERSION}. Export again.")
    return _of_one_phrase(data) if isinstance(data, dict) and data["format_version"] == 1 else data


def check_counts(path: Path, card: Card | Promise) -> None:
    """Numbers of a card that have to fit one another. Raises BundleError."""
    if card.step_samples % card.scores_per_step:
        raise BundleError(
            f"{path}: step_samples {card.step_samples} is no multiple of scores_per_step {card.scores_per_step}. Export again."
        )
    if len(card.phrases) >= len(card.labels):
        raise BundleError(
            f"{path}: {len(card.phrases)} phrases among {len(card.labels)} labels, none is left for other sounds. Export again."
        )


def check(folder: str | Path) -> Card:
    """Validate the card, and the model file's place, size and hash. Raises BundleError."""
    card = load_card(folder)
    check_model(folder, card)
    return card


def check_model(folder: str | Path, card: Card | Promise) -> None:
    """The model file's place, size and hash. Raises BundleError."""
    path = Path(folder) / card.model
    if not is_file(path):
        raise BundleError(f"{path}: the card names this model file, but it is missing. Copy the whole bundle again.")
    if path.resolve().parent != Path(folder).resolve():
        raise BundleError(f"{path}: points out of the bundle's folder. Put the model file itself there.")
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise BundleError(f"{path}: larger than {MAX_MODEL_BYTES >> 20} MB, so no model of ours. Export the bundle again.")
    if file_sha256(path) != card.sha256:
        raise BundleError(f"{path}: its sha256 is not the card's: the file changed or is damaged. Copy the whole bundle again.")


def set_operating_point(folder: str | Path, *points: OperatingPoint | None) -> Card:
    """Write where the bundle fires into its card, a point for each phrase in their order; what was measured at others goes."""
    return _with(folder, [{"operating_point": point, "measured": None} for point in points])


def set_measured(folder: str | Path, *measured: Measured | None) -> Card:
    """Write what was measured at the operating points into the card, phrase by phrase in their order."""
    return _with(folder, [{"measured": one} for one in measured])


def _with(folder: str | Path, changes: list[dict[str, Any]]) -> Card:
    card = load_card(folder)
    phrases = [one.model_copy(update=change) for one, change in zip(card.phrases, changes, strict=True)]
    card = card.model_copy(update={"phrases": phrases})
    save_card(folder, card)
    return card


def file_sha256(path: Path) -> str:
    digest = _sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 18):
            digest.update(part)
    return str(digest.hexdigest())


def _sha256() -> Any:
    """Python's own. OpenSSL's, which hashlib loads first, takes a tenth of a listener's memory."""
    for name in ("_sha2", "_sha256"):  # of Python 3.12 and of 3.11
        with contextlib.suppress(ImportError):
            return importlib.import_module(name).sha256()
    return importlib.import_module("hashlib").sha256()


def _of_one_phrase(data: dict[str, Any]) -> dict[str, Any]:
    """A card of format 1 as one of today's."""
    kept = {key: value for key, value in data.items() if key not in ("phrase", "operating_point")}
    only = {"text": data.get("phrase"), "operating_point": data.get("operating_point")}
    return {**kept, "format_version": FORMAT_VERSION, "phrases": [only]}


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")
