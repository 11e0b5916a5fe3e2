"""Recordings -> recordings with a split. A group (a speaker of a source; a file where no speaker is known) has one split."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

from wakesmith import text
from wakesmith.data.records import KNOWN_LABELS, SPLITS, Recording
from wakesmith.errors import DataError

Group = tuple[str, str]
NEEDED = tuple((label, split) for split in ("train", "dev") for label in ("wake", "speech"))


def group_of(recording: Recording) -> Group:
    """(source, speaker), or (source, file) when the speaker is not known."""
    return recording.source, recording.speaker or f"file:{recording.id}"


def assign(recordings: Sequence[Recording], fractions: Mapping[str, float], seed: int) -> list[Recording]:
    """Give every recording a split. Given splits stay, and bind the rest of their group; the others are shared out.

    Groups are shared out per label (a group counts for the first of its labels), accent by accent, so that every
    accent reaches every split and each split holds its fraction of the recordings. A group with differing given splits
    keeps them: that is a leak, for `leaks` to find.
    """
    members: dict[Group, list[Recording]] = collections.defaultdict(list)
    for recording in recordings:
        members[group_of(recording)].append(recording)
    decided: dict[Group, str] = {}
    open_groups: dict[str, list[Group]] = collections.defaultdict(list)
    for group, own in members.items():
        given = {recording.split for recording in own if recording.split}
        if given:
            decided[group] = min(given, key=SPLITS.index)
        else:
            open_groups[min((recording.label for recording in own), key=KNOWN_LABELS.index)].append(group)
    for groups in open_groups.values():
        decided |= _share_out({group: len(members[group]) for group in groups}, fractions, seed)
    return [
        recording if recording.split else dataclasses.replace(recording, split=decided[group_of(recording)])
        for recording in recordings
    ]


def _share_out(sizes: Mapping[Group, int], fractions: Mapping[str, float], seed: int) -> dict[Group, str]:
    """Groups -> splits: each goes where most is wanting. The order is by chance, accent by accent."""
    held = dict.fromkeys(SPLITS, 0)
    decided: dict[Group, str] = {}
    total = 0
    for group in sorted(sizes, key=lambda group: (group[0], _hash(seed, (group[0], accent(group[1]))), _hash(seed, group))):
        total += sizes[group]
        decided[group] = max(SPLITS, key=lambda split: fractions[split] * total - held[split])
        held[decided[group]] += sizes[group]
    for split in ("dev", "test"):  # few groups: dev first, then test, gets the smallest of train
        spare = [group for group in decided if decided[group] == "train"]
        if fractions[split] > 0 and held[split] == 0 and len(spare) > 1:
            smallest = min(spare, key=lambda group: (sizes[group], _hash(seed, group)))
            decided[smallest] = split
    return decided


def accent(speaker: str) -> str:
    """The part of a speaker's name that others share: `espeak/en-us+f3` -> `espeak/en-us`, `kokoro/af_heart` -> `kokoro/af`."""
    return "" if speaker.startswith("file:") else re.split(r"[+_]", speaker, maxsplit=1)[0]


def _hash(seed: int, group: Group) -> bytes:
    return hashlib.blake2b(f"{seed}/{group[0]}/{group[1]}".encode(), digest_size=8).digest()


def leaks(recordings: Iterable[Recording]) -> dict[Group, list[Recording]]:
    """Groups that lie in more than one split, with their recordings."""
    members: dict[Group, list[Recording]] = collections.defaultdict(list)
    for recording in recordings:
        members[group_of(recording)].append(recording)
    return {group: own for group, own in members.items() if len({recording.split for recording in own}) > 1}


def namesakes(recordings: Iterable[Recording]) -> list[tuple[Recording, Recording]]:
    """Speakers of one name in different splits of different sources, perhaps one person: two recordings of each, by name."""
    by_name: dict[str, dict[str, Recording]] = collections.defaultdict(dict)
    for recording in recordings:
        if recording.speaker:
            by_name[text.folded(recording.speaker)].setdefault(recording.split, recording)
    found = []
    for _, own in sorted(by_name.items()):
        first, *others = sorted(own.values(), key=lambda one: SPLITS.index(one.split), reverse=True)
        found += [(first, other) for other in others if other.source != first.source][:1]
    return found


def count(recordings: Iterable[Recording]) -> dict[str, dict[str, int]]:
    """Recordings per split and label."""
    counts: dict[str, dict[str, int]] = {split: dict.fromkeys(KNOWN_LABELS, 0) for split in SPLITS}
    for recording in recordings:
        counts[recording.split][recording.label] += 1
    return counts


def check_needed(counts: Mapping[str, Mapping[str, int]]) -> None:
    """A run needs the phrase and other speech to learn from and to choose by. Raises DataError with the way out."""
    missing = [(label, split) for label, split in NEEDED if not counts[split][label]]
    if missing:
        told = ", ".join(f"no {label} in {split}" for label, split in missing)
        raise DataError(
            f"data: {told}. Add a source of {' and '.join(dict.fromkeys(label for label, _ in missing))} "
            "with at least 2 speakers (or files) and no fixed split, or let `speak` make some with 2 voices or more."
        )
