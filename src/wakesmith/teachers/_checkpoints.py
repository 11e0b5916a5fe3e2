"""Weights files of every shape -> names and tensors, without ever running what a file holds; and our own safetensors.

Inside a torch file the weights are looked for in the order of `CONTAINERS`; what was taken is said. `labels` (a list of names)
and `preprocessing` (keys and values) may lie beside them, as they lie in the metadata of our safetensors.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
import reprlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wakesmith.disk import is_dir, is_file
from wakesmith.errors import TeacherError
from wakesmith.progress import say
from wakesmith.teachers import _folder

FORMAT = "wakesmith-teacher-1"
CONTAINERS = ("teacher_state_dict", "model_state_dict", "state_dict", "ema_state_dict", "ema")
WRAPPERS = ("module.", "_orig_mod.")  # DataParallel, DDP and AveragedModel; torch.compile
AVERAGED = "n_averaged"  # the count that torch's AveragedModel keeps beside its weights
ENCODER, HEAD = "encoder.", "head."
MAX_TORCH_BYTES = 4 * 2**30
"""A torch file is read whole, so its size is bounded; safetensors are mapped, and need no bound."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights by name as the file has them (any float type), and what the file says of itself."""

    weights: dict[str, Tensor]
    labels: list[str] | None
    """The classes, in the order of the head's logits; None: the file does not say."""
    preprocessing: dict[str, Any] | None
    source: Path
    """The file that was read: where a folder was given, the weights in it."""


def read(path: Path | str) -> Checkpoint:
    """Read a safetensors file, a torch file, or a transformers folder. Raises TeacherError when it is none of them."""
    path = Path(path)
    if is_dir(path):
        preprocessor = path / _folder.PREPROCESSOR
        inside = read(_folder.local_weights(path))
        told = _folder.preprocessing(preprocessor if preprocessor.is_file() else None)
        return dataclasses.replace(inside, preprocessing=inside.preprocessing or told or None)
    if not is_file(path):
        raise TeacherError(f"{path}: no such file. Give a file of weights or a folder that holds one.")
    found = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    return dataclasses.replace(found, weights=_plain_names(found.weights))


def _read_safetensors(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, OSError, MemoryError) as error:
        raise TeacherError(f"{path}: not readable as safetensors ({error}). Fetch the file again.") from error
    made = metadata.get("format", "")
    if made.startswith("wakesmith-teacher-") and made != FORMAT:
        raise TeacherError(f"{path}: written as {made}, this version reads {FORMAT}. Install the wakesmith that wrote it.")
    try:
        labels, preprocessing = (json.loads(metadata.get(key, "null")) for key in ("labels", "preprocessing"))
    except (ValueError, RecursionError) as error:
        raise TeacherError(f"{path}: its metadata is not JSON ({error}). Save the file again.") from error
    return _checked(path, weights, labels, preprocessing)


def _read_torch(path: Path) -> Checkpoint:
    try:
        n_bytes = _unpacked_bytes(path)
        if n_bytes > MAX_TORCH_BYTES:
            raise TeacherError(f"{path}: {n_bytes} bytes, at most {MAX_TORCH_BYTES} are read. Save it as safetensors.")
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except TeacherError:
        raise
    except pickle.UnpicklingError as error:
        raise TeacherError(
            f"{path}: holds more than tensors and plain values, or is damaged; it was not run. Save its state_dict alone, "
            "best as safetensors."
        ) from error
    except Exception as error:  # a damaged file fails in a dozen ways inside torch
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise TeacherError(f"{path}: not readable as a torch file ({reason}). Fetch the file again.") from error
    if not isinstance(loaded, dict):
        raise TeacherError(f"{path}: holds a {type(loaded).__name__}, expected names and tensors. Save a state_dict.")
    taken = next((name for name in CONTAINERS if loaded.get(name) is not None), None)
    if taken is None:
        return _checked(path, loaded, None, None)
    say(f"checkpoint: {path}: the weights under {taken} are taken")
    return _checked(path, loaded[taken], loaded.get("labels"), loaded.get("preprocessing"))


def _unpacked_bytes(path: Path) -> int:
    """Of a torch file: deflated parts may grow a thousandfold."""
    n_bytes = path.stat().st_size
    if not zipfile.is_zipfile(path):
        return n_bytes
    with zipfile.ZipFile(path) as archive:
        return max(n_bytes, sum(part.file_size for part in archive.infolist()))


def _checked(path: Path, weights: Any, labels: Any, preprocessing: Any) -> Checkpoint:
    """Refuse what is no weights, no list of names, no keys and values."""
    if not isinstance(weights, dict) or not weights or not all(isinstance(key, str) for key in weights):
        raise TeacherError(f"{path}: holds no named tensors. Save a state_dict.")
    others = [key for key, value in weights.items() if not isinstance(value, Tensor)]
    if others:
        raise TeacherError(
            f"{path}: {_few(others)}: no tensor. Expected tensors alone, or under one of {', '.join(CONTAINERS)}. "
            "Save the state_dict there."
        )
    if not (labels is None or (isinstance(labels, list) and all(isinstance(label, str) for label in labels))):
        raise TeacherError(f"{path}: labels: expected a list of names, got {reprlib.repr(labels)}. Save the file again.")
    if not (preprocessing is None or isinstance(preprocessing, dict)):
        told = reprlib.repr(preprocessing)
        raise TeacherError(f"{path}: preprocessing: expected keys and values, got {told}. Save the file again.")
    unlike = [key for key, value in weights.items() if not _is_plain(value)]
    if unlike:
        raise TeacherError(
            f"{path}: {_few(unlike)}: sparse, quantised, or with fewer numbers than its shape says. Save it dense."
        )
    return Checkpoint(weights, labels, preprocessing, path)


