"""The arena: our bundle, microWakeWord, openWakeWord and Porcupine on the very same streams.

    python benchmarks/arena/run.py DATA KEYWORD [--bundle FOLDER] [--engines ...] [--out FOLDER] [--envs FOLDER] [--json]

DATA holds wake/ and negative/ with a manifest each (README.md). Prints one table in markdown and writes
OUT/KEYWORD/arena.json and arena.md. Streams and scores that are there already are taken up again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import scoring
import streams

from wakesmith.errors import WakesmithError
from wakesmith.progress import say
from wakesmith.run import write_json

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "src"
OURS = "wakesmith"
ENGINES = sorted(path.stem for path in (HERE / "engines").glob("*.py"))


def main(arguments: list[str] | None = None) -> int:
    try:
        chosen = parsed(arguments)
        told = arena(chosen)
    except WakesmithError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(told, indent=2) if chosen.json else table(told))
    return 0


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with wake/manifest.csv and negative/manifest.csv")
    parser.add_argument("keyword", help="a label of wake/manifest.csv, or the phrase")
    parser.add_argument("--bundle", type=Path, action="append", default=[], help="bundle of ours; may be given several times")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--out", type=Path, default=Path("runs/arena"))
    parser.add_argument("--envs", type=Path, help="where the environments lie; beside --out when not given")
    parser.add_argument("--here", action="store_true", help="run our own bundle in this interpreter, without an environment")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print what arena.json holds instead of the table")
    chosen = parser.parse_args(arguments)
    chosen.keyword = chosen.keyword.lower().replace(" ", "_")
    chosen.envs = chosen.envs or chosen.out.with_name(f"{chosen.out.name}_envs")
    return chosen


def arena(chosen: argparse.Namespace) -> dict[str, Any]:
    """Streams, then every engine in turn, then figures; all that the table says as plain values."""
    folder = chosen.out / chosen.keyword
    written = streams.make(chosen.data, chosen.keyword, chosen.seed, folder / f"streams-{chosen.seed}")
    bundles = chosen.bundle or [None]
    entries = [(name, bundle) for name in chosen.engines for bundle in (bundles if name == OURS else [None])]
    judged, left_out = [], []
    for name, bundle in sorted(entries, key=lambda entry: entry[0] != OURS):
        answer = {"missing": "no bundle of ours. Give one: --bundle FOLDER"} if name == OURS and bundle is None else None
        answer = answer or ask(name, bundle, written, chosen, folder)
        if "missing" in answer:
            left_out.append(f"{name} is left out: {answer['missing']}")
            say(left_out[-1])
            continue
        heard = [load(one, Path(answer["folder"])) for one in written]
        judged.append(
            {"engine": name, "bundle": str(bundle) if bundle else None, **answer, **scoring.judge(heard, answer["threshold"])}
        )
    if not judged:
        raise WakesmithError(f"{chosen.keyword}: no engine is left. {' '.join(left_out)}")
    told = {
        "keyword": chosen.keyword, "seed": chosen.seed, "streams": streams.fingerprint(written), "engines": judged,
        "left_out": left_out, "n_positives": len(written[0].events),
        "hours": {kind: sum(s.seconds for s in written if s.name.startswith(kind)) / 3600 for kind in ("keywords", "speech")},
    }  # fmt: skip
    write_json(folder / "arena.json", told)
    (folder / "arena.md").write_text(table(told) + "\n", encoding="utf-8")
    return told


def load(one: streams.Written, scores: Path) -> scoring.Heard:
    with np.load(scores / f"{one.fingerprint}.npz") as made:
        return scoring.Heard(one.name, one.condition, one.events, one.seconds / 3600, made["times_s"], made["scores"])


def ask(
    name: str, bundle: Path | None, written: list[streams.Written], chosen: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """Let an engine's own process score the streams -> its answer."""
    python = Path(sys.executable) if name == OURS and chosen.here else environment(name, chosen.envs)
    (folder / "scores").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        job, answer = Path(scratch) / "job.json", Path(scratch) / "answer.json"
        write_json(job, {
            "engine": name, "keyword": chosen.keyword, "bundle": str(bundle.resolve()) if bundle else None,
            "streams": [{"name": one.name, "file": one.file, "fingerprint": one.fingerprint} for one in written],
            "scores": str((folder / "scores").resolve()), "answer": str(answer),
        })  # fmt: skip
        # Ours runs from this source, so that its environment holds the runtime's packages alone and is never behind.
        own = {"PYTHONPATH": str(SOURCE)} if name == OURS else {}
        done = subprocess.run([python, HERE / "child.py", job], env={**os.environ, **own, "OMP_NUM_THREADS": "1"}, check=False)
        if done.returncode != 0:
            raise WakesmithError(f"{name}: its process ended with {done.returncode}; its own words stand above.")
        return dict(json.loads(answer.read_text(encoding="utf-8")))


