"""What tuning leaves on disk: checkpoints that load as teachers, and one file from which an interrupted tuning goes on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from wakesmith.errors import TeacherError
from wakesmith.progress import say
from wakesmith.teachers import _checkpoints
from wakesmith.teachers._base import Tunable

CHECKPOINTS, STATE = "checkpoints", "tuning.safetensors"
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Progress:
    """How far a tuning is. Learning rates and the order of clips follow from `step` alone."""

    made_by: str
    """Fingerprint of everything that decides the result."""
    step: int
    scale: float
    calm: int
    n_redone: int
    micro_batch: int
    history: list[dict[str, Any]]


def save(folder: Path, progress: Progress, weights: Weights, about: dict[str, Any], rest: Weights, keep: int) -> None:
    """The checkpoint first, then the state that names it, then old checkpoints go: every interruption leaves a whole pair.

    `about`: labels and preprocessing of the checkpoint. `rest`: moments of the optimiser and the best weights.
    """
    (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    _checkpoints.save(checkpoint(folder, progress.step), weights, **about)
    aside = folder / (STATE + ".part")
    save_file({name: value.contiguous().cpu() for name, value in rest.items()}, aside, {"progress": json.dumps(asdict(progress))})
    aside.replace(folder / STATE)
    prune(folder, progress.step, keep)


def prune(folder: Path, step: int, keep: int) -> None:
    """All but the last checkpoints go; those after `step`, which no state names yet, are not counted."""
    for old in [path for path in checkpoints(folder) if _step(path) <= step][:-keep]:
        old.unlink()


def load(folder: Path, made_by: str) -> tuple[Progress, Weights, Weights] | None:
    """-> (progress, weights, rest) of an interrupted tuning, None when there is none with this fingerprint."""
    path = folder / STATE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            rest = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if progress.made_by != made_by:
            return None
        with safe_open(checkpoint(folder, progress.step), framework="pt") as file:
            return progress, {name: file.get_tensor(name) for name in file.keys()}, rest  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        say(f"teach: {path}: an interrupted tuning that cannot go on ({error}); it starts again")
        return None


def clear(folder: Path) -> None:
    """Remove what another tuning left."""
    for old in [folder / STATE, *checkpoints(folder)]:
        old.unlink(missing_ok=True)


def checkpoint(folder: Path, step: int) -> Path:
    return folder / CHECKPOINTS / f"step-{step}.safetensors"


def checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted((folder / CHECKPOINTS).glob("step-*.safetensors"), key=_step)


def _step(path: Path) -> int:
    return int(path.stem.split("-")[1])


def moments(optimizer: torch.optim.Optimizer) -> Weights:
    """State of the optimiser as flat tensors: `adam.<parameter>.<what>`."""
    state = optimizer.state_dict()["state"]
    return {f"adam.{at}.{what}": value.cpu() for at, held in state.items() for what, value in held.items()}


def take_moments(optimizer: torch.optim.Optimizer, rest: Weights) -> None:
    """The way back from `moments`."""
    state: dict[int, Weights] = {}
    for name, value in rest.items():
        if name.startswith("adam."):
            _, at, what = name.split(".")
            state.setdefault(int(at), {})[what] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def encoder_bytes(weights: Weights) -> bytes:
    """The tuned encoder as safetensors: no metadata, whose order is chance, so equal weights give equal bytes."""
    return to_bytes({name: value.contiguous().cpu() for name, value in sorted(weights.items())})


def write_encoder(path: Path, weights: Weights) -> str:
    """Aside first, then renamed. -> SHA-256"""
    data, aside = encoder_bytes(weights), path.with_name(path.name + ".part")
    aside.write_bytes(data)
    aside.replace(path)
    return hashlib.sha256(data).hexdigest()


def take_encoder(encoder: Tunable, path: Path, sha256: str) -> None:
    """Load what `write_encoder` wrote. Raises TeacherError when it is gone or another."""
    if not path.exists():
        raise TeacherError(f"{path}: the tuned encoder is missing. Run `teach` again.")
    if _sha256(path) != sha256:
        raise TeacherError(f"{path}: not the weights that the teacher's card names. Run `teach` again.")
    encoder.take(load_file(path), sha256)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
