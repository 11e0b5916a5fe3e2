"""speak: a phrase -> folder/speak/*.flac and recordings.jsonl: the phrase, its near misses and other speech, by many voices.

The plan (who says what) is drawn first; then every chunk of it is made apart, in any process, and marked when it is whole.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from wakesmith import audio, config, pool, progress, registry
from wakesmith.audio import SAMPLE_RATE_HZ, Samples
from wakesmith.data.records import Recording, load_jsonl, save_jsonl
from wakesmith.errors import ConfigError
from wakesmith.rng import rng
from wakesmith.steps._to_say import LABELS_MADE, Item, plan
from wakesmith.voices import _texts
from wakesmith.voices._base import Utterance, Voice, check_letters
from wakesmith.voices._near_misses import n_syllables

CHUNK = 8
"""Recordings that one process makes at a time; Kokoro takes 1 to 2 s for each."""
FEWEST_SYLLABLES = 3
"""Of a phrase that little else sounds like."""


class Settings(config.Settings):
    voices: list[config.Voice] = Field(default_factory=lambda: [config.part("voices", "espeak")], min_length=1)
    """Who speaks; each says its share of every kind."""
    n_wake: int = Field(default=900, ge=0)
    """Recordings of the phrase, or of several in turn. With 0 of all three nothing is spoken, and the sources must hold all."""
    n_near_miss: int = Field(default=700, ge=0)
    """Recordings of what sounds like it."""
    n_speech: int = Field(default=900, ge=0)
    """Recordings of other sentences and words."""
    foreign_share: float = Field(default=0.0, ge=0, le=1)
    """Part of those that voices which know other languages say in them, words in a row."""
    before_share: float = Field(default=0.2, ge=0, le=1)
    """Part of the phrases and near misses that other speech follows."""
    after_share: float = Field(default=0.2, ge=0, le=1)
    """Part that comes after other speech. The rest stands alone."""
    gap_ms: Annotated[list[int], config.span(0, 2000)] = [20, 150]
    """Shortest and longest pause between a phrase and the speech beside it."""
    words: str = ""
    """Text file of everyday words, one a line; empty: the language's own list."""
    sentences: str = ""
    """Text file of everyday sentences, one a line; empty: the language's own list."""
    jobs: int = Field(default=0, ge=0)
    """Processes; 0: one for each core."""

    @model_validator(mode="after")
    def _whole(self) -> Settings:
        if self.before_share + self.after_share > 1:
            raise ValueError("before_share and after_share are parts of one whole: expected a sum of at most 1")
        return self


def run(recipe: Any, folder: Path) -> Path:
    """Speak everything that is not whole yet. -> folder/speak. Raises ConfigError for a phrase or a voice that cannot be used."""
    check(recipe)
    settings: Settings = recipe.speak
    for doubt in doubts(recipe):
        progress.say(f"speak: {doubt}")
    voices = taking_part(settings.voices, recipe.language)
    if left_out := sorted({voice.name for voice in settings.voices} - {voice.name for voice in voices}):
        progress.say(f"speak: without {', '.join(left_out)}, which `only_for` keeps from phrases in '{recipe.language}'")
    items = plan(settings, voices, recipe.phrases, recipe.language, recipe.seed)
    out = folder / "speak"
    marks = out / "whole"
    marks.mkdir(parents=True, exist_ok=True)
    make = partial(make_chunk, out=out, voices=voices, gap_ms=settings.gap_ms, seed=recipe.seed)
    chunks = {chunk_mark(marks, chunk, make): chunk for chunk in in_chunks(items)}
    _clear(out, chunks)
    # By their hashes: slow voices come among quick ones all along, so what is left is told truly, and no core waits long.
    todo = sorted(mark for mark, chunk in chunks.items() if not is_whole(mark, chunk, out))
    n_done = len(items) - sum(len(chunks[mark]) for mark in todo)
    made = _made(make, todo, chunks, settings.jobs or os.cpu_count() or 1)
    for _ in progress.track(made, "speak", total=len(items), done=n_done):
        pass
    save_jsonl(out / "recordings.jsonl", [recording for mark in chunks for recording in load_jsonl(mark, Recording)])
    return out


def check(recipe: Any) -> None:
    """Whether there is all it takes: phrases that can be said, voices, lists. Raises ConfigError."""
    settings: Settings = recipe.speak
    for phrase in recipe.phrases:
        check_letters(phrase)
        _texts.check_script(phrase, recipe.language)
    for voice in taking_part(settings.voices, recipe.language):
        if getattr(voice, "path", ""):
            registry.build("voices", voice)
    if settings.n_wake + settings.n_near_miss + settings.n_speech:
        _texts.words(recipe.language, settings.words)
        _texts.sentences(recipe.language, settings.sentences, recipe.phrases)


def doubts(recipe: Any) -> list[str]:
    """What speaks against its phrases, a sentence each; of a language that is not spoken here nothing is known."""
    found = []
    for phrase in recipe.phrases if recipe.speak.n_near_miss else []:
        if (n := n_syllables(phrase, recipe.language)) < FEWEST_SYLLABLES:
            many = "syllable" if n == 1 else "syllables"
            found.append(f"'{phrase}' has {n} {many}: much of what people say will wake it. Take {FEWEST_SYLLABLES} or more.")
    return found


