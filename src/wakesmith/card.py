"""card.json: what a bundle says of itself, and where it works."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from wakesmith.bundle import FORMAT_VERSION
from wakesmith.config import Settings
from wakesmith.errors import BundleError
from wakesmith.promise import Told

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
    set_by: Literal["peak", "tail", "floor"] | None = None
    """A peak of other sounds there, how their loudest thin out, or the floor; none: a person, or a card that does not say."""


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


class Card(Told, Settings):
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
    def operating_point(self) -> OperatingPoint | None:
        """The only phrase's. Raises BundleError where there are several."""
        if len(self.phrases) > 1:
            raise BundleError(
                f"the bundle hears {len(self.phrases)} phrases ({self.phrase}). Give one that hears a single phrase."
            )
        return self.phrases[0].operating_point