def _is_plain(tensor: Tensor) -> bool:
    """Dense, on the CPU, a stored number for each of its own: a shape costs nothing to write, and memory to use."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _plain_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off what wrappers put before every name, however deep; torch.compile of an inner part leaves its mark inside."""
    weights = {key: value for key, value in weights.items() if key != AVERAGED}
    while wrapper := next((wrapper for wrapper in WRAPPERS if weights and all(key.startswith(wrapper) for key in weights)), ""):
        weights = {key.removeprefix(wrapper): value for key, value in weights.items()}
    return {key.replace("_orig_mod.", ""): value for key, value in weights.items()}


def split(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """A whole teacher of ours -> the encoder's weights and the head's. Of any other file: all, and None."""
    if not all(key.startswith((ENCODER, HEAD)) for key in weights):
        return weights, None
    head = {key.removeprefix(HEAD): value for key, value in weights.items() if key.startswith(HEAD)}
    return {key.removeprefix(ENCODER): value for key, value in weights.items() if key.startswith(ENCODER)}, head or None


def load_strictly(module: nn.Module, weights: dict[str, Tensor], path: Path | str) -> None:
    """Every key and shape must agree and every number be finite, else TeacherError lists what is not, and nothing is loaded."""
    wanted = module.state_dict()
    kinds = {
        "missing": [key for key in wanted if key not in weights],
        "unexpected": [key for key in weights if key not in wanted],
        "of another shape": [
            f"{key} {list(weights[key].shape)} for {list(tensor.shape)}"
            for key, tensor in wanted.items()
            if key in weights and weights[key].shape != tensor.shape
        ],
        "of another type": [
            f"{key} {weights[key].dtype} for {tensor.dtype}"
            for key, tensor in wanted.items()
            if key in weights and weights[key].is_floating_point() != tensor.is_floating_point()
        ],
        "not finite": [
            key
            for key, tensor in wanted.items()
            if key in weights and tensor.is_floating_point() and not _is_finite(weights[key])
        ],
    }
    problems = [f"{len(found)} {kind} ({_few(found)})" for kind, found in kinds.items() if found]
    if problems:
        raise TeacherError(f"{path}: does not fit the network: {'; '.join(problems)}. Give weights and settings of one model.")
    module.load_state_dict(weights)


def _is_finite(tensor: Tensor) -> bool:
    return bool((tensor.float() if tensor.element_size() == 1 else tensor).isfinite().all())  # 8-bit floats cannot tell


def check_fits(checkpoint: Checkpoint, labels: list[str] | None, preprocessing: dict[str, Any]) -> None:
    """What the file says of its classes (where `labels` are given) and of its sound must be what the run does."""
    if labels is not None and checkpoint.labels is not None and checkpoint.labels != labels:
        how = "in another order" if sorted(checkpoint.labels) == sorted(labels) else "others"
        raise TeacherError(
            f"{checkpoint.source}: its classes are {how}: {', '.join(checkpoint.labels)}; the run's are {', '.join(labels)}. "
            "Give a checkpoint of this run's classes, or teach anew."
        )
    for key, wanted in preprocessing.items():
        found = (checkpoint.preprocessing or {}).get(key, wanted)
        if found != wanted:
            raise TeacherError(
                f"{checkpoint.source}: was trained with {key} {found}, this run has {wanted}. Give one that hears alike"
                f"{', or set teacher.normalise' if key == 'normalise' else ''}."
            )


def save(path: Path | str, weights: dict[str, Tensor], labels: list[str] | None, preprocessing: dict[str, Any] | None) -> None:
    """Write safetensors that say what they are: aside first, then renamed, so that no half file is left."""
    from safetensors.torch import save as as_bytes

    path = Path(path)
    told = {"labels": labels, "preprocessing": preprocessing}
    metadata = {"format": FORMAT} | {key: json.dumps(value, sort_keys=True) for key, value in told.items() if value is not None}
    data = as_bytes({key: weights[key].detach().cpu().contiguous() for key in sorted(weights)}, metadata)
    n_header = int.from_bytes(data[:8], "little")
    # safetensors writes metadata in any order; in one order, the same weights have the same bytes and so the same fingerprint.
    header = {**json.loads(data[8 : 8 + n_header]), "__metadata__": dict(sorted(metadata.items()))}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors start at a multiple of 8
    aside = path.with_name(path.name + ".part")
    with aside.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(memoryview(data)[8 + n_header :])
    aside.replace(path)


def _few(names: list[str]) -> str:
    return ", ".join(name[:100] for name in names[:3]) + " ..." * (len(names) > 3)
