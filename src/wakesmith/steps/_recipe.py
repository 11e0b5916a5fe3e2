"""The recipe: every setting of a run, one section a step. `forge` writes it into the run folder as config.yaml."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, field_validator, model_validator

from wakesmith import registry, run
from wakesmith.config import Features, Loss, Settings, Student, Teacher, merge, parse, part, read_yaml
from wakesmith.data import classes
from wakesmith.errors import ConfigError
from wakesmith.run import WHOLE
from wakesmith.steps._train_settings import NO_LABELS, ask_teacher, learn_labels
from wakesmith.steps._train_settings import Settings as Train
from wakesmith.steps.evaluate import Settings as Evaluate
from wakesmith.steps.export import Settings as Export
from wakesmith.steps.label import Settings as Label
from wakesmith.steps.learn import Settings as Learn
from wakesmith.steps.mine import Settings as Mine
from wakesmith.steps.prepare import Settings as Prepare
from wakesmith.steps.speak import Settings as Speak
from wakesmith.steps.teach import PLAIN_READS
from wakesmith.steps.teach import Settings as Teach
from wakesmith.steps.views import Settings as Views
from wakesmith.students import _suits as suits
from wakesmith.text import composed

PRESETS = Path(__file__).parent.parent / "presets"


class Recipe(Settings):
    phrase: str | list[str]
    """What wakes the device, as it is written; several make a class each."""
    language: str = "en"
    """espeak-ng's name of the language: en, en-gb, es, es-419 (docs/languages.md)."""
    seed: int = Field(default=1, ge=0, lt=2**32)
    """Of all that is drawn by chance; the same seed gives the same run."""
    speak: Speak = Speak()
    data: Prepare = Prepare()
    views: Views = Views()
    teacher: Teacher = Field(default_factory=lambda: part("teachers", "moonshine"))
    """Whom the student imitates; an ensemble is one of them."""
    teach: Teach = Teach()
    label: Label = Label()
    features: Features = Field(default_factory=lambda: part("features", "log_mel"))
    """What the student hears: the front-end."""
    student: Student = Field(default_factory=lambda: part("students", "ds_cnn"))
    """The network that ships."""
    losses: list[Loss] = Field(default_factory=lambda: [part("losses", name) for name in ("cross_entropy", "kd", "embedding")])
    """What training minimises: the sum of them."""
    train: Train = Train()
    export: Export = Field(default_factory=Export)
    evaluate: Evaluate = Evaluate()
    mine: Mine = Mine()
    learn: Learn = Learn()
    files: dict[str, str] = {}
    """Step -> digest of the files outside of the run that its settings name; `forge` and `plan` write it."""
    _plain: dict[str, Any] | None = PrivateAttr(None)
    """What made the student that the teacher was judged beside, when it is not this recipe's own."""

    @field_validator("phrase")
    @classmethod
    def _letters(cls, phrase: str | list[str]) -> str | list[str]:
        phrases = [phrase] if isinstance(phrase, str) else phrase
        if not phrases or not all(any(letter.isalpha() for letter in one) for one in phrases):
            raise ValueError("a wake phrase needs letters, as in 'hey nova'")
        if len({classes.plain(one) for one in phrases}) < len(phrases):
            raise ValueError("a phrase is named twice")
        return composed(phrase) if isinstance(phrase, str) else [composed(one) for one in phrases]

    @model_validator(mode="after")
    def _heard_alike(self) -> Recipe:
        suits.check(self.features.name, self.student.name)
        bands = {key: getattr(self.train, key) for key in ("band_stretch", "band_shift", "band_gain")}
        if suits.gives(self.features.name) != "bands" and any(bands.values()):
            zeros = " ".join(f"--set train.{key}=0" for key in bands)
            raise ValueError(f"features {self.features.name} have no bands that training could move: {zeros}")
        return self

    @model_validator(mode="after")
    def _looked_at(self) -> Recipe:
        for loss in self.losses:
            module = registry.load("losses", loss.name)
            shown = getattr(registry.load("students", self.student.name), "SHOWS_MIDDLE", False)
            if getattr(module, "NEEDS_MIDDLE", False) and not shown:
                others = [one.model_dump(mode="json", exclude_defaults=True) | {"name": one.name} for one in self.losses]
                left = json.dumps([one for one in others if one["name"] != loss.name])
                raise ValueError(
                    f"losses: {loss.name} looks at middle frames, and {self.student.name} shows none. Leave it out: "
                    f"--set 'losses={left}'"
                )
            if hasattr(module, "check"):
                module.check(loss, self.teacher.name, self.teach.head.content)
        return self

    @model_validator(mode="after")
    def _learns_labels(self) -> Recipe:
        plain = {"train.distil=false": not self.train.distil, "teach.against_plain": self.teach.asks_plain}
        asked = [key for key, asks in plain.items() if asks]
        if asked and not learn_labels(self.losses):
            raise ValueError(NO_LABELS.format(asked[0]))
        if self.train.distil and not ask_teacher(self.losses):
            raise ValueError(
                "losses: none of them listens to the teacher. Add kd or embedding, or learn without: --set train.distil=false"
            )
        return self

    @model_validator(mode="after")
    def _has_last_layer(self) -> Recipe:
        asked = [f"train.{key}" for key in ("last_layer_nearest", "last_layer_said") if getattr(self.train, key)]
        has_one = getattr(registry.load("students", self.student.name), "HAS_LAST_LAYER", True)
        if not has_one and (self.train.last_layer_steps or asked):
            zeros = " ".join(f"--set {key}=0" for key in ("train.last_layer_steps", *asked))
            raise ValueError(
                f"train.last_layer_steps: {self.student.name} has more than one layer over its embedding. Leave them together: "
                f"{zeros}"
            )
        if asked and not self.train.last_layer_steps:
            zeros = " ".join(f"--set {key}=0" for key in asked)
            raise ValueError(
                f"{asked[0]}: the last layer does not learn by itself. Say for how many steps: "
                f"--set train.last_layer_steps=3000, or leave it: {zeros}"
            )
        return self

    @model_validator(mode="after")
    def _counted_by_devices(self) -> Recipe:
        longest = max(self.evaluate.smoothing_windows)
        for target in self.export.others:
            most = getattr(registry.load("exporters", target.name), "MOST_WINDOW", longest)
            if longest > most:
                raise ValueError(
                    f"evaluate.smoothing_windows: expected at most {most} for the devices of {target.name}, got {longest}. Leave "
                    "longer ones out: --set evaluate.smoothing_windows=[1,2,4,6,10]"
                )
        return self

    @property
    def phrases(self) -> list[str]:
        return [self.phrase] if isinstance(self.phrase, str) else self.phrase


STEPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # step: (sections of the recipe it reads, steps it reads from)
    "speak": (("phrase", "language", "seed", "speak"), ()),
    "prepare": (("seed", "data", "phrase"), ("speak",)),
    "views": (("seed", "views"), ("prepare",)),
    "teach": (("phrase", "seed", "teacher", "teach"), ("views",)),
    "label": (("label",), ("teach",)),
    "train": (("phrase", "seed", "features", "student", "losses", "train"), ("label",)),
    "export": (("phrase", "language", "export"), ("train",)),
    "evaluate": (("seed", "evaluate"), ("export", "prepare")),
}
NO_MATTER = {
    "speak": {"jobs"},
    "label": {"batch", "keep_encodings"},
    "train": {"micro_batch", "workers", "log_every", "keep_features"},
}
"""Settings that change how a step works and not what it makes, rounding aside: what was made by others stays."""
FOLDERS = {"export": "bundle"}
"""Where a step's output lies, when not under its own name."""


def needs(recipe: Recipe, step: str) -> tuple[str, ...]:
    """The steps whose output a step reads; without distillation no teacher is asked."""
    if step == "train" and not recipe.train.distil:
        return ("views",)
    if step == "train" and recipe.train.targets == "live":
        return ("teach",)
    return STEPS[step][1]


def read_by(recipe: Recipe, step: str) -> dict[str, Any]:
    """The sections of the recipe that a step reads; a teacher is judged beside the plain student only when that is asked."""
    own = recipe.model_dump(mode="json", include=set(STEPS[step][0]), exclude=NO_MATTER)
    return {**(recipe._plain or _of_plain(recipe)), **own} if step == "teach" and recipe.teach.asks_plain else own


def _of_plain(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", include=set(PLAIN_READS), exclude=NO_MATTER)


def with_teacher_of(recipe: Recipe, other: Recipe) -> Recipe:
    """The recipe of another student whose teacher stays as it was judged in `other`."""
    made = recipe.model_copy()
    made._plain = _of_plain(other)
    return made


def took_s(folder: Path) -> dict[str, float]:
    """Step -> seconds that it took the last time it ran, of the whole steps of a run that have told."""
    places = {step: folder / FOLDERS.get(step, step) / WHOLE for step in STEPS}
    told = {step: json.loads(place.read_text(encoding="utf-8")) for step, place in places.items() if place.is_file()}
    return {step: float(one["took_s"]) for step, one in told.items() if one.get("took_s") is not None}


def road(recipe: Recipe, last: str = "evaluate") -> list[str]:
    """The steps up to `last`, in the order they run."""
    needed = {last}
    for step in reversed(STEPS):
        if step in needed:
            needed.update(needs(recipe, step))
    return [step for step in STEPS if step in needed]


def fingerprint(recipe: Recipe, step: str, rounds: Sequence[str] = ()) -> str:
    """Of the settings and files that a step reads and of the steps before it. `rounds`: fingerprints of what the training also
    learns."""
    data = read_by(recipe, step) | ({"files": recipe.files[step]} if step in recipe.files else {})
    before = [fingerprint(recipe, earlier, rounds) for earlier in needs(recipe, step)]
    return run.fingerprint(step, data, [*before, *(rounds if step == "train" else ())])


def preset_named(name: str) -> dict[str, Any]:
    """The settings of a preset, or of a YAML file of one's own, over those of the preset that it names. Raises ConfigError."""
    known = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    path = Path(name) if name.endswith((".yaml", ".yml")) else PRESETS / f"{name}.yaml"
    if not path.exists():
        raise ConfigError(f"--preset {name}: there are {', '.join(known)}, or a YAML file of your own.")
    values = read_yaml(path)
    under = values.pop("preset", None)
    if under is None:
        return values
    if under not in known:
        raise ConfigError(f"{path}: preset: expected one of {', '.join(known)}, got {under!r}.")
    return merge(preset_named(under), values)


def load(*layers: dict[str, Any], preset: str | None = None) -> Recipe:
    """Preset under the given layers, later ones winning. Raises ConfigError with every problem."""
    values: dict[str, Any] = {} if preset is None else preset_named(preset)
    for layer in layers:
        values = merge(values, layer)
    recipe: Recipe = parse(Recipe, values)
    return recipe
