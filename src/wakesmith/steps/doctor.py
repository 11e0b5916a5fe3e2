"""`doctor`: what this machine has for wakesmith, what is missing, and the command that brings it. Nothing is fetched."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Literal

from wakesmith import config, registry
from wakesmith.errors import WakesmithError

FORGE_NEEDS = ("cli", "onnx", "train")
"""Extras without which no wake word can be forged; which voice and which teacher speak and answer is a choice."""
FOR_DEVELOPERS = ("dev", "fuzz")
QUICK_GB = 3
"""Disk that the preset quick fills, rounded up."""
GB = 1 << 30
PORT_AUDIO = "apt install libportaudio2, or brew install portaudio"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    area: Literal["machine", "device", "part", "voice", "teacher"]
    name: str
    state: Literal["ok", "optional", "missing"]
    """`missing`: `forge` cannot run without it; `optional`: something else cannot."""
    told: str
    way: str = ""
    """The command, or the setting, that brings it."""


def run(folder: Path = Path()) -> list[Check]:
    """Look at everything; `folder` is where runs would lie."""
    voices, teachers = ([_part(kind, name) for name in registry.names(kind)] for kind in ("voices", "teachers"))
    return [*_machine(folder), *_devices(), *_extras(), *_one_of(voices), *_one_of(teachers)]


def can_forge(checks: list[Check]) -> bool:
    return all(check.state != "missing" for check in checks)


def table(checks: list[Check]) -> list[list[str]]:
    """Head and a row a check, as text."""
    return [
        ["of", "name", "state", "what", "way"],
        *([one.area, one.name, one.state, one.told, one.way or "-"] for one in checks),
    ]


def _machine(folder: Path) -> Iterator[Check]:
    yield Check("machine", "python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    packages = ("wakesmith", "numpy", "onnxruntime", "pymicro-wakeword", "torch", "transformers")
    found = (f"{name} {version(name)}" for name in packages if version(name))
    yield Check("machine", "versions", "ok", ", ".join(found))
    yield Check(
        "machine", "cores", "ok", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    )
    yield Check("machine", "memory", "ok", f"{memory_bytes() / GB:.1f} GB")
    free_gb = shutil.disk_usage(folder).free / GB
    way = "" if free_gb >= QUICK_GB else f"free {QUICK_GB} GB, or name another disk: --out FOLDER"
    yield Check("machine", "disk", "missing" if way else "ok", f"{free_gb:.1f} GB free in {folder.resolve()}", way)


def memory_bytes() -> int:
    """Of the machine, or what its control group leaves to this process."""
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(most, int(text)) if text.isdecimal() else most


def version(package: str) -> str:
    """Of an installed package; empty when it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _devices() -> Iterator[Check]:
    yield Check("device", "cpu", "ok", platform.processor() or platform.machine())
    yield _cuda()
    yield _microphone()


def _cuda() -> Check:
    """Told without loading torch, which takes seconds."""
    driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    if not driver:
        return Check("device", "cuda", "optional", "no NVIDIA driver: teachers and students run on the CPU")
    torch = util.find_spec("torch")
    built = torch is not None and torch.origin is not None and any(Path(torch.origin).parent.glob("lib/*torch_cuda*"))
    if not built:
        way = "pip install --force-reinstall torch: a build for CUDA, see pytorch.org"
        return Check("device", "cuda", "optional", "there is a GPU, but no torch that uses it", way)
    return Check("device", "cuda", "ok", "a GPU, and a torch that uses it")


def _microphone() -> Check:
    try:
        import sounddevice

        found = sounddevice.query_devices(kind="input")
    except ModuleNotFoundError:
        return Check(
            "device", "microphone", "optional", "the package sounddevice is not installed", "pip install 'wakesmith[live]'"
        )
    except OSError:
        return Check("device", "microphone", "optional", "PortAudio is not installed", PORT_AUDIO)
    except sounddevice.PortAudioError as error:
        return Check("device", "microphone", "optional", f"none is found ({error})", "python -m sounddevice lists what there is")
    return Check("device", "microphone", "ok", str(found["name"]))


def extras() -> dict[str, list[str]]:
    """Optional part -> the packages it needs, as pyproject.toml says."""
    found: dict[str, list[str]] = {}
    for line in metadata.requires("wakesmith") or []:
        match = re.match(r"([\w.-]+).*;.*extra == ['\"](\w+)['\"]", line)
        if match and match[1] != "wakesmith":  # `all` names the extras themselves
            found.setdefault(match[2], []).append(match[1])
    return found


def _extras() -> Iterator[Check]:
    for extra, packages in extras().items():
        if extra in FOR_DEVELOPERS:
            continue
        absent = [name for name in packages if not version(name)]
        state: Literal["missing", "optional"] = "missing" if extra in FORGE_NEEDS else "optional"
        if absent:
            yield Check("part", extra, state, f"without {', '.join(absent)}", f"pip install 'wakesmith[{extra}]'")
        else:
            yield Check("part", extra, "ok", "installed")


def _part(kind: str, name: str) -> Check:
    """Whether a voice or teacher can be built here and now, with its defaults and without the network."""
    area: Literal["voice", "teacher"] = "voice" if kind == "voices" else "teacher"
    try:
        model = registry.load(kind, name).Config
        asked = [key for key, field in model.model_fields.items() if field.is_required()]
        if asked:
            return Check(area, name, "optional", f"has to be told its {' and '.join(asked)}", _named(kind, name, asked[0]))
        settings = config.part(kind, name)
        hub = getattr(settings, "hub_id", "")
        if hub and not _fetched(hub):
            return Check(area, name, "optional", f"{hub} is not on this machine", _named(kind, name, "path"))
        if not hub:
            registry.build(kind, settings)
    except ModuleNotFoundError as error:
        extra = "tts" if kind == "voices" else "train"
        return Check(area, name, "optional", f"the package {error.name} is not installed", f"pip install 'wakesmith[{extra}]'")
    except WakesmithError as error:
        told, _, command = str(error).partition(" Install it: ")
        return Check(area, name, "optional", told, command or _named(kind, name, "path"))
    return Check(area, name, "ok", hub or "ready")


def _named(kind: str, name: str, key: str) -> str:
    """The option that gives a part what it lacks."""
    if kind == "teachers" and name != "ensemble":
        return f"--teacher {name}:{'FILE' if name == 'onnx_encoder' else 'FOLDER'}"
    return {"kokoro": "--kokoro FOLDER", "ensemble": "--teacher ONE+OTHER"}.get(
        name, f"speak.voices: [{{name: {name}, {key}: ...}}]"
    )


def _fetched(hub_id: str) -> bool:
    """Whether the hub's cache on this machine holds a model."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ModuleNotFoundError:
        return False
    return isinstance(try_to_load_from_cache(hub_id, "config.json"), str)


def _one_of(parts: list[Check]) -> list[Check]:
    """A kind of which none is ready is missing: the last row says so."""
    if any(part.state == "ok" for part in parts):
        return parts
    area = parts[0].area
    way = "pip install 'wakesmith[tts]'" if area == "voice" else "pip install 'wakesmith[train]'"
    return [*parts, Check(area, "none", "missing", f"no {area} is ready", way)]
