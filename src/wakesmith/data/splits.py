"""Recordings -> recordings with a split. A group (a speaker of a source; a file where no speaker is known) has one split."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from wakesmith import text
from wakesmith.data.records import KNOWN_LABELS, SPLITS, Recording, split_numbers
from wakesmith.errors import DataError

Group = tuple[str, str]
NEEDED = tuple((label, split) for split in ("train", "dev") for label in ("wake", "speech"))
NOT_GIVEN = len(SPLITS)
MEMBER = np.dtype([("source", "<u4"), ("accent", "<u8"), ("group", "<u8"), ("label", "u1")])
"""A recording's group, in the order in which groups are shared out: source, hash of the accent, hash of the group."""
FEW_GROUPS = 7
"""A source with fewer cannot serve every split in its fraction, of 0.15."""


def group_of(recording: Recording) -> Group:
    """(source, speaker), or (source, file) when the speaker is not known."""
    return recording.source, recording.speaker or f"file:{recording.id}"


def assign(recordings: Collection[Recording], fractions: Mapping[str, float], seed: int) -> Iterator[Recording]:
    """Give every recording a split. Given splits stay, and bind the rest of their group; the others are shared out.

    Groups are shared out per label (a group counts for the first of its labels), source by source and accent by accent, so
    that all of them reach every split and each split holds its fraction of the recordings. A group with differing given
    splits keeps them: that is a leak, for `leaks` to find.
    """
    members, given = _members(recordings, seed), split_numbers(recordings)
    order = np.lexsort((members["group"], members["accent"], members["source"]))
    own = members[order]
    first = np.flatnonzero(np.r_[True, (own["group"][1:] != own["group"][:-1]) | (own["source"][1:] != own["source"][:-1])])
    if not len(order):
        return
    sources, groups, sizes = own["source"][first], own["group"][first], np.diff(first, append=len(own))
    labels, decided = (np.minimum.reduceat(values[order], first) for values in (members["label"], given))
    for label in np.unique(labels):
        own_label = labels == label
        are_open = own_label & (decided == NOT_GIVEN)
        shared = np.flatnonzero(own_label & np.isin(sources, sources[are_open]))
        decided[shared] = _share_out(sources[shared], groups[shared], sizes[shared], decided[shared], fractions)
    of_each = np.empty(len(order), np.uint8)
    of_each[order] = np.repeat(decided, sizes)
    for recording, split in zip(recordings, of_each, strict=True):
        yield recording if recording.split else dataclasses.replace(recording, split=SPLITS[split])


def _members(recordings: Collection[Recording], seed: int) -> npt.NDArray[np.void]:
    """(n,) of MEMBER"""
    sources: dict[str, int] = {}

    def member(recording: Recording) -> tuple[int, ...]:
        source, speaker = group_of(recording)
        hashes = (_hash(seed, (source, name)) for name in (accent(speaker), speaker))
        return (sources.setdefault(source, len(sources)), *hashes, KNOWN_LABELS.index(recording.label))

    found = np.fromiter(map(member, recordings), MEMBER, len(recordings))
    found["source"] = np.argsort(np.argsort(np.array(list(sources))))[found["source"]] if sources else 0
    return found


def _share_out(
    sources: npt.NDArray[np.integer], groups: npt.NDArray[np.uint64], sizes: npt.NDArray[np.int64], given: npt.NDArray[np.uint8],
    fractions: Mapping[str, float],
) -> npt.NDArray[np.uint8]:  # fmt: skip
    """Groups (G,), by their hashes, with their sizes and given splits -> numbers of splits (G,), source by source.

    What is given counts as held, so that the rest makes up for it. Sources of few groups are dealt together and each group
    counts once there: a voice that says a thousand sentences would else take the whole of train, and leave what comes after it
    to dev and test.
    """
    decided = np.empty(len(groups), np.uint8)
    found, n_groups = np.unique(sources, return_counts=True)
    few = np.isin(sources, found[n_groups < FEW_GROUPS])
    decided[few] = _dealt(np.ones_like(sizes[few]), given[few], fractions)
    for source in found[n_groups >= FEW_GROUPS]:
        own = sources == source
        decided[own] = _dealt(sizes[own], given[own], fractions)
    for split in ("dev", "test"):  # few groups: dev first, then test, gets the smallest of train
        if fractions[split] > 0 and SPLITS.index(split) not in decided:
            spare = np.flatnonzero((decided == SPLITS.index("train")) & (given == NOT_GIVEN))
            if len(spare) > 1:
                decided[min(spare, key=lambda number: (sizes[number], groups[number]))] = SPLITS.index(split)
    return decided


