"""A training that begins with another run's student: a weights file says what it is and whom it learned from; nothing that judges
this run may be among those."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from wakesmith import config
from wakesmith.card import Source
from wakesmith.data import sources
from wakesmith.data.audio_store import RECORDINGS
from wakesmith.data.records import Lines, Recording
from wakesmith.data.splits import Group, group_of
from wakesmith.errors import ConfigError, DataError
from wakesmith.progress import say

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe
    from wakesmith.steps._rounds import Round
    from wakesmith.steps._train_settings import Settings as Train

SHIPPED = "shipped"
"""In place of a file: the student of these settings that comes with Wakesmith (by benchmarks/first_student.py), if one does."""
FOLDER = Path(__file__).parent.parent / "first_students"
HEAD = "head."
"""The last layer, which a student that ships leaves out: it was of another phrase."""
KEY = "wakesmith"
"""Where the metadata of a safetensors file holds it."""
WITHOUT = "or do without: --set {}=null"
NEITHER = "--set data.start=null --set train.start=null"
READS = ("features", "student")
"""Sections of the recipe that must be as they were."""


class Origin(config.Settings):
    """What a trained student says of itself, beside its weights."""

    features: dict[str, Any]
    student: dict[str, Any]
    voices: list[Annotated[str, Field(min_length=16, max_length=16)]]
    """Hashes of the sources and speakers in train, those of the students before it included."""
    data: list[Source]
    """What it learned from, as a bundle's card tells it."""


def metadata(recipe: Recipe, folder: Path, rounds: Sequence[Round]) -> dict[str, str]:
    """For the file of a student that was trained on the run in `folder` and its rounds."""
    before = of(recipe)
    voices = {_hash(group_of(one)) for one in _recordings(folder, rounds) if one.split == "train"}
    told = Origin(
        **recipe.model_dump(mode="json", include=set(READS)),
        voices=sorted(voices.union(before.voices if before else ())), data=learned(folder, rounds, before),
    )  # fmt: skip
    return {KEY: told.model_dump_json()}


def learned(folder: Path, rounds: Sequence[Round], before: Origin | None) -> list[Source]:
    """What a student learned from by source, and besides what the one before it did."""
    from wakesmith.steps import _model_card

    data = _model_card.sources(_recordings(folder, rounds), sources.together(_stores(folder, rounds)))
    own = {_facts(one) for one in data}
    return sorted([*data, *(one for one in (before.data if before else ()) if _facts(one) not in own)], key=_facts)


def _facts(source: Source) -> tuple[str, str, str]:
    return source.name, source.licence, source.fingerprint


def _recordings(folder: Path, rounds: Sequence[Round]) -> Iterator[Recording]:
    paths = [store / RECORDINGS for store in _stores(folder, rounds)]
    return (one for path in paths if path.is_file() for one in Lines(path, Recording))


def _stores(folder: Path, rounds: Sequence[Round]) -> list[Path]:
    return [one / "prepare" for one in (folder, *(one.folder for one in rounds))]


def shipped() -> list[Path]:
    """The students that come with Wakesmith."""
    return sorted(FOLDER.glob("*.safetensors"))


def files_of(start: str | None, recipe: Recipe | None = None) -> list[Path]:
    """What `data.start` names; with a recipe, what `train.start` does: of the shipped ones that of its settings alone."""
    if start != SHIPPED:
        return [Path(start).expanduser()] if start else []
    return [path for path in shipped() if recipe is None or not _unlike(recipe, read(path))]


def file_of(recipe: Recipe) -> Path | None:
    """The weights that the training begins with; none: by chance."""
    return next(iter(files_of(recipe.train.start, recipe)), None)


def of(recipe: Recipe) -> Origin | None:
    """What the student says of itself that the training begins with. Raises ConfigError for a file of another kind."""
    path = file_of(recipe)
    return None if path is None else read(path)


def settings(recipe: Recipe) -> Train:
    """Of the training: with fewer steps and a lower rate where it begins with a student that has learned before."""
    train = recipe.train
    if file_of(recipe) is None:
        return train
    steps, rate = max(1, round(train.steps * train.start_steps_share)), train.learning_rate * train.start_rate_share
    return train.model_copy(update={"steps": steps, "learning_rate": rate})


