"""`rerun`: a run made anew in another folder from its own config.yaml, and the two compared, file by file.

What it was made from is looked at first: versions and processor are told where they differ; a source or a teacher that is
missing, or is not what it was, stops it.
"""

from __future__ import annotations

import filecmp
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakesmith.config import read_yaml
from wakesmith.data import sources
from wakesmith.errors import ConfigError, DataError, TeacherError, WakesmithError
from wakesmith.progress import say
from wakesmith.run import BEGUN, CONFIG, WHOLE, Run, machine, versions, write_json
from wakesmith.steps import _files, _recipe, _rounds, forge

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe
    from wakesmith.tables import Row

MADE = "rerun.json"
"""In the new folder: what makes it, and what was found."""
COMPARED = (
    "speak/recordings.jsonl", "prepare/recordings.jsonl", "prepare/clips.jsonl", "prepare/audio.npy", "views/*.npy",
    "teach/**/*.safetensors", "label/logits.npy", "label/embedding.npy", "train/model.safetensors", "bundle/**/*", "bundles/**/*",
    "evaluate/report.json",
)  # fmt: skip
"""In the order they are made: the first that differs says where to look."""
TIMES = frozenset({"cost", "samples_per_s", "waiting_share", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second"})
"""Keys of the report that tell how long something took: no two runs agree in them."""


def run(folder: Path, out: Path) -> dict[str, Any]:
    """Make the run in `folder` again in `out`. -> what out/rerun.json holds: differences of what made them, and every file."""
    recipe = _of(folder)
    differences = _made_by(folder)
    for one in differences:
        say(f"rerun: {one['step']}: {one['what']} was {one['kept']}, here it is {one['now']}")
    recipe = _files.seen(recipe)
    _check_teacher(recipe, folder)
    _open(recipe, folder, out)
    _set_threads(folder)
    for step in ("speak", "prepare"):
        forge.one(recipe, out, step)
    _check_sources(folder, out)
    forge.run(recipe, out)
    files = list(_compared(folder, out))
    told = {"of": folder.name, "made_by": _now(), "equal": all(one["equal"] for one in files), "differences": differences}
    write_json(out / MADE, {**told, "files": files})
    return {**told, "files": files}


def default_out(folder: Path) -> Path:
    return folder.with_name(f"{folder.resolve().name}-rerun")


def table(told: dict[str, Any]) -> list[Row]:
    """Head and a row a file."""
    return [["file", "", ""], *([one["file"], "equal" if one["equal"] else "differs", one["told"]] for one in told["files"])]


def _of(folder: Path) -> Recipe:
    """The recipe of a run that is whole. Raises WakesmithError for one that cannot be made from its recipe alone."""
    recipe, place = _recipe.load(read_yaml(folder / CONFIG)), Run(folder)
    forge.check_whole(recipe, place, _recipe.road(recipe), "rerun")
    rounds = _rounds.of(recipe, folder)
    own = [one.name for one in rounds if one.plan["kind"] == "learn"]
    if own:
        raise WakesmithError(
            f"{folder}: round {own[0]} learned from recordings that were given to `learn`, which a rerun does not have. "
            f"Rerun what was there before: forge with {CONFIG}, then: wakesmith learn"
        )
    mined = len(rounds)
    return recipe.model_copy(update={"mine": recipe.mine.model_copy(update={"rounds": mined})}) if mined else recipe


def _now() -> dict[str, str]:
    return {**versions(), "processor": machine()["processor"]}


def _made_by(folder: Path) -> list[dict[str, str]]:
    """Versions, code and processor of each step that are others now, each told once."""
    now = _now()
    found: dict[tuple[str, str], dict[str, str]] = {}
    for step in _recipe.STEPS:
        place = folder / _recipe.FOLDERS.get(step, step) / WHOLE
        told = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
        for what, kept in {**told.get("versions", {}), **told.get("machine", {})}.items():
            if what != "threads" and kept != now.get(what, "missing"):
                found.setdefault((what, kept), {"step": step, "what": what, "kept": kept, "now": now.get(what, "missing")})
    return list(found.values())


def _set_threads(folder: Path) -> None:
    """torch adds in another order with another number of threads, and the last bits of a weight are others."""
    import torch

    told = json.loads((folder / "train" / WHOLE).read_text(encoding="utf-8")).get("machine", {})
    if "threads" not in told:
        say("rerun: the run does not say with how many threads it was trained; with another number weights differ")
    elif int(told["threads"]) != torch.get_num_threads():
        say(f"rerun: {told['threads']} threads, as the run had")
        torch.set_num_threads(int(told["threads"]))


def _check_teacher(recipe: Recipe, folder: Path) -> None:
    """Raises TeacherError for an encoder that is not there, or not the one that taught the run."""
    from wakesmith import registry
    from wakesmith.teachers import _card

    if "teach" not in _recipe.road(recipe):
        return
    card = _card.load_card(folder / "teach")
    members = [folder / "teach" / _card.MEMBERS / name for name in getattr(card, "members", [])]
    for place in members or [folder / "teach"]:
        own = _card.load_card(place)
        assert isinstance(own, _card.Card), f"{place}: an ensemble in an ensemble"
        if own.encoder_sha256:
            continue  # tuned from a source whose own fingerprint the card does not keep
        now = registry.build("teachers", _part(own.teacher)).fingerprint()
        if now != own.encoder_fingerprint:
            raise TeacherError(
                f"{own.encoder_source}: not the encoder that taught {folder} (fingerprint {own.encoder_fingerprint}, now {now}). "
                "Put the former weights there, or forge a new run."
            )


def _part(values: dict[str, Any]) -> Any:
    from wakesmith import config

    return config.part("teachers", **values)


def _open(recipe: Recipe, folder: Path, out: Path) -> None:
    """Take the new folder, or a rerun of the same by the same up that was interrupted."""
    if out.resolve() == folder.resolve():
        raise ConfigError(f"--out {out}: is the run itself. Name another folder.")
    if (out / CONFIG).exists():
        kept = json.loads((out / MADE).read_text(encoding="utf-8")) if (out / MADE).is_file() else {}
        if (kept.get("of"), kept.get("made_by")) != (folder.name, _now()):
            raise ConfigError(
                f"--out {out}: a run that is no rerun of {folder.name} by the versions that are here. "
                "Delete it, or name another folder."
            )
    forge.plan(recipe, out)
    write_json(out / MADE, {"of": folder.name, "made_by": _now()})


def _check_sources(folder: Path, out: Path) -> None:
    """Raises DataError that names every source, data set or voice, that gave something else than in the run."""
    kept, now = sources.read(folder / "prepare"), sources.read(out / "prepare")
    if not kept:
        say("rerun: an earlier version prepared the run and kept no fingerprints of its sources: files are compared at the end")
        return
    lines = [f"{name} ({licence}): {_what(kept.get(one), now.get(one))}" for one in kept | now for name, licence in [one]
             if kept.get(one) != now.get(one)]  # fmt: skip
    if lines:
        raise DataError(
            f"{folder}: {len(lines)} of {len(kept)} sources are not what they were:\n"
            + "\n".join(f"  - {line}" for line in lines)
            + f"\nPut the former recordings and voices in place, delete {out}, and rerun."
        )


def _what(kept: str | None, now: str | None) -> str:
    if now is None:
        return "gives nothing now"
    return "is new" if kept is None else "other sounds, texts, speakers or splits"


def _compared(folder: Path, out: Path) -> Iterator[dict[str, Any]]:
    """{file, equal, told} of every file of `COMPARED` that one of the two has; the report's without times."""
    for pattern in COMPARED:
        names = {path.relative_to(place).as_posix() for place in (folder, out) for path in place.glob(pattern) if path.is_file()}
        for name in sorted(names):
            if Path(name).name in (WHOLE, BEGUN):
                continue
            told = _difference(folder / name, out / name)
            yield {"file": name, "equal": not told, "told": told}


def _difference(one: Path, other: Path) -> str:
    """In words; empty: the same bytes, or of a report the same figures."""
    missing = [path for path in (one, other) if not path.is_file()]
    if missing:
        return "only in the rerun" if missing[0] == one else "only in the run"
    if filecmp.cmp(one, other, shallow=False):
        return ""
    if one.suffix != ".json":
        return f"{one.stat().st_size:,} bytes, now {other.stat().st_size:,}"
    first, second = (timeless(json.loads(path.read_text(encoding="utf-8"))) for path in (one, other))
    keys = list(_keys_apart(first, second))
    if not keys and one.name != "report.json":
        return "other bytes of the same values"
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def timeless(data: Any, times: Collection[str] = TIMES) -> Any:
    """Plain values without these keys, wherever they are."""
    if isinstance(data, dict):
        return {key: timeless(value, times) for key, value in data.items() if key not in times}
    return [timeless(one, times) for one in data] if isinstance(data, list) else data


def _keys_apart(one: Any, other: Any, before: str = "") -> Iterator[str]:
    """Paths of what is not the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one | other:
            yield from _keys_apart(one.get(key), other.get(key), f"{before}.{key}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from _keys_apart(*pair, f"{before}.{number}")
    elif one != other:
        yield before
