"""The shipped folder: card.json (what the model is, and where it works) beside the model file. Save, load, check."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from wakesmith import config
from wakesmith.config import Settings
from wakesmith.disk import is_file
from wakesmith.errors import BundleError, ConfigError

FORMAT_VERSION: Literal[2] = 2
"""1 had one `phrase` with one `operating_point`; such cards are read as those of a single phrase."""
CARD = "card.json"
README = "README.md"
"""The model card: card.json for people, written with it."""
MAX_CARD_BYTES = 1 << 20
MAX_MODEL_BYTES = 1 << 29
MAX_STATE = 10_000_000

Score = Annotated[float, Field(gt=0.0, le=1.0)]


class OperatingPoint(Settings):
    """Where a bundle fires: chosen on dev, shipped with the model."""

    threshold: Score
    """A smoothed score from here on is a detection."""
    smoothing_window: Annotated[int, Field(ge=1, le=1000)] = 1
    """Mean of this many scores."""
    refractory_s: Annotated[float, Field(ge=0.0, le=60.0)] = 1.0
    """Quiet time after a detection."""
    target_fa_per_hour: Annotated[float, Field(gt=0.0)] | None = None
    """False accepts per hour that the threshold was chosen for; none when a person gave it."""
    chosen_on: str
    """Split, and the hours of it, that the choice rests on."""


Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(ge=0.0)]
Name = Annotated[str, Field(max_length=500)]


class Misses(Settings):
    """Phrases missed of n said, the share, and its 95 % interval (Wilson)."""

    name: Name
    """The condition they were said in, or the source of the recordings."""
    missed: Count
    """Phrases that were not heard."""
    n: Count
    """Phrases that were said."""
    frr: Positive
    """Their share."""
    low: Positive
    """Lower end of its interval."""
    high: Positive
    """Upper end."""


class Rate(Settings):
    """Detections in other sounds, their number an hour, and its 95 % interval (Poisson; one-sided for none)."""

    count: Count
    """Detections."""
    hours: Positive
    """Hours that were heard."""
    per_hour: Positive
    """Detections an hour."""
    low: Positive
    """Lower end of its interval."""
    high: Positive
    """Upper end."""


class Measured(Settings):
    """What `wakesmith evaluate` found at the operating point, on a split that chose nothing."""

    split: Literal["test"] = "test"
    """Never dev, which chose the operating point."""
    false_accepts: Rate
    """Over all hours of other sounds."""
    predicted: Rate | None = None
    """What dev let expect of sound like its own: its count and hours, and the rate of unseen audio."""
    conditions: Annotated[list[Misses], Field(max_length=1000)]
    """By the sound under the phrases."""
    sources: Annotated[list[Misses], Field(max_length=1000)] = []
    """Clean, by who said it: real voices are not averaged with made ones."""
    near_misses: Count = 0
    """Phrases said that sound like it."""
    near_misses_fired: Count = 0
    """Of these, how many woke it."""
    delay_s: float | None = None
    """From the end of a phrase until its detection, clean, in the middle; none where nothing was heard."""
    late_s: float | None = None
    """95 of 100 detections come no later."""


class Source(Settings):
    """Recordings that the student learned from: those of one source under one licence."""

    name: Name
    """Of the data set or the voice."""
    licence: Name
    """As the source says."""
    recordings: Annotated[int, Field(ge=1)]
    """How many of them."""
    hours: Positive
    """Of sound."""
    fingerprint: Annotated[str, Field(max_length=64)] = ""
    """Of all that the source gave, test's recordings too: sound, text, speaker, split; empty: not kept."""


class Phrase(Settings):
    """What wakes the device, and where its score fires."""

    text: Annotated[str, Field(min_length=1, max_length=200)]
    """As it is written."""
    operating_point: OperatingPoint | None = None
    """None until `wakesmith evaluate` has chosen it."""
    measured: Measured | None = None
    """At that operating point; None until `wakesmith evaluate` has measured it."""


