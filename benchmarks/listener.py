"""What a listener costs: CPU of one core, memory and start-up, ours beside microWakeWord and openWakeWord on the same sound.

    python benchmarks/listener.py RUN [RUN ...] [--sound FILE] [--envs FOLDER] [--install] [--hours 10] [--json]

Each RUN is a run folder; every bundle in it that `Detector` runs is heard in a process of its own, as are the peers, each with a
model that comes with it, in the arena's environments. CPU is time of the process, not of the clock, so other work on the machine
counts little; the least of several turns is told. `--install` measures the runtime alone in fresh environments, wheels cached.
`--hours H` hears H hours in chunks of 1 sample to 10 s instead: detections must be those of even chunks, memory must stay flat.
Give it a --sound that holds the phrase: equal silence proves nothing, and the command then ends with 1.
"""

from __future__ import annotations

import argparse
import importlib.metadata  # the arena's engines import it: so it counts in every process
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ARENA = Path(__file__).resolve().parent / "arena"
SOURCE = ARENA.parents[1]
sys.path.insert(0, str(ARENA))  # its engines, environments and measures

import child as arena_child  # noqa: E402

PEERS = {"pymicro-wakeword": "microwakeword", "pyopen-wakeword": "openwakeword"}
INSTALLED = {"wakesmith[lite]": "[lite]", "wakesmith[cli,onnx]": "[cli,onnx]", "pymicro-wakeword": None}
KEYWORD = "alexa"
TURN_S, N_TURNS = 40, 5
PIECE_S = 60
"""In chunks of 80 ms without a rest."""
RATE_HZ, CHUNK = arena_child.RATE_HZ, arena_child.CHUNK
HEAD = ["listener", "file", "CPU of a core", "beside the leanest peer", "memory", "beside the leanest peer", "start-up CPU"]
MOST_APART_BYTES = 4 << 20
"""How far memory may rise over that of the first tenth: an allocator's own ups and downs."""


def main(arguments: list[str] | None = None) -> int:
    chosen = parsed(arguments)
    if chosen.child:
        print(json.dumps(measured(*chosen.child)))
        return 0
    if chosen.hours:
        told: Any = [long(folder, chosen.hours, chosen.sound) for run in chosen.runs for folder in bundles(run)]
    else:
        told = costs(chosen)
    print(json.dumps(told, indent=2) if chosen.json else "\n".join(lines(told)))
    return int(any(not one.get("holds", True) for one in told))


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--sound", type=Path, help="16 kHz sound to hear; noise that comes and goes when not given")
    parser.add_argument("--envs", type=Path, default=Path("runs/arena_envs"), help="where the environments of the peers lie")
    parser.add_argument("--install", action="store_true", help="measure the installation of the runtime alone too")
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def bundles(run: Path) -> list[Path]:
    """The bundles of a run that `Detector` runs."""
    places = [run / "bundle", *sorted((run / "bundles").glob("*"))]
    return [place for place in places if (place / "card.json").exists() and place.name != "openwakeword"]