def tell(recipe: Recipe) -> None:
    """Where the training begins, when that was asked for; `recipe` with the settings that hold then."""
    path, train = file_of(recipe), recipe.train
    if path is not None:
        say(f"train: begins with the student of {path if train.start != SHIPPED else path.name}, {train.steps} steps")
    elif train.start == SHIPPED:
        say("train: no first student of these settings ships: first weights by chance")


def begin(student: Any, path: Path) -> None:
    """Give a student its first weights. Raises BundleError for those of another student."""
    from wakesmith.steps.export import load_weights

    own = {name: value for name, value in student.state_dict().items() if name.startswith(HEAD)} if path in shipped() else {}
    load_weights(student, path, "Name another file in train.start, " + WITHOUT.format("train.start"), own)


def ship(trained: Path, out: Path) -> None:
    """Write a trained student as one that ships: in half precision, without its last layer."""
    from safetensors.torch import load_file, save_file

    weights = {name: value for name, value in load_file(trained).items() if not name.startswith(HEAD)}
    save_file({name: value.half() if value.ndim > 1 else value for name, value in weights.items()}, out,
              {KEY: read(trained).model_dump_json()})  # fmt: skip


def read(path: Path, key: str = "train.start") -> Origin:
    """The metadata of a weights file. `key`: the setting that names it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path.expanduser(), framework="np") as file:
            found = (file.metadata() or {}).get(KEY)
        values = None if found is None else json.loads(found)
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{key}: {path}: not readable ({error}). Name RUN/train/model.safetensors of a run, {WITHOUT.format(key)}"
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"{key}: {path}: does not say whom it learned from, as students do that were trained since this version. Train it "
            f"again, {WITHOUT.format(key)}"
        )
    made: Origin = config.parse(Origin, values, f"{key}: {path}")
    return made


def check(recipe: Recipe) -> None:
    """Whether the files can be read and the student would fit. Raises ConfigError with every setting that differs."""
    for path in files_of(recipe.data.start):
        read(path, "data.start")
    origin = of(recipe)
    wrong = _unlike(recipe, origin) if origin else []
    if wrong:
        raise ConfigError(
            f"train.start: {recipe.train.start}: a student of other settings: {'; '.join(wrong)}. Set them as it has them, "
            f"{WITHOUT.format('train.start')}"
        )


def _unlike(recipe: Recipe, origin: Origin) -> list[str]:
    """Every setting in which the student of a recipe is another one."""
    own = recipe.model_dump(mode="json", include=set(READS))
    asked = {section: getattr(origin, section) for section in READS}
    return [
        f"{section}.{key} is {own[section].get(key)}, its {asked[section].get(key)}"
        for section in READS
        for key in sorted({*own[section], *asked[section]})
        if own[section].get(key) != asked[section].get(key)
    ]


def check_voices(recipe: Recipe, recordings: Mapping[str, Recording]) -> None:
    """Raises DataError when the student has heard a speaker in training who judges this run."""
    origin = of(recipe)
    if origin is None:
        return
    heard = frozenset(origin.voices)
    judges = {group: one for one in recordings.values() if one.split != "train" and _hash(group := group_of(one)) in heard}
    if judges:
        group, one = next(iter(judges.items()))
        path, without = recipe.train.start, WITHOUT.format("train.start")
        fixed = "Their source fixes their split: leave them out there"
        way_out = fixed if recipe.data.start == path else f"Take them into train: --set data.start={path}"
        raise DataError(
            f"train.start: {path}: its student learned from {len(judges)} speakers who judge this run, as {'/'.join(group)} "
            f"({one.split}). {way_out}, {without}"
        )


def bound(start: str, recordings: Iterable[Recording]) -> Iterator[Recording]:
    """Recordings without a split whose speakers a student of `data.start` learned from get train; the others stay."""
    heard = frozenset(voice for path in files_of(start) for voice in read(path, "data.start").voices)
    for one in recordings:
        yield one if one.split or _hash(group_of(one)) not in heard else dataclasses.replace(one, split="train")


def _hash(group: Group) -> str:
    return hashlib.blake2b(json.dumps(group).encode(), digest_size=8).hexdigest()
