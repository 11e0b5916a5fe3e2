"""Figures of one cell of a comparison, and what many cells say together: means, intervals over seeds, paired differences."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wakesmith import config, registry
from wakesmith.data import classes
from wakesmith.rng import rng
from wakesmith.run import fingerprint
from wakesmith.tables import Look, markdown

if TYPE_CHECKING:
    from torch import Tensor

    from wakesmith.data.records import Clip
    from wakesmith.steps._recipe import Recipe

TRAINING, FIGURES = 2, 4
"""Versions: another one trains, or measures, every cell anew."""
ERRORS = (
    "errors_dev", "errors_clean", "errors_clean_phrases", "errors_clean_others", "errors_noisy", "dev_frr_all", "frr_clean",
    "frr_all", "frr_at_rate",
)  # fmt: skip
"""Shares of mistakes, the less the better: single test clips called wrongly, and phrases missed in continuous audio."""
TEST_END_MS = 200
MOST_OTHERS = 500


TestViews = dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]


def stamp(base: Recipe) -> str:
    """Names the figures: how they are made, and what the test hears."""
    heard = base.model_dump(mode="json", include={"seed", "phrase", "views"})
    return fingerprint("figures", FIGURES, heard)[:8]


def views_of_test(base: Recipe, folder: Path) -> TestViews:
    """What every arm is tested on: labelled test clips, alone and under the run's effects. -> kind: (n, 24000), (n,) classes."""
    return {kind: _test_views(base, folder, kind) for kind in ("clean", "noisy")}


def figures(recipe: Recipe, cell: Path, heard: TestViews, name: str) -> dict[str, Any]:
    """Of a trained student, and of its teacher on the same clips; `name`: the stamp of the test."""
    from wakesmith.steps import _common_test
    from wakesmith.steps.export import load_weights

    card = json.loads((cell / "train" / "card.json").read_text(encoding="utf-8"))
    front_end = registry.build("features", recipe.features)
    n_classes = len(classes.names(recipe.phrases))
    student = registry.build("students", recipe.student, front_end.n_mels, card["n_frames"], n_classes)
    load_weights(student, cell / "train" / "model.safetensors")
    result: dict[str, Any] = {
        "parameters": card["parameters"], "dev": card["dev"], "train_s": _took_s(cell / "train"),
        "teacher": None, "errors_dev": 1 - card["dev"]["accuracy"],
    }  # fmt: skip
    for kind, (samples, labels) in heard.items():
        frames = _common_test.frames_of(front_end, samples, f"{name}/{kind}")
        wrong = _student_logits(student, frames).argmax(axis=1) != labels
        says = labels < len(recipe.phrases)
        result |= {f"errors_{kind}": float(wrong.mean())}
        result |= {f"errors_{kind}_{name}": float(wrong[rows].mean()) for name, rows in (("phrases", says), ("others", ~says))}
    if recipe.train.distil:
        result["teacher"] = _teacher(cell, heard, name)
    if len(recipe.phrases) == 1:
        result |= _streams(recipe, cell)
    return result


def _teacher(cell: Path, heard: TestViews, name: str) -> dict[str, Any]:
    """The teacher's own mistakes on the test clips, and what it cost. Kept beside the teacher: all seeds share it."""
    path = (cell / "teach").resolve() / f"test-{name}.json"
    if not path.exists():
        from wakesmith.run import write_json
        from wakesmith.teachers._card import load_teacher

        teacher = load_teacher(cell / "teach")
        told = {f"errors_{kind}": _errors(_teacher_logits(teacher, samples), labels) for kind, (samples, labels) in heard.items()}
        told["dev"] = json.loads((path.parent / "gate.json").read_text(encoding="utf-8"))["dev"]
        write_json(path, {**told, "ms_per_view": _ms_per_view(teacher, cell)})
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _ms_per_view(teacher: Any, cell: Path) -> float | None:
    """What the encoders took for a view, whichever arm asked first; of an ensemble the sum. None when it was not written down."""
    from wakesmith.teachers._encodings import FOLDER, cost

    costs = [cost(cell / FOLDER / encoder.fingerprint()[:16]) for encoder in teacher.encoders]
    if not all(one["views"] for one in costs):
        return None
    return float(sum(1e3 * one["seconds"] / one["views"] for one in costs))