class Card(Settings):
    """What a bundle says of itself. All counts are of samples at `rate_hz`, or plain numbers."""

    format_version: Literal[2] = FORMAT_VERSION
    """Another number is refused by a program that does not know it."""
    phrases: Annotated[list[Phrase], Field(min_length=1, max_length=100)]
    """In the order of the model's scores."""
    language: Annotated[str, Field(min_length=1, max_length=20)]
    """As espeak-ng names it."""
    labels: Annotated[list[str], Field(min_length=2, max_length=1000)]
    """Classes inside; the scores are the probabilities of the first, one for each phrase."""
    rate_hz: Annotated[int, Field(ge=8_000, le=48_000)]
    """Of the sound that goes in."""
    step_samples: Annotated[int, Field(ge=1, le=160_000)]
    """Samples that the model takes at once."""
    scores_per_step: Annotated[int, Field(ge=1, le=1000)]
    """Scores that a step gives for each phrase."""
    state_size: Annotated[int, Field(ge=1, le=MAX_STATE)]
    """Numbers that go from a step to the next: (1, state_size), at first zeros."""
    receptive_samples: Annotated[int, Field(ge=1, le=4_800_000)]
    """A score depends on this many samples before it; the runtime hears that much silence first."""
    listens: Literal["streaming", "windowed"]
    """How the student remembers: its own state, or the window of past features."""
    features: dict[str, Any]
    """Settings of the front-end."""
    front_end: Literal["inside", "outside"] = "inside"
    """Inside, the model takes samples; outside, the features (1, T, F) of a step of `step_samples`."""
    student: dict[str, Any]
    """Settings of the student."""
    parameters: Annotated[int, Field(ge=1)]
    """Of the student."""
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")] = "model.onnx"
    """A file of this folder."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the model file."""
    teacher: dict[str, Any] | None = None
    """Who taught it: source, licence, fingerprints, figures on dev; none: it learned from labels alone."""
    data_licences: Annotated[list[str], Field(max_length=1000)] = []
    """Licences of the recordings that the student learned from."""
    data: Annotated[list[Source], Field(max_length=1000)] = []
    """The same, source by source; cards from before it was kept have none."""
    versions: dict[str, str] = {}
    """Of what made it."""
    code: Annotated[str, Field(max_length=64)] = ""
    """Fingerprint of the package's own files that made it; empty: not kept."""
    seed: int = 0
    """Of its run."""

    @field_validator("phrases")
    @classmethod
    def _apart(cls, phrases: list[Phrase]) -> list[Phrase]:
        if len({one.text for one in phrases}) < len(phrases):
            raise ValueError("a phrase is named twice")
        return phrases

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.phrases]

    @property
    def phrase(self) -> str:
        """For people: several with commas between them."""
        return ", ".join(self.texts)

    @property
    def operating_point(self) -> OperatingPoint | None:
        """The only phrase's. Raises BundleError where there are several."""
        if len(self.phrases) > 1:
            raise BundleError(
                f"the bundle hears {len(self.phrases)} phrases ({self.phrase}). Give one that hears a single phrase."
            )
        return self.phrases[0].operating_point

    @property
    def step_s(self) -> float:
        return self.step_samples / self.rate_hz

    @property
    def score_samples(self) -> int:
        """Samples from one score to the next."""
        return self.step_samples // self.scores_per_step


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
    try:
        data = _of_one_phrase(data) if isinstance(data, dict) and data["format_version"] == 1 else data
        card: Card = config.parse(Card, data, str(path))
    except ConfigError as error:
        raise BundleError(f"{error} Export the bundle again.") from error
    if card.step_samples % card.scores_per_step:
        raise BundleError(
            f"{path}: step_samples {card.step_samples} is no multiple of scores_per_step {card.scores_per_step}. Export again."
        )
    if len(card.phrases) >= len(card.labels):
        raise BundleError(
            f"{path}: {len(card.phrases)} phrases among {len(card.labels)} labels, none is left for other sounds. Export again."
        )
    return card


def check(folder: str | Path) -> Card:
    """Validate the card, and the model file's place, size and hash. Raises BundleError."""
    card = load_card(folder)
    path = Path(folder) / card.model
    if not is_file(path):
        raise BundleError(f"{path}: the card names this model file, but it is missing. Copy the whole bundle again.")
    if path.resolve().parent != Path(folder).resolve():
        raise BundleError(f"{path}: points out of the bundle's folder. Put the model file itself there.")
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise BundleError(f"{path}: larger than {MAX_MODEL_BYTES >> 20} MB, so no model of ours. Export the bundle again.")
    if file_sha256(path) != card.sha256:
        raise BundleError(f"{path}: its sha256 is not the card's: the file changed or is damaged. Copy the whole bundle again.")
    return card


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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _of_one_phrase(data: dict[str, Any]) -> dict[str, Any]:
    """A card of format 1 as one of today's."""
    kept = {key: value for key, value in data.items() if key not in ("phrase", "operating_point")}
    only = {"text": data.get("phrase"), "operating_point": data.get("operating_point")}
    return {**kept, "format_version": FORMAT_VERSION, "phrases": [only]}


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")