def costs(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each listener, and for each installation."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "sound.npy"
        np.save(file, sound(chosen.sound, TURN_S))
        listeners = [one for run in chosen.runs for one in named(run)]
        rows = [asked(sys.executable, name, "wakesmith", places, file) for name, places in [*listeners, *doubled(listeners)]]
        import run as arena

        for name, engine in PEERS.items():
            rows.append({**asked(arena.environment(engine, chosen.envs), name, engine, [], file), "peer": True})
    return [*rows, *(installed() if chosen.install else [])]


def named(run: Path) -> Iterator[tuple[str, list[Path]]]:
    for place in bundles(run):
        card = json.loads((place / "card.json").read_text(encoding="utf-8"))
        yield f"{card['student']['name']}, {'onnx' if place.name == 'bundle' else place.name}", [place]


def doubled(listeners: list[tuple[str, list[Path]]]) -> list[tuple[str, list[Path]]]:
    """The last bundle whose front-end lies outside of its model, twice on one stream: that is computed once."""
    outside = [(name, [*place, *place]) for name, place in listeners if has_front_end_outside(*place)]
    return [(f"{name}, two on one stream", places) for name, places in outside[-1:]]


def has_front_end_outside(place: Path) -> bool:
    return bool(json.loads((place / "card.json").read_text(encoding="utf-8")).get("front_end") == "outside")


def asked(python: Path | str, name: str, engine: str, places: list[Path], file: Path) -> dict[str, Any]:
    """A listener's process -> what it measured of itself."""
    own = {"PYTHONPATH": str(SOURCE / "src")} if engine == "wakesmith" else {}
    places = os.pathsep.join(str(place.resolve()) for place in places)
    command = [str(python), __file__, "--child", engine, places, str(file)]
    done = subprocess.run(
        command, env={**os.environ, **own, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True
    )  # fmt: skip
    return {"name": name, **json.loads(done.stdout)}


def measured(engine: str, folder: str, file: str) -> dict[str, Any]:
    """In the listener's own process, which has imported numpy and nothing of ours yet."""
    before_s = time.process_time()
    hear, model_bytes = listening(engine, folder)
    hear(np.zeros(CHUNK, np.int16))
    start_s, chunks, turns = time.process_time() - before_s, arena_child.chunks(np.load(file)), []
    for _ in range(N_TURNS):
        began_s = time.process_time()
        for chunk in chunks:
            hear(chunk)
        turns.append((time.process_time() - began_s) / (len(chunks) * CHUNK / RATE_HZ))
    return {"bytes": model_bytes, "cpu": min(turns), "memory": resident_bytes(), "start_s": start_s}


def listening(engine: str, folder: str) -> tuple[Any, int]:
    """-> hear: (1280,) int16 -> anything; bytes of the models."""
    if engine == "wakesmith":
        from wakesmith.runtime import Detector, Detectors

        folders = folder.split(os.pathsep)
        hear = Detector.load(folder).process if len(folders) == 1 else Detectors.load(folders).process
        return hear, sum(path.stat().st_size for one in folders for path in Path(one).glob("model.*"))
    spec = importlib.util.spec_from_file_location(engine, ARENA / "engines" / f"{engine}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    models = module.describe(KEYWORD, None)["models"]
    return module.listen(KEYWORD, None, True), sum(Path(one).stat().st_size for one in models)


def resident_bytes() -> int:
    """Memory of this process now; where the system does not tell it, the most so far."""
    status = Path("/proc/self/status")
    if not status.exists():
        return arena_child.peak_bytes()
    return 1024 * int(next(line for line in status.read_text().splitlines() if line.startswith("VmRSS")).split()[1])


def sound(file: Path | None, length_s: float) -> np.ndarray:
    """(N,) int16: a file again and again, or noise that comes and goes."""
    n = round(length_s * RATE_HZ)
    if file is None:
        swell = 10 ** (1.5 * np.sin(2 * np.pi * 0.4 * np.arange(n) / RATE_HZ) - 2.5)
        return (
            np.asarray(np.random.default_rng(0).standard_normal(n) * swell * 32_767, np.int64)
            .clip(-32_768, 32_767)
            .astype(np.int16)
        )
    from wakesmith import audio

    return np.resize(audio.to_int16(audio.read(file)), n)


def installed() -> Iterator[dict[str, Any]]:
    """`pip install` of what listens alone, each into fresh environments, twice: the second finds every wheel in pip's cache."""
    with tempfile.TemporaryDirectory() as place:
        wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", place, str(SOURCE)]
        subprocess.run(wheel, check=True)
        [ours] = Path(place).glob("*.whl")
        for name, extras in INSTALLED.items():
            wanted = name if extras is None else f"{ours}{extras}"
            rows = [install(Path(place) / f"env{turn}", wanted) for turn in range(2)]
            yield {"name": name, **rows[-1]}


def install(place: Path, wanted: str) -> dict[str, Any]:
    subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
    python = f"{place}/bin/python"
    told = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True)
    packages = Path(told.strip())
    empty, before, began_s = size(packages), os.times(), time.monotonic()
    constraints = ["-c", str(SOURCE / "constraints" / "py311.txt")]
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *constraints, wanted]
    subprocess.run(command, check=True)
    after, clock_s = os.times(), time.monotonic() - began_s
    took_s = after.children_user + after.children_system - before.children_user - before.children_system
    return {"bytes": size(packages) - empty, "cpu_s": took_s, "clock_s": clock_s}


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def long(folder: Path, hours: float, file: Path | None) -> dict[str, Any]:
    """A minute of sound again and again: in chunks of 1 sample to 10 s, beside a second stream in chunks of 80 ms."""
    from wakesmith.runtime import Detector

    listener = Detector.load(folder)
    even, piece = listener.another(), sound(file, PIECE_S)
    chance, equal, n_found, memory = np.random.default_rng(0), True, 0, []
    for _ in range(max(4, round(hours * 3600 / PIECE_S))):
        found = [hit for part in np.split(piece, cuts(chance, len(piece))) for hit in listener.process(part)]
        expected = [hit for part in arena_child.chunks(piece) for hit in even.process(part)]
        equal, n_found = equal and found == expected, n_found + len(found)
        memory.append(resident_bytes())
    settled = max(2, len(memory) // 10)
    grown = max(memory[settled:]) - max(memory[:settled])
    return {"name": str(folder), "hours": len(memory) * PIECE_S / 3600, "detections": n_found, "equal": equal,
            "memory": memory[-1], "grown": grown, "holds": equal and n_found > 0 and grown <= MOST_APART_BYTES}  # fmt: skip


def cuts(chance: np.random.Generator, n: int) -> np.ndarray:
    """Where n samples are cut into pieces of 1 sample to 10 s, drawn evenly over the logarithm, behind 200 of one sample."""
    sizes = np.floor(10 ** chance.uniform(0, np.log10(10 * RATE_HZ), 200)).astype(int)
    at = np.cumsum(np.concatenate([np.ones(200, int), sizes]))
    return at[at < n]


def lines(rows: list[dict[str, Any]]) -> list[str]:
    if rows and "hours" in rows[0]:
        return [
            f"{one['name']}: {one['hours']:.1f} h, {one['detections']} detections, {'the same' if one['equal'] else 'OTHERS'} in "
            f"chunks; {one['memory'] / 1e6:.0f} MB, {one['grown'] / 1e6:+.1f} MB at most"
            for one in rows
        ]
    peers = [one for one in rows if one.get("peer")]
    cpu, memory = min(one["cpu"] for one in peers), min(one["memory"] for one in peers)
    table = [HEAD, ["---"] * len(HEAD)]
    for one in rows:
        if "cpu" in one:
            table.append([
                one["name"], f"{one['bytes'] / 1e3:,.0f} kB", f"{100 * one['cpu']:.3f} %", f"{one['cpu'] / cpu:.2f}",
                f"{one['memory'] / 1e6:.0f} MB", f"{one['memory'] / memory:.2f}", f"{one['start_s']:.2f} s",
            ])  # fmt: skip
    told = [
        f"\npip install {one['name']}: {one['bytes'] / 1e6:.0f} MB, {one['cpu_s']:.1f} s of CPU, {one['clock_s']:.1f} s by clock"
        for one in rows
        if "cpu_s" in one
    ]
    return [*("| " + " | ".join(row) + " |" for row in table), *told]


if __name__ == "__main__":
    sys.exit(main())
