"""`learn`: a user's own false wakes and misses, checked by the teacher, become clips of train, and a new bundle is made.

All of it goes to train: who speaks in which file is not known, so none could be kept for dev or test without a leak.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from wakesmith import audio, config
from wakesmith.data.records import LABELS, Clip, Recording
from wakesmith.errors import AudioError, BundleError, DataError
from wakesmith.importers.wav_folders import sound_files
from wakesmith.progress import say, track
from wakesmith.text import printable

if TYPE_CHECKING:
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.runtime.detector import Detector
    from wakesmith.steps._recipe import Recipe
    from wakesmith.steps._rounds import Round
    from wakesmith.teachers._card import Teaches

MISS, FALSE_WAKE = "miss", "false_wake"
AFTER_S = (0.1, 0.2, 0.3)
"""How long after the end of a phrase the teacher listens for it: views of training end so."""
SOURCE = "own recordings"


class Settings(config.Settings):
    share: float = Field(default=0.15, gt=0, lt=1)
    """Of the rows of their class that a user's clips get."""
    steps_share: float = Field(default=0.3, gt=0)
    """Steps of the training, which goes on from the student before it, as a share of train.steps."""
    least_phrase: float = Field(default=0.5, ge=0, le=1)
    """A miss in which the teacher is less sure of the phrase than this is set aside."""
    most_phrase: float = Field(default=0.9, ge=0, le=1)
    """A false wake in which the teacher is surer of the phrase than this is set aside."""
    most_per_file: int = Field(default=3, ge=1)
    """At most so many places of one false-wake file are learned, where the bundle fires or nearly fires."""


@dataclass
class Given:
    """A file of the user: what was found in it, and why it is not learned from, if it is not."""

    path: Path
    kind: str
    samples: audio.Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    name: str = ""
    """Of its sound."""
    clips: list[tuple[int, str]] = field(default_factory=list)
    """(sample at which a phrase ended or the score peaked, label)."""
    highest: float = 0.0
    """The bundle's highest score."""
    teacher: float | None = None
    """How sure the teacher is of the phrase."""
    aside: str = ""

    def told(self) -> dict[str, Any]:
        return {
            "path": printable(str(self.path)), "kind": self.kind, "recording": self.name, "highest_score": round(self.highest, 4),
            "teacher": None if self.teacher is None else round(self.teacher, 4), "set_aside": self.aside,
        }  # fmt: skip


def run(recipe: Recipe, bundle: Path, false_wakes: Path | None, misses: Path | None, trust: bool = False) -> dict[str, Any]:
    """A round with the user's files. -> what it says. What these files gave before is told again, not learned twice.

    Raises BundleError when the run is not beside the bundle, DataError when no file can be learned from.
    """
    from wakesmith.data.audio_store import AudioStore
    from wakesmith.run import Run
    from wakesmith.steps import _feedback, _rounds

    folder = run_of(bundle)
    files = list(_files(false_wakes, misses))
    place = Run.open(folder)
    with place.alone():
        _feedback.take_up(recipe, place, "learn")
        earlier = learned_in(_rounds.of(recipe, folder))
        given = [read(path, kind) for path, kind in track(files, "learn: files")]
        fresh = [one for one in given if one.name not in earlier]
        keep_out(AudioStore.open(folder / "prepare"), fresh, recipe.data.near_duplicate)
        examine(recipe, folder, fresh, trust)
        for one in fresh:
            if one.aside:
                say(f"learn: set aside {one.path}: {one.aside}")
        taken = [one for one in fresh if not one.aside]
        if not taken and (known := [earlier[one.name] for one in given if one.name in earlier]):
            say(f"learn: {len(known)} of {len(given)} files were learned before, the last in round {known[-1].name}; nothing new")
            return known[-1].told
        if not taken:
            raise DataError(
                f"learn: none of {len(files)} files can be learned from (see above). --trust takes what the teacher doubts."
            )
        new = _feedback.begin(recipe, place, "learn")
        n_clips = write(new.folder / "prepare", recipe.phrases[0], taken)
        say(f"learn: {len(taken)} of {len(fresh)} files, {n_clips} clips, all of them for train")
        _feedback.found(new, {"n_clips": n_clips, "trust": trust, "files": [one.told() for one in fresh]})
        return _feedback.finish(recipe, place, new)


def learned_in(rounds: Sequence[Round]) -> dict[str, Round]:
    """Name of a file's sound -> the round that learned it. What was set aside then may be taken now, with --trust."""
    return {row["recording"]: one for one in rounds for row in one.found.get("files", []) if not row["set_aside"]}