def _dealt(sizes: npt.NDArray[np.int64], given: npt.NDArray[np.uint8], fractions: Mapping[str, float]) -> npt.NDArray[np.uint8]:
    """Each group without a split in turn goes where most is wanting. -> numbers of splits"""
    held = {split: int(sizes[given == number].sum()) for number, split in enumerate(SPLITS)}
    decided, total = given.copy(), sum(held.values())
    for number in np.flatnonzero(given == NOT_GIVEN):
        total += int(sizes[number])
        split = max(SPLITS, key=lambda split: fractions[split] * total - held[split])
        decided[number] = SPLITS.index(split)
        held[split] += int(sizes[number])
    return decided


def accent(speaker: str) -> str:
    """The part of a speaker's name that others share: `espeak/en-us+f3` -> `espeak/en-us`, `kokoro/af_heart` -> `kokoro/af`."""
    return "" if speaker.startswith("file:") else re.split(r"[+_]", speaker, maxsplit=1)[0]


def _hash(seed: int, group: Group) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{group[0]}/{group[1]}".encode(), digest_size=8).digest(), "big")


def leaks(recordings: Collection[Recording]) -> dict[Group, list[Recording]]:
    """Groups that lie in more than one split, with their recordings."""
    members: dict[Group, list[Recording]] = collections.defaultdict(list)
    for recording in _across(recordings, group_of):
        members[group_of(recording)].append(recording)
    return {group: own for group, own in members.items() if len({recording.split for recording in own}) > 1}


def namesakes(recordings: Collection[Recording]) -> list[tuple[Recording, Recording]]:
    """Speakers of one name in different splits of different sources, perhaps one person: two recordings of each, by name."""
    by_name: dict[str, dict[str, Recording]] = collections.defaultdict(dict)
    for recording in _across(recordings, lambda one: text.folded(one.speaker)):
        if recording.speaker:
            by_name[text.folded(recording.speaker)].setdefault(recording.split, recording)
    found = []
    for _, own in sorted(by_name.items()):
        first, *others = sorted(own.values(), key=lambda one: SPLITS.index(one.split), reverse=True)
        found += [(first, other) for other in others if other.source != first.source][:1]
    return found


def _across(recordings: Collection[Recording], key: Callable[[Recording], object]) -> Iterator[Recording]:
    """The recordings whose key lies in several splits: among many a few, which may be looked at one by one."""
    keys = np.fromiter((hash(key(one)) for one in recordings), np.int64, len(recordings))
    pairs = np.unique(np.stack([keys, split_numbers(recordings).astype(np.int64)], axis=1), axis=0)
    once, n_splits = np.unique(pairs[:, 0], return_counts=True)
    for recording, is_across in zip(recordings, np.isin(keys, once[n_splits > 1]), strict=True):
        if is_across:
            yield recording


def count(recordings: Iterable[Recording]) -> dict[str, dict[str, int]]:
    """Recordings per split and label."""
    counts: dict[str, dict[str, int]] = {split: dict.fromkeys(KNOWN_LABELS, 0) for split in SPLITS}
    for recording in recordings:
        counts[recording.split][recording.label] += 1
    return counts


def check_needed(counts: Mapping[str, Mapping[str, int]], others: str = "") -> None:
    """A run needs the phrase and other speech to learn from and to choose by. Raises DataError with the way out, and `others`."""
    missing = [(label, split) for label, split in NEEDED if not counts[split][label]]
    if missing:
        told = ", ".join(f"no {label} in {split}" for label, split in missing)
        raise DataError(
            f"data: {told}. Add a source of {' and '.join(dict.fromkeys(label for label, _ in missing))} "
            f"with at least 2 speakers (or files) and no fixed split, or let `speak` make some with 2 voices or more.{others}"
        )
