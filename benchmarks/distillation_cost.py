"""What distillation costs: steps without, with stored and with live answers; labelling; our trainer and our batch norm.

    python benchmarks/distillation_cost.py [--teacher whisper:FOLDER] [--steps 60] [--preset standard]

Everything is measured in one run on generated sound. Ways to train take turns, of each the mean over all its steps, those that
log included. Times are of the fastest turn; a ratio is of two ways in one turn, and of the turns the median counts, beside the
smallest and the largest: a machine whose speed changes slows both ways of a turn. Without --teacher a Whisper encoder of tiny's
size with random weights answers: it costs what a trained one costs.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wakesmith import registry
from wakesmith.audio import to_int16
from wakesmith.config import teacher_named
from wakesmith.data.records import LABELS, Clip, Recording, save_jsonl
from wakesmith.data.views import ViewStore
from wakesmith.progress import mute
from wakesmith.steps import _recipe, label, teach, train
from wakesmith.steps._material import Material
from wakesmith.students import _norm

N_SAMPLES, N_VIEWS = 24_000, 2
STUDENTS = {
    "9k": {"name": "ds_cnn", "width": 32},
    "26k": {"name": "ds_cnn", "width": 64},
    "1.5M": {"name": "mobilenet_v3"},
}
WARM_UP_STEPS = 5
MOST_LABELLINGS = 4
QUICKLY = {"gate": "off", "epochs": 2}


def made_run(folder: Path, n_clips: int) -> None:
    """prepare/ and views/ of generated sound, as those steps leave them."""
    chance = np.random.default_rng(0)
    tones = np.sin(np.outer(chance.uniform(0.05, 0.5, n_clips), np.arange(N_SAMPLES)))
    noise = chance.normal(0, 0.05, (n_clips, N_VIEWS, N_SAMPLES))
    views = to_int16((0.3 * tones[:, None] + noise).astype(np.float32))
    clips = [
        Clip(f"c{i}", f"r{i}", 0, N_SAMPLES, LABELS[i % 4], "dev" if i % 8 < 2 or i % 8 > 5 else "train") for i in range(n_clips)
    ]
    for name in ("prepare", "views"):
        (folder / name).mkdir(parents=True)
    save_jsonl(folder / "prepare" / "clips.jsonl", clips)
    recordings = [Recording(f"r{i}", "", "", clip.label, "", "", "", N_SAMPLES, clip.split) for i, clip in enumerate(clips)]
    save_jsonl(folder / "prepare" / "recordings.jsonl", recordings)
    np.save(folder / "prepare" / "audio.npy", views[:, 0].reshape(-1))
    np.save(folder / "prepare" / "offsets.npy", np.arange(n_clips) * N_SAMPLES)
    (folder / "prepare" / "store.json").write_text("{}")
    np.save(folder / "views" / "views.npy", views)
    np.save(folder / "views" / "state.npy", np.ones(views.shape[:2], np.uint8))
    (folder / "views" / "manifest.json").write_text(json.dumps({"fingerprint": "generated"}))


def random_whisper(folder: Path) -> dict[str, Any]:
    """Whisper tiny's encoder with random weights."""
    from safetensors.torch import save_file
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    torch.manual_seed(0)
    config = WhisperConfig(d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536)
    config.save_pretrained(folder)
    weights = WhisperEncoder(config).state_dict()
    save_file({f"model.encoder.{name}": value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    return {"name": "whisper", "path": str(folder)}


def steps_ms(recipe: Any, folder: Path, distil: bool) -> list[float]:
    """Durations of the optimiser steps of a real training."""
    out = folder / "bench"
    out.mkdir(exist_ok=True)
    arguments = train._arguments(recipe, out)
    arguments.set_evaluate("no")
    arguments.set_save("no")
    one = _trainer(recipe, folder, arguments, distil)
    ends: list[float] = []
    step = one.average.step
    one.average.step = lambda n_steps: (step(n_steps), ends.append(time.perf_counter()))  # called once, last, in each step
    one.train()
    return [1e3 * took for took in np.diff(ends)[WARM_UP_STEPS:]]


def _trainer(recipe: Any, folder: Path, arguments: Any, distil: bool) -> Any:
    material = Material(folder)
    torch.manual_seed(1)
    return train._trainer(recipe, arguments, material, material.features(recipe, folder / "bench"), distil)


def bare_ms(recipe: Any, folder: Path, group_rows: int = _norm.GROUP_ROWS) -> list[float]:
    """The same student, rows and optimiser in the shortest loop that learns: no log, no averaged weights, no callbacks."""
    usual, _norm.GROUP_ROWS = _norm.GROUP_ROWS, group_rows
    out = folder / "bench"
    one = _trainer(recipe, folder, train._arguments(recipe, out), distil=False)
    learner, loader = one.learner.train(), torch.utils.data.DataLoader(
        one.train_dataset, recipe.train.batch, sampler=one.sampler, collate_fn=lambda batch: batch
    )  # fmt: skip
    optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-3, fused=True)
    ends: list[float] = []
    while len(ends) < recipe.train.steps:
        for batch in loader:
            logits = learner(batch["features"], batch["chances"])["logits"]
            torch.nn.functional.cross_entropy(logits, batch["labels"]).backward()
            torch.nn.utils.clip_grad_norm_(learner.parameters(), 5.0)
            optimizer.step()
            optimizer.zero_grad()
            _norm.fold(one.norms)
            ends.append(time.perf_counter())
    _norm.GROUP_ROWS = usual
    return [1e3 * took for took in np.diff(ends)[WARM_UP_STEPS : recipe.train.steps]]


def of_preset(name: str) -> dict[str, Any]:
    """What of a preset makes a step as long as it is; its teacher's head, which is trained beforehand, is made in two epochs."""
    own = _recipe.preset_named(name)
    train = {key: own["train"][key] for key in ("batch", "band_gain", "class_shares") if key in own["train"]}
    return {"student": own["student"], "losses": own["losses"], "teach": {**own["teach"], **QUICKLY}, "train": train}


def students(values: dict[str, Any], chosen: dict[str, Any], folder: Path, n_steps: int, n_turns: int) -> None:
    heads = ("student", "plain ms", "cached ms", "live ms", "live/plain", "cached/plain", "bare/trainer", "grouped/one")
    print("  ".join([f"{head:>12}" for head in heads[:5]] + [f"{head:>19}" for head in heads[5:]]))
    for name, settings in chosen.items():
        base = {**values, "student": settings}
        few = max(WARM_UP_STEPS + 3, n_steps // 6)
        recipes = {
            "plain": (_recipe.load(base, {"train": {"steps": n_steps, "keep_features": True}}), False),
            "cached": (_recipe.load(base, {"train": {"steps": n_steps, "keep_features": True}}), True),
            "live": (_recipe.load(base, {"train": {"steps": few, "targets": "live", "keep_features": True}}), True),
        }
        took: dict[str, list[float]] = {kind: [] for kind in (*recipes, "bare", "one")}  # mean of each turn
        for turn in range(n_turns):
            for kind, (recipe, distil) in recipes.items():
                if kind != "live" or turn == 0:
                    took[kind].append(statistics.mean(steps_ms(recipe, folder, distil)))
            plain_recipe = recipes["plain"][0]
            took["bare"].append(statistics.mean(bare_ms(plain_recipe, folder)))
            took["one"].append(statistics.mean(bare_ms(plain_recipe, folder, group_rows=plain_recipe.train.batch)))
        plain, cached, live = (min(took[kind]) for kind in ("plain", "cached", "live"))
        times = [f"{name:>12}", *(f"{figure:12.3f}" for figure in (plain, cached, live, live / plain))]
        pairs = [ratio(took[one], took[other]) for one, other in (("cached", "plain"), ("bare", "plain"), ("bare", "one"))]
        print("  ".join([*times, *(f"{pair:>19}" for pair in pairs)]), flush=True)


def ratio(one: list[float], other: list[float]) -> str:
    """Of two ways, turn by turn: the median, and from where to where they went."""
    turns = [a / b for a, b in zip(one, other, strict=True)]
    return f"{statistics.median(turns):.3f} ({min(turns):.2f}-{max(turns):.2f})"


def labelling(folder: Path, batch: int, n_turns: int) -> None:
    """Speed of `label`, its start included, over that of the encoder, and over the forward alone of a network in torch."""
    from wakesmith.teachers._card import load_teacher

    teacher, views = load_teacher(folder / "teach"), ViewStore.open(folder / "views")
    samples = torch.from_numpy(np.stack([views.read(clip, 0) for clip in range(batch)]))
    encoder = teacher.encoders[0]
    asked = {"the encoder": functools.partial(encoder.encode, samples)}
    if hasattr(encoder, "states"):
        asked["the bare forward"] = functools.partial(encoder.states, encoder.prepare(samples))
    rates: dict[str, list[float]] = {"label": [], **{name: [] for name in asked}}
    for _ in range(n_turns):
        for path in ((folder / "label"), (folder / "encodings")):
            for file in sorted(path.rglob("*"), reverse=True):
                file.unlink() if file.is_file() else file.rmdir()
        started = time.perf_counter()
        n_views = label.answer_all(folder, batch)
        rates["label"].append(n_views / (time.perf_counter() - started))
        for name, ask in asked.items():
            started = time.perf_counter()
            with torch.no_grad():
                for _ in range(n_views // batch):
                    ask()
            rates[name].append(n_views // batch * batch / (time.perf_counter() - started))
    print(f"labelling {max(rates['label']):.1f} views/s")
    for name in asked:
        print(f"  {name} {max(rates[name]):.1f}: ratio {ratio(rates['label'], rates[name])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", help="as for wakesmith forge")
    parser.add_argument("--steps", type=int, default=60, help="of each training")
    parser.add_argument("--turns", type=int, default=4, help="of each way; labelling takes 4 at most")
    parser.add_argument("--clips", type=int, default=1024, help="half of them are for training: with 1024 an epoch is 8 batches")
    parser.add_argument("--preset", help="the student and the losses of quick or standard, in place of three students")
    chosen = parser.parse_args()
    if chosen.steps < WARM_UP_STEPS + 2:
        parser.error(f"--steps {chosen.steps}: the first {WARM_UP_STEPS} are not counted; expected at least {WARM_UP_STEPS + 2}")
    mute()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        made_run(folder, chosen.clips)
        teacher = teacher_named(chosen.teacher) if chosen.teacher else random_whisper(Path(place) / "whisper")
        values = {"phrase": "generated", "teacher": teacher, "teach": QUICKLY}
        own = STUDENTS
        if chosen.preset:
            values |= of_preset(chosen.preset)
            own = {chosen.preset: values["student"]}
        recipe = _recipe.load(values)
        teach.run(recipe, folder)
        label.answer_all(folder, recipe.label.batch)
        source = registry.build("teachers", recipe.teacher).source
        print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, batch {recipe.train.batch}, teacher {source}")
        students(values, own, folder, chosen.steps, chosen.turns)
        labelling(folder, recipe.label.batch, min(chosen.turns, MOST_LABELLINGS))


if __name__ == "__main__":
    main()