def environment(name: str, envs: Path) -> Path:
    """The interpreter of an engine's own environment, made from engines/NAME.txt, anew when that file has changed."""
    wanted, folder = (HERE / "engines" / f"{name}.txt").read_text(encoding="utf-8"), envs.resolve() / name
    ready, python = folder / "ready.txt", folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if ready.exists() and ready.read_text(encoding="utf-8") == wanted:
        return python
    say(f"{name}: making its environment in {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    called(f"{name}: its environment", [sys.executable, "-m", "venv", str(folder)])
    # --no-deps: the file names everything; what an old package asks for besides (enum34) breaks today's Python.
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]
    called(f"{name}: pip", [*install, str(HERE / "engines" / f"{name}.txt")])
    ready.write_text(wanted, encoding="utf-8")
    return python


def called(what: str, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()] or ["no word"]
        line = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1])
        raise WakesmithError(f"{what} failed ({line.strip()}). Check the connection, or leave it out: --engines ...")


def table(told: dict[str, Any]) -> str:
    """One table in markdown with what it rests on below."""
    conditions = list(told["engines"][0]["points"][0]["conditions"])
    misses = [f"misses, {name}" for name in conditions]
    rows = [["engine", "set for", "threshold", *misses, "false wakes an hour", "model", "CPU", "memory", "delay"]]
    rows.append(["---"] * len(rows[0]))
    for engine in told["engines"]:
        first, *more = (_row(point) for point in engine["points"])
        rows.append([_name(engine), *first, *_facts(engine)])
        rows += [["", *row, "", "", "", ""] for row in more]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n\n" + footer(told)


def footer(told: dict[str, Any]) -> str:
    of_keywords, of_speech = told["hours"]["keywords"], told["hours"]["speech"]
    lines = [
        f"'{told['keyword']}': {told['n_positives']} real recordings in each condition. Negatives: {of_keywords:.2f} h of "
        f"other keywords, {of_speech:.2f} h of continuous speech. The same sound for every engine (streams {told['streams']}). "
        "In brackets: 95 % intervals.",
        "Thresholds for a number of false accepts are chosen on these very negatives, for every engine alike: an oracle for "
        "all, good for comparing engines, not for what a device will do. 'Own threshold' is what each ships.",
        "CPU: share of one core. Memory: peak of the engine's process. Delay: median from the end of the phrase to its "
        "detection, clean, at the own threshold.",
        *(f"{line}." for line in told["left_out"]),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _name(engine: dict[str, Any]) -> str:
    if engine["engine"] != OURS:
        return f"{engine['engine']} {engine['version']}"
    folder = "/".join(Path(engine["bundle"]).resolve().parts[-2:])  # a table is pasted: no paths of one machine
    return f"{OURS} ({engine['student']}, {engine['parameters']:,} parameters; {folder})"


def _row(point: dict[str, Any]) -> list[str]:
    misses = [f"{_percent(c['frr'])} ({_percent(c['low'])}–{_percent(c['high'])}) %" for c in point["conditions"].values()]
    wakes = point["false_accepts"]
    return [
        point["name"],
        f"{point['threshold']:.3f}",
        *misses,
        f"{wakes['count']} in {wakes['hours']:.2f} h: {wakes['per_hour']:.2f} ({wakes['low']:.2f}–{wakes['high']:.2f})",
    ]


def _facts(engine: dict[str, Any]) -> list[str]:
    size, cost, delay_s = sum(engine["models"].values()), engine["cost"], engine["latency_s"]
    return [
        f"{size / 1e3:,.0f} kB",
        f"{100 * cost['cpu_s_per_s']:.2f} %",
        f"{cost['peak_bytes'] / 1e6:.0f} MB",
        "-" if delay_s is None else f"{1000 * delay_s:.0f} ms",
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


if __name__ == "__main__":
    sys.exit(main())