def taking_part(voices: list[config.PartSettings], language: str) -> list[config.PartSettings]:
    """Settings of the voices that speak for a phrase in a language, each with the language it speaks.

    Raises ConfigError when none is left.
    """
    found = []
    for voice in voices:
        only_for = getattr(voice, "only_for", [])
        if not only_for or {language, _texts.base(language)} & set(only_for):
            found.append(in_language(voice, language))
    if not found:
        raise ConfigError(
            f"speak.voices: none is for phrases in '{language}'. Name one that speaks it: --set speak.voices=[espeak]"
        )
    return found


def in_language(voice: config.PartSettings, language: str) -> config.PartSettings:
    """A voice's settings with the recipe's language, unless they name one."""
    return voice if getattr(voice, "language", "-") else voice.model_copy(update={"language": language})


def in_chunks(items: list[Item]) -> Iterator[list[Item]]:
    """What one voice says of one kind, some recordings at a time: with more of a kind only its last chunk is another."""
    for _, group in itertools.groupby(items, lambda item: item.id.rpartition("-")[0]):
        while chunk := list(itertools.islice(group, CHUNK)):
            yield chunk


def chunk_mark(marks: Path, chunk: list[Item], make: partial[Any]) -> Path:
    """The file that says a chunk is whole; its name changes with everything that the sound depends on."""
    voice = make.keywords["voices"][chunk[0].voice].model_dump(exclude={"share", "only_for"})
    said = [{**asdict(item), "voice": voice} for item in chunk]
    told = json.dumps([said, make.keywords["gap_ms"], make.keywords["seed"]], sort_keys=True)
    return marks / f"{hashlib.blake2b(told.encode(), digest_size=8).hexdigest()}-{chunk[0].id}.jsonl"


def is_whole(mark: Path, chunk: list[Item], out: Path) -> bool:
    """Whether a chunk was made before and all its files are still there."""
    return mark.exists() and all((out / f"{item.id}.flac").exists() for item in chunk)


def _clear(out: Path, chunks: dict[Path, list[Item]]) -> None:
    """Remove what another plan made here, its marks first."""
    wanted = {f"{item.id}.flac" for chunk in chunks.values() for item in chunk}
    for mark in (out / "whole").iterdir():
        if mark not in chunks:
            mark.unlink()
    for label in LABELS_MADE:
        for path in out.glob(f"{label}-*.flac*"):
            if path.name not in wanted:
                path.unlink()


def _made(make: partial[Any], todo: list[Path], chunks: dict[Path, list[Item]], jobs: int) -> Iterator[int]:
    """Make chunks, in processes of their own where there is work for several; yields once a recording."""
    if jobs == 1 or len(todo) < 2:
        for mark in todo:
            make(chunks[mark], mark)
            yield from range(len(chunks[mark]))
        return
    with pool.workers(min(jobs, len(todo))) as processes:
        waiting = [processes.submit(make, chunks[mark], mark) for mark in todo]
        for finished in as_completed(waiting):
            yield from range(finished.result())


_voices: dict[str, Voice] = {}  # of this process, by their settings


def make_chunk(chunk: list[Item], mark: Path, out: Path, voices: list[config.PartSettings], gap_ms: list[int], seed: int) -> int:
    """Speak the items of a chunk into `out`, then write the mark. -> how many."""
    made: list[Recording] = []
    for item in chunk:
        key = voices[item.voice].model_dump_json()
        voice = _voices.get(key) or _voices.setdefault(key, registry.build("voices", voices[item.voice]))
        samples, start, end = spoken(voice, item, gap_ms, seed)
        path = out / f"{item.id}.flac"
        audio.write(path, samples)
        marked = (start, end) if item.label != "speech" else (0, 0)
        who = f"{voice.name}/{item.speaker}"
        told = (item.id, path.name, item.utterance.text, item.label, who, voice.name, voice.licence)
        made.append(Recording(*told, n_samples=len(samples), phrase_start=marked[0], phrase_end=marked[1]))
    save_jsonl(mark, made)
    return len(made)


def spoken(voice: Voice, item: Item, gap_ms: list[int], seed: int) -> tuple[Samples, int, int]:
    """-> (N,) samples and where the utterance starts and ends in them. The parts are said apart, so the end is exact."""
    chance = rng(seed, "speak", item.id)
    said = voice.say(item.utterance, item.speaker, chance)
    start, end = audio.speech_bounds(said)
    gap_low, gap_high = (ms * SAMPLE_RATE_HZ // 1000 for ms in gap_ms)
    gap = np.zeros(int(chance.integers(gap_low, gap_high, endpoint=True)), dtype=np.float32)
    parts = [said]
    if item.before:
        before = voice.say(Utterance(item.before), item.speaker, chance)
        parts, start, end = [before, gap, said], start + len(before) + len(gap), end + len(before) + len(gap)
    elif item.after:
        parts = [said, gap, voice.say(Utterance(item.after), item.speaker, chance)]
    return np.concatenate(parts), start, end