def _test_views(recipe: Recipe, cell: Path, kind: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Labelled test clips (n, 24000), cut 0.2 s after the phrase, alone or under the run's effects; (n,) classes."""
    from wakesmith import augment
    from wakesmith.augment._bank import Bank
    from wakesmith.data.audio_store import AudioStore

    store = AudioStore.open(cell / "prepare")
    numbers = classes.numbers(store.clips, store.recordings, recipe.phrases)
    chosen = _tested(store.clips, numbers, len(recipe.phrases), recipe.seed)
    cut = config.part("augment", "shift", least_ms=TEST_END_MS, most_ms=TEST_END_MS)
    effects = augment.build([cut] if kind == "clean" else recipe.views.effects)
    bank, clips = Bank(cell / "views" / "bank"), [store.clips[i] for i in chosen]
    heard = [augment.augment(store.clip(clip), clip, 0, recipe.seed, effects, bank) for clip in clips]
    return np.stack(heard), numbers[chosen]


def _tested(clips: Sequence[Clip], numbers: npt.NDArray[np.int64], n_phrases: int, seed: int) -> list[int]:
    """All test clips of the phrases, and at most `MOST_OTHERS` of other sounds, drawn by chance: a teacher's time is dear."""
    tested = [i for i, clip in enumerate(clips) if clip.split == "test" and numbers[i] >= 0]
    others = [i for i in tested if numbers[i] >= n_phrases]
    if len(others) > MOST_OTHERS:
        others = rng(seed, "compare", "others").choice(others, MOST_OTHERS, replace=False).tolist()
    return sorted([*(i for i in tested if numbers[i] < n_phrases), *others])


def _student_logits(student: Any, frames: Iterable[Tensor]) -> npt.NDArray[np.float32]:
    import torch

    student.eval()
    with torch.no_grad():
        parts = [student(some)[0] for some in frames]
    return torch.cat(parts).numpy()  # type: ignore[no-any-return]


def _teacher_logits(teacher: Any, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    import torch

    parts = [teacher.answer(torch.from_numpy(samples[at : at + 32]))[0] for at in range(0, len(samples), 32)]
    return torch.cat(parts).numpy()  # type: ignore[no-any-return]


def _errors(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    return float((logits.argmax(axis=1) != labels).mean())


def _streams(recipe: Recipe, cell: Path) -> dict[str, float]:
    """Misses and false accepts of the bundle in continuous audio, at the threshold that dev gives for the target rate."""
    report = json.loads((cell / "evaluate" / "report.json").read_text(encoding="utf-8"))
    test, dev = report["test"], report["dev"]
    return {
        "frr_clean": next(row["frr"] for row in test["conditions"] if row["name"] == "clean"),
        "frr_all": missed(test["conditions"]),
        "dev_frr_all": missed(dev["conditions"]),
        "fa_per_hour": test["false_accepts"]["per_hour"],
        "frr_at_rate": _misses_at(test["det"], recipe.evaluate.target_fa_per_hour),
    }


def missed(conditions: list[dict[str, Any]]) -> float:
    """The share of phrases missed over all conditions of a report."""
    return float(sum(row["missed"] for row in conditions) / sum(row["n"] for row in conditions))


def _misses_at(det: dict[str, list[float]], fa_per_hour: float) -> float:
    """Clean misses where the test's own false accepts keep to a rate: no operating point, but it tells teachers apart."""
    return min((frr for fa, frr in zip(det["fa_per_hour"], det["frr"], strict=True) if fa <= fa_per_hour), default=1.0)


def _took_s(folder: Path) -> float:
    return float(json.loads((folder / "whole.json").read_text(encoding="utf-8"))["took_s"])


def summary(results: dict[str, list[dict[str, Any]]], recipe: Recipe) -> dict[str, Any]:
    """Per arm: means over the seeds with a 95 % interval, and the paired difference to the arm without a teacher."""
    plain = next(iter(results.values()))
    told: dict[str, Any] = {
        "phrases": recipe.phrases,
        "student": recipe.student.model_dump(mode="json"),
        "n_seeds": len(plain),
        "arms": [],
    }
    for name, cells in results.items():
        arm: dict[str, Any] = {"name": name, "parameters": cells[0]["parameters"], "teacher": cells[0]["teacher"]}
        arm |= {"train_s": float(np.mean([cell["train_s"] for cell in cells]))}
        for key in [*ERRORS, "fa_per_hour"]:
            if key in cells[0]:
                arm[key] = spread([cell[key] for cell in cells])
        for key in ERRORS:
            if key in arm:
                arm[key] |= fewer([cell[key] for cell in cells], [cell[key] for cell in plain])
        told["arms"].append(arm)
    return told


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean and the half width of its 95 % interval over the seeds (Student's t); no interval from one seed."""
    return {"mean": float(np.mean(values)), "half": half_width(values), "values": [float(value) for value in values]}


def half_width(values: Sequence[float]) -> float | None:
    from scipy.stats import t

    if len(values) < 2:
        return None
    return float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))


def fewer(values: Sequence[float], before: Sequence[float]) -> dict[str, Any]:
    """How many fewer mistakes than without a teacher, as a share of those: from the differences seed by seed."""
    base = float(np.mean(before))
    if base == 0:
        return {"fewer": None, "fewer_half": None}
    saved = (np.array(before) - np.array(values)) / base
    return {"fewer": float(saved.mean()), "fewer_half": half_width(saved.tolist())}


HEADS = {
    "errors_dev": "errors, dev views",
    "errors_clean": "errors, clean clips",
    "errors_clean_phrases": "of the phrases",
    "errors_clean_others": "of other sounds",
    "errors_noisy": "errors, noisy clips",
    "dev_frr_all": "misses, dev",
    "frr_clean": "misses, clean",
    "frr_all": "misses, all",
    "frr_at_rate": "misses, clean, test's own threshold",
    "fa_per_hour": "FA/h",
}
OF_TEST = ("errors_clean", "errors_noisy", "frr_clean", "frr_all", "frr_at_rate")
"""Columns with another beside them: how many fewer than without a teacher."""


def table(told: dict[str, Any], look: Look = markdown) -> str:
    """One line an arm, in Markdown unless another look is asked for."""
    columns = [key for key in HEADS if key in told["arms"][0]]
    heads = [cell for key in columns for cell in ([HEADS[key], "fewer"] if key in OF_TEST else [HEADS[key]])]
    rows = [["teacher", *heads, "teacher's own errors", "train s", "teacher ms a view"]]
    for arm in told["arms"]:
        cells = [cell for key in columns for cell in _cells(arm[key], key)]
        teacher = arm["teacher"]
        own = f"{teacher['errors_clean']:.1%} / {teacher['errors_noisy']:.1%}" if teacher else "-"
        cost = f"{teacher['ms_per_view']:.1f}" if teacher and teacher["ms_per_view"] else "-"
        rows.append([arm["name"], *cells, own, f"{arm['train_s']:.0f}", cost])
    student = told["student"]
    seeds = "one seed, so no intervals" if told["n_seeds"] == 1 else f"{told['n_seeds']} seeds, 95 % intervals over seeds"
    what = f"{student['name']}, {told['arms'][0]['parameters']:,} parameters, {seeds}"
    return "\n".join([what, "", *look(rows)])


def _cells(value: dict[str, Any], key: str) -> list[str]:
    """Mean and interval; beside a mistake of test how many fewer it is."""
    digits = ".2f" if key == "fa_per_hour" else ".1%"
    told = [f"{value['mean']:{digits}}" + (f" ± {value['half']:{digits}}" if value["half"] is not None else "")]
    if key in OF_TEST:
        sure = f" ± {value['fewer_half']:.0%}" if value["fewer_half"] is not None else ""
        told.append(f"{value['fewer']:+.0%}{sure}" if value["fewer"] is not None else "-")
    return told