def run_of(bundle: Path) -> Path:
    """The run folder that a bundle lies in. Raises BundleError for a bundle without one: its cache is what is learned from."""
    from wakesmith.run import CONFIG

    folder = bundle.resolve().parent
    if bundle.resolve().name != "bundle" or not (folder / CONFIG).exists():
        raise BundleError(f"{bundle}: not the bundle in its run folder, whose views and answers are needed. Name RUN/bundle.")
    return folder


def _files(false_wakes: Path | None, misses: Path | None) -> Iterator[tuple[Path, str]]:
    """(file, kind) of all that was given, in order of their names. Raises DataError for a folder without one."""
    given = [(folder, kind) for folder, kind in ((false_wakes, FALSE_WAKE), (misses, MISS)) if folder is not None]
    if not given:
        raise DataError("learn: nothing to learn from. Give --false-wakes FOLDER, --misses FOLDER or both.")
    for folder, kind in given:
        yield from ((path, kind) for path in sound_files(folder))


def read(path: Path, kind: str) -> Given:
    """A user's file, set aside when it cannot be read or is silent."""
    made = Given(path.absolute(), kind)  # not resolved: links may go in a circle
    try:
        made.samples = audio.read(path)
    except AudioError as error:
        made.aside = str(error)
        return made
    made.name = _named(audio.to_int16(made.samples))
    if np.abs(made.samples).max() < audio.SILENT_PEAK:
        made.aside = "silent"
    return made


def _named(sound: npt.NDArray[np.int16]) -> str:
    return "own-" + hashlib.blake2b(sound.tobytes(), digest_size=8).hexdigest()


def keep_out(store: AudioStore, given: Sequence[Given], near_duplicate: float) -> None:
    """Set aside the sounds that dev or test of the run hold, whatever is trusted: they judge what was learned.

    near_duplicate: the likeness, 0..1, from which a changed copy counts.
    """
    from wakesmith.steps import _kept_out

    asked = [one for one in given if not one.aside]
    found = _kept_out.holders(store, [audio.to_int16(one.samples) for one in asked], near_duplicate)
    for one, judge in zip(asked, found, strict=True):
        if judge is not None:
            one.aside = f"the same sound is in the run's {judge.split} ({judge.path}), which must not be learned"


def examine(recipe: Recipe, folder: Path, given: Sequence[Given], trust: bool) -> None:
    """Find the place in each file, and set aside what the bundle or the teacher speaks against."""
    from wakesmith.runtime.detector import Detector
    from wakesmith.steps import _feedback

    detector, teacher = Detector.load(folder / "bundle"), _feedback.teacher_of(recipe, folder)
    seen: dict[str, Path] = {}
    for one in given:
        if one.aside:
            continue
        if one.name in seen:
            one.aside = f"the same sound as {seen[one.name]}"
            continue
        seen[one.name] = one.path
        ends = _ends(one, detector, recipe.mine.least_score, recipe.learn.most_per_file, trust)
        one.clips = [(end, "wake" if one.kind == MISS else "speech") for end in ends]
        if teacher is not None and ends:
            _ask(one, teacher, ends, recipe.learn, trust)


def _ends(one: Given, detector: Detector, least: float, most: int, trust: bool) -> list[int]:
    """Samples at which a missed phrase has ended, or the score of a false wake peaks; none when the bundle keeps quiet there."""
    from wakesmith.steps._peaks import of_scores

    point = detector.point
    assert point is not None, "a bundle that was evaluated has a point"
    times_s, scores = detector.scores(_with_quiet(one.samples))
    peaks = of_scores(times_s, scores, point, 0.0)
    one.highest = peaks[0][0] if peaks else 0.0
    if one.kind == MISS:
        return [audio.phrase_bounds(one.samples)[1]]  # as `prepare` finds it
    near = [peak for peak in peaks if peak[0] >= least * point.threshold] or (peaks[:1] if trust else [])
    if not near:
        one.aside = f"the bundle keeps quiet here (highest score {one.highest:.2f}, it fires at {point.threshold:.2f})"
    return [round(time_s * audio.SAMPLE_RATE_HZ) for _, time_s in near[:most]]


