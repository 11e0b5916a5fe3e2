"""One engine in a process of its own: int16 streams in, times and scores out. Needs numpy and the engine alone.

    python child.py JOB.json

JOB.json holds engine (a file of engines/), keyword, bundle (or null), streams [{name, file, fingerprint}], scores (a folder)
and answer (a file). The answer holds {"missing": why} for an engine without a model of the keyword, else its version,
threshold, model files and cost. Scores of the same engine and the same sound are taken up from the folder.

An engine is a file with two functions:
    describe(keyword, bundle) -> {version, threshold, models: [paths]}, or a line that says why there is no model;
    listen(keyword, bundle, as_shipped) -> hear: (1280,) int16 -> list of scores, spread over that time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RATE_HZ = 16_000
CHUNK = 1_280
"""Samples that every engine gets at once, 80 ms: what satellites send."""
COST_S, N_TURNS = 120, 3
"""Length of the sound that time and memory are measured on, and its parts."""
TELL_EVERY_S = 10.0

Hear = Callable[[np.ndarray], list[float]]


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    path = Path(__file__).parent / "engines" / f"{job['engine']}.py"
    answer = run(_module(path), job, hashlib.sha256(path.read_bytes() + Path(__file__).read_bytes()).hexdigest())
    Path(job["answer"]).write_text(json.dumps(answer), encoding="utf-8")


def run(engine: Any, job: dict[str, Any], code: str) -> dict[str, Any]:
    """Score what is not scored yet -> the answer."""
    told = engine.describe(job["keyword"], job["bundle"])
    if isinstance(told, str):
        return {"missing": told}
    files = [Path(file) for file in told.pop("models")]
    parts = [code, job["keyword"], json.dumps(told, sort_keys=True), *(_sha256(file) for file in files)]
    told["identity"] = hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]
    told["models"] = {file.name: file.stat().st_size for file in files}
    folder = Path(job["scores"]) / f"{job['engine']}-{told['identity']}"
    folder.mkdir(parents=True, exist_ok=True)
    told["folder"] = str(folder)
    told["cost"] = cost(
        lambda: engine.listen(job["keyword"], job["bundle"], True), job["streams"][0]["file"], folder / "cost.json"
    )
    missing = [stream for stream in job["streams"] if not (folder / f"{stream['fingerprint']}.npz").exists()]
    _tell(f"{job['engine']}: {len(job['streams']) - len(missing)} of {len(job['streams'])} streams are scored already")
    shown = time.monotonic()
    for number, stream in enumerate(missing, start=1):
        score(
            lambda: engine.listen(job["keyword"], job["bundle"], False), stream["file"], folder / f"{stream['fingerprint']}.npz"
        )
        if time.monotonic() - shown > TELL_EVERY_S or number == len(missing):
            shown = time.monotonic()
            _tell(f"{job['engine']}: {number} of {len(missing)} streams scored, {stream['name']}")
    return told


def cost(listen: Callable[[], Hear], file: str, kept: Path) -> dict[str, float]:
    """Processor time of one core around the engine's own work (the fastest of three turns), and the most memory, as shipped."""
    if kept.exists():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    samples = np.array(np.load(file, mmap_mode="r")[: COST_S * RATE_HZ])
    turns, hear = [], listen()
    for turn in np.array_split(samples, N_TURNS):
        spent_s = 0.0
        for chunk in chunks(turn):
            began_s = time.process_time()
            hear(chunk)
            spent_s += time.process_time() - began_s
        turns.append(spent_s / (len(turn) / RATE_HZ))
    measured = {"cpu_s_per_s": min(turns), "peak_bytes": peak_bytes()}
    kept.write_text(json.dumps(measured), encoding="utf-8")
    return measured


def peak_bytes() -> int:
    """Most memory of this process so far. Linux hands `ru_maxrss` down from the parent, so it is read elsewhere there."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def score(listen: Callable[[], Hear], file: str, kept: Path) -> None:
    """Hear one stream from a fresh start and keep times (n,) in seconds and scores (n,)."""
    samples = np.load(file, mmap_mode="r")
    hear, times_s, scores = listen(), [], []
    for number, chunk in enumerate(chunks(samples)):
        found = hear(chunk)
        times_s += [(number + (i + 1) / len(found)) * CHUNK / RATE_HZ for i in range(len(found))]
        scores += found
    aside = kept.with_suffix(".part.npz")
    np.savez(aside, times_s=np.array(times_s), scores=np.array(scores, np.float32))
    aside.replace(kept)


def chunks(samples: np.ndarray) -> list[np.ndarray]:
    """(N,) -> pieces of 80 ms; what is left at the end is silence in every stream."""
    return list(samples[: len(samples) // CHUNK * CHUNK].reshape(-1, CHUNK))


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"engine_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
