"""What the teacher hears of a run's test recordings, beside what its student hears: misses at equal numbers of false accepts.

    python benchmarks/teacher_beside.py RUN [--hop-s 0.3]

The teacher answers windows of a view's length, one every 0.1 s over a recording of the phrase and every `--hop-s` over all else;
the highest answer of a recording is its score. The student's scores are those of the run's report, over continuous audio. So the
two sides are not heard alike, and a small difference says nothing; a large one says that the student, not its teacher, is to be
mended.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wakesmith.audio import SAMPLE_RATE_HZ, to_float
from wakesmith.data.audio_store import AudioStore
from wakesmith.data.clips import VIEW_SAMPLES
from wakesmith.data.records import Recording
from wakesmith.progress import track
from wakesmith.steps._feedback import answers
from wakesmith.tables import markdown
from wakesmith.teachers._card import load_teacher

PHRASE_HOP_S = 0.1
AFTER_S = 0.4
"""Of quiet after a recording, in which its last word is still in the window."""
BATCH = 64
COUNTS = (0, 1, 2, 3, 6)


def windows(store: AudioStore, recording: Recording, hop_s: float, chance: np.random.Generator) -> Iterator[np.ndarray]:
    """(VIEW_SAMPLES,) each, over the recording with half a view before it and a little after, on faint noise."""
    before, after = VIEW_SAMPLES // 2, round(AFTER_S * SAMPLE_RATE_HZ)
    sound = np.pad(to_float(store.int16(recording.id)), (before, after))
    sound = np.pad(sound, (max(0, VIEW_SAMPLES - len(sound)), 0))
    sound = sound + chance.normal(0, 1e-4, len(sound)).astype(np.float32)
    for start in range(0, len(sound) - VIEW_SAMPLES + 1, round(hop_s * SAMPLE_RATE_HZ)):
        yield sound[start : start + VIEW_SAMPLES]


def heard(run: Path, store: AudioStore, hop_s: float) -> dict[str, float]:
    """Highest answer of the teacher for each test recording but the near misses."""
    teacher = load_teacher(run / "teach")
    recordings, chance = store.of("test", "wake", "speech", "noise"), np.random.default_rng(0)
    scores: dict[str, float] = {}
    owners, waiting = [], []
    for number, recording in enumerate(track(recordings, "recordings", total=len(recordings)), start=1):
        for window in windows(store, recording, PHRASE_HOP_S if recording.label == "wake" else hop_s, chance):
            owners.append(recording.id)
            waiting.append(window)
        if len(waiting) >= 8 * BATCH or number == len(recordings):
            for owner, answer in zip(owners, answers(teacher, np.stack(waiting), BATCH)[:, 0], strict=True):
                scores[owner] = max(scores.get(owner, 0.0), float(answer))
            owners, waiting = [], []
    return scores


def misses(scores: list[float], others: list[float], n_accepts: int) -> str:
    """Of the phrase's scores those that do not come over the others' score of that rank."""
    threshold = sorted(others, reverse=True)[n_accepts]
    return f"{sum(score <= threshold for score in scores)} of {len(scores)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--hop-s", type=float, default=0.3, help="of the windows over what is not the phrase")
    chosen = parser.parse_args()
    report = json.loads((chosen.run / "evaluate" / "report.json").read_text(encoding="utf-8"))["test"]
    store, by_student = AudioStore.open(chosen.run / "prepare"), report["by_recording"]
    by_teacher = heard(chosen.run, store, chosen.hop_s)
    sides = [
        (by_teacher, [score for name, score in by_teacher.items() if name not in by_student]),
        (by_student, [row["score"] for row in report["loudest_negatives"]]),
    ]
    rows = [["false accepts", "real: teacher", "real: student", "spoken: teacher", "spoken: student"]]
    for n_accepts in COUNTS:
        row = [str(n_accepts)]
        for spoken in (False, True):
            names = [name for name in by_student if store.recordings[name].is_spoken == spoken]
            row += [misses([scores[name] for name in names], others, n_accepts) for scores, others in sides]
        rows.append(row)
    print("\n".join(markdown(rows)))
    print(f"{report['hours']:.2f} h of other sound.")


if __name__ == "__main__":
    main()
