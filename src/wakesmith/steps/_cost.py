"""Minutes on two cores that a recipe will cost, by step, before anything is made. Rough, from `make demo` on a free machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wakesmith.steps import _recipe, _start
from wakesmith.steps.speak import taking_part
from wakesmith.voices._base import Shares

if TYPE_CHECKING:
    from wakesmith.config import PartSettings
    from wakesmith.steps._recipe import Recipe

TRAIN, DEV = 0.7, 0.15
"""Shares of what is spoken."""
SPOKEN_S, NATURAL_S = {"espeak": 0.0025, "hibari": 0.01}, 0.8
"""A recording by a fast voice, and one by any other. What follows is of a view, an encoding, an answer and a step of 64; of a
round of `mine` beside its training, what it takes to listen to an hour or two."""
VIEW_S, HEARD_S, ANSWER_S, STEP_S = 0.001, 0.005, 0.004, 0.04
FIXED_S = {"speak": 2, "prepare": 5, "views": 4, "teach": 12, "label": 3, "train": 20, "export": 4, "evaluate": 12, "mine": 40}
LAST_LAYER_S, SEARCHED_S, SAID_S, HISTORY_S = 0.004, 0.002, 0.004, 0.004
"""A step of the last layer by itself, a recording that is searched for what comes nearest to the phrase, a phrase in a stream, a
view behind `micro` and the seconds that it hears before."""


def minutes(recipe: Recipe) -> dict[str, float]:
    """Step -> minutes, of what the recipe runs, rounds of `mine` too. Recordings from `data.sources` are not counted."""
    phrases, speech = recipe.speak.n_wake + recipe.speak.n_near_miss, recipe.speak.n_speech
    learned = TRAIN * phrases + min(TRAIN * speech, recipe.data.most_clips.get("speech", speech))
    for_dev = DEV * phrases + min(DEV * speech, recipe.data.most_clips.get("speech", speech))
    n_views = learned * recipe.views.n_views + for_dev
    heard = min(recipe.teach.max_encodings, learned * recipe.teach.views) + for_dev
    work_s = {
        "speak": _spoken_s(recipe), "views": n_views * VIEW_S, "teach": heard * HEARD_S + _tuned_s(recipe),
        "label": n_views * ANSWER_S, "train": _start.settings(recipe).steps * _step_s(recipe) * recipe.train.batch / 64,
    }  # fmt: skip
    if recipe.features.name == "micro":
        work_s["train"] += n_views * HISTORY_S
    work_s["train"] += recipe.train.last_layer_steps * LAST_LAYER_S + recipe.train.last_layer_said * SAID_S
    if recipe.train.last_layer_nearest:
        work_s["train"] += (recipe.speak.n_near_miss + recipe.speak.n_speech) * TRAIN * SEARCHED_S
    took_s = {step: FIXED_S[step] + work_s.get(step, 0.0) for step in _recipe.road(recipe)}
    if recipe.mine.rounds:
        again_s = recipe.mine.steps_share * work_s["train"] + FIXED_S["export"] + FIXED_S["evaluate"]
        took_s["mine"] = recipe.mine.rounds * (FIXED_S["mine"] + again_s)
    return {step: seconds / 60 for step, seconds in took_s.items()}


def _step_s(recipe: Recipe) -> float:
    """A step of 64 clips: of mixednet by its width, as half of it and more goes into layers of width x width."""
    width = getattr(recipe.student, "width", None) if recipe.student.name == "mixednet" else None
    return STEP_S if width is None else 0.012 + 0.0035 * (width / 128) ** 2


def told(recipe: Recipe) -> str:
    """In a sentence."""
    each = minutes(recipe)
    longest = sorted(each, key=lambda step: -each[step])[:3]
    parts = ", ".join(f"{step} {max(each[step], 0.1):.1f}" for step in each if step in longest)
    more = " Recordings from your own sources come on top." if recipe.data.sources else ""
    return f"About {max(1, round(sum(each.values())))} minutes on 2 free cores without a GPU (longest: {parts}).{more}"


def _spoken_s(recipe: Recipe) -> float:
    """Each voice's part of every kind, at its own speed."""
    total = 0.0
    for kind in ("wake", "near_miss", "speech"):
        n = getattr(recipe.speak, f"n_{kind}")
        voices = taking_part(recipe.speak.voices, recipe.language)
        parts = [(_share(voice, kind), SPOKEN_S.get(voice.name, NATURAL_S)) for voice in voices]
        whole = sum(share for share, _ in parts) or 1.0
        total += n * sum(share / whole * each_s for share, each_s in parts)
    return total


def _share(voice: PartSettings, kind: str) -> float:
    share = getattr(voice, "share", 1.0)
    return float(getattr(share, kind)) if isinstance(share, Shares) else float(share)


def _tuned_s(recipe: Recipe) -> float:
    """Of fine-tuning, every example passes the encoder forth and back: three times the cost of hearing it."""
    return recipe.teach.tune.steps * recipe.teach.tune.batch * HEARD_S * 3
