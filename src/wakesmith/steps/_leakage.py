"""What `prepare` says of leaks: recordings and copies among them in, leakage.json out; a speaker in two splits is an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wakesmith.data import splits
from wakesmith.data.records import Recording
from wakesmith.errors import DataError
from wakesmith.progress import say
from wakesmith.run import write_json


def tell(kept: Sequence[Recording], every: Sequence[Recording], copies: Sequence[dict[str, Any]], out: Path) -> None:
    """Write leakage.json and say what it holds. copies: numbers of `every`. Raises DataError for a group in two splits."""
    named = [{**row, **{key: _name(every[row[key]]) for key in ("kept", "left_out")}} for row in copies]
    leaks, namesakes = splits.leaks(kept), [tuple(map(_name, pair)) for pair in splits.namesakes(kept)]
    told = {
        "groups_in_two_splits": {"/".join(group): sorted({one.split for one in own}) for group, own in leaks.items()},
        "names_in_two_splits": namesakes,
        "copies_across_splits": named,
        "recordings": splits.count(kept),
    }
    write_json(out / "leakage.json", told)
    where = f"see {out / 'leakage.json'}"
    if named:
        first = f"{named[0]['left_out']} is the same sound as {named[0]['kept']}"
        say(f"prepare: {len(named)} copies across splits left out, {where}: {first}")
    if namesakes:
        say(
            f"prepare: {len(namesakes)} speakers of one name in two splits, {where}: of {' and '.join(namesakes[0])}. "
            "If they are one person, the test hears a voice that was learned: give each speaker one split."
        )
    if leaks:
        raise DataError(_of_group(*next(iter(leaks.items())), f"{len(leaks)} such, {where}"))


def _of_group(group: splits.Group, own: Sequence[Recording], where: str) -> str:
    by_split = {one.split: _name(one) for one in reversed(own)}
    found = sorted(by_split)
    return (
        f"data.sources: the speaker {'/'.join(group)} lies in {' and '.join(found)}, so a test would hear a voice it was trained "
        f"on: {' and '.join(by_split[split] for split in found)} ({where}). Give each speaker one split."
    )


def _name(recording: Recording) -> str:
    return f"{recording.path} ({recording.source}, {recording.split})"