def _with_quiet(samples: audio.Samples) -> audio.Samples:
    # A word is decided on shortly after its end.
    return np.concatenate([samples, np.zeros(audio.SAMPLE_RATE_HZ // 2, np.float32)])


def _ask(one: Given, teacher: Teaches, ends: list[int], settings: Settings, trust: bool) -> None:
    """Note how sure the teacher is of the phrase, name a false wake's class by its answer, set aside what it speaks against."""
    from wakesmith.steps import _feedback

    after_s = AFTER_S if one.kind == MISS else (-0.1, 0.0, 0.1)
    views = [_view(one.samples, end + round(late * audio.SAMPLE_RATE_HZ)) for end in ends for late in after_s]
    probabilities = _feedback.answers(teacher, np.stack(views), len(after_s)).reshape(len(ends), len(after_s), -1)
    sure = probabilities[:, :, 0].max(axis=1)  # of each place
    one.teacher = float(sure.max())
    if one.kind == FALSE_WAKE:
        kinds = 1 + probabilities[:, :, 1:].mean(axis=1).argmax(axis=1)
        kept = [(end, LABELS[kind]) for end, kind, p in zip(ends, kinds, sure, strict=True) if trust or p <= settings.most_phrase]
        one.clips = kept
        if not kept:
            one.aside = f"the teacher hears the phrase ({one.teacher:.2f})"
    elif one.teacher < settings.least_phrase and not trust:
        one.aside = f"the teacher hears no phrase ({one.teacher:.2f}); a file should hold it alone, whole"


def _view(samples: audio.Samples, end: int) -> audio.Samples:
    """(VIEW_SAMPLES,) that end at a sample; silence before the start and past the end."""
    from wakesmith.data.clips import VIEW_SAMPLES

    made = np.zeros(VIEW_SAMPLES, np.float32)
    start, stop = max(0, end - VIEW_SAMPLES), min(end, len(samples))
    if stop > start:
        made[start - end + VIEW_SAMPLES : stop - end + VIEW_SAMPLES] = samples[start:stop]
    return made


def write(out: Path, phrase: str, given: Sequence[Given]) -> int:
    """The files as an audio store, with a clip for each place. -> how many clips."""
    from wakesmith.data.clips import CLIP_SAMPLES, EVENT_END_SAMPLES
    from wakesmith.steps import _rounds
    from wakesmith.steps._peaks import CUT_SAMPLES, Peak

    recordings, clips = [], []
    for one in given:
        label, text = ("wake", phrase) if one.kind == MISS else (one.clips[0][1], "")
        recordings.append(Recording(one.name, str(one.path), text, label, "", SOURCE, "own", len(one.samples), "train"))
        for end, named in one.clips:
            if one.kind == MISS:
                start, length, event = end - EVENT_END_SAMPLES, CLIP_SAMPLES, EVENT_END_SAMPLES
            else:
                start, length, event = Peak(one.name, end, 0.0).cut, CUT_SAMPLES, 0
            clips.append(Clip(f"{one.name}@{start}", one.name, start, length, named, "train", event))
    _rounds.store(out, recordings, [audio.to_int16(one.samples) for one in given], clips)
    return len(clips)


def heard_again(one: Round, bundle: Path, files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the files with whether the bundle fires in them, before and after. They were learned from: it proves little."""
    from wakesmith.runtime.detector import Detector
    from wakesmith.steps._rounds import BUNDLE_BEFORE

    store = one.store
    detectors = {"fired_before": Detector.load(one.folder / BUNDLE_BEFORE), "fires_now": Detector.load(bundle)}
    rows = []
    for row in files:
        fires: dict[str, bool] = {}
        if row["recording"] in store.recordings and not row["set_aside"]:
            samples = _with_quiet(store.recording(row["recording"]))
            for name, detector in detectors.items():
                detector.reset()
                fires[name] = bool(detector.process(samples))
        rows.append({**row, **fires})
    return rows


def summary(told: dict[str, Any]) -> str:
    """For a terminal: what became of the files, then the figures."""
    from wakesmith.steps import _feedback

    learned = [row for row in told["files"] if not row["set_aside"]]
    lines = []
    for kind, wanted, words in ((MISS, True, "misses heard"), (FALSE_WAKE, False, "false wakes silent")):
        own = [row for row in learned if row["kind"] == kind]
        before, now = (sum(row[name] is wanted for row in own) for name in ("fired_before", "fires_now"))
        lines += [f"{words}: {before} of {len(own)} before, {now} now (they were learned from)"] if own else []
    aside = [f"set aside: {row['path']}: {row['set_aside']}" for row in told["files"] if row["set_aside"]]
    return "\n".join([*lines, *aside, _feedback.line(told)])
