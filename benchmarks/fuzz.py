"""Coverage-guided fuzzing of the parsers that are ours (atheris, a tool for developers: `pip install atheris`).

    python benchmarks/fuzz.py TARGET --seconds 120

A target may raise a WakesmithError; anything else is a finding, and its input is written to --out. Exit code 1: there was one.
"""

import argparse
import asyncio
import contextlib
import io
import json
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests.hostile

with atheris.instrument_imports(include=["wakesmith", "yaml", "json", "csv"]):
    from wakesmith import bundle, config
    from wakesmith.data import records
    from wakesmith.disk import is_file
    from wakesmith.errors import WakesmithError
    from wakesmith.importers import manifest_csv
    from wakesmith.runtime import _wyoming_events as wyoming
    from wakesmith.runtime.engines import _onnx_file

from wakesmith.steps import _recipe

PLACE = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
"""In memory: a target that reads files writes one an input."""


def wyoming_events(data: bytes) -> None:
    """Frames of a client."""

    async def read() -> None:
        reader = asyncio.StreamReader(limit=wyoming.MAX_HEADER_BYTES)
        reader.feed_data(data)
        reader.feed_eof()
        while await wyoming.read_event(reader) is not None:
            pass

    asyncio.run(read())


def manifest(data: bytes) -> None:
    """Rows of CSV and JSONL, to recordings."""
    for ending in ("csv", "jsonl"):
        path = PLACE / f"manifest.{ending}"
        path.write_bytes(data)
        for label in ("", "wake"):
            with contextlib.suppress(WakesmithError):
                found = manifest_csv.build(manifest_csv.Config(path=str(path), label=label)).recordings()
                records.save_jsonl(PLACE / "recordings.jsonl", [recording for recording, _ in found])


def card(data: bytes) -> None:
    """card.json of a bundle, saved again where it is whole."""
    (PLACE / bundle.CARD).write_bytes(data)
    bundle.save_card(PLACE, bundle.load_card(PLACE))


def settings(data: bytes) -> None:
    """A recipe in YAML, written again where it is whole."""
    values = config.from_yaml(data.decode(errors="replace"), "recipe.yaml")
    (PLACE / "config.yaml").write_text(config.to_yaml(_recipe.load({"phrase": "hey nova"}, values)), encoding="utf-8")


def override(data: bytes) -> None:
    """--set KEY=VALUE."""
    config.merge({"student": "ds_cnn"}, config.assignment(data.decode(errors="replace")))


def names(data: bytes) -> None:
    """Names and shapes of weights, without their numbers' meaning: a torch file's content as JSON has it."""
    import torch

    from wakesmith.teachers import _checkpoints

    def tensors(value: object) -> object:
        if isinstance(value, dict):
            return {key: tensors(inner) for key, inner in value.items()}
        return torch.zeros(min(abs(value), 5)) if type(value) is int else value

    try:
        loaded = tensors(json.loads(data))
    except (ValueError, RecursionError):
        return
    weights = loaded.get("weights", loaded) if isinstance(loaded, dict) else loaded
    told = (loaded.get("labels"), loaded.get("preprocessing")) if isinstance(loaded, dict) else (None, None)
    found = _checkpoints._checked(PLACE, weights, *told)
    plain = _checkpoints._plain_names(found.weights)
    _checkpoints.split(plain)
    _checkpoints.load_strictly(torch.nn.Linear(3, 2), plain, PLACE)


def safetensors(data: bytes) -> None:
    from wakesmith.teachers import _checkpoints

    (PLACE / "a.safetensors").write_bytes(data)
    _checkpoints.read(PLACE / "a.safetensors")


def onnx_file(data: bytes) -> None:
    """The reader that decides which ONNX files are run."""
    with contextlib.suppress(ValueError):
        _onnx_file.faults(data)


def tflite_file(data: bytes) -> None:
    """What is read of a TFLite file before it is shipped."""
    from wakesmith.exporters import _tflite_run

    _tflite_run.facts(data)


def seeds(target: str) -> list[bytes]:
    """Whole and malformed inputs to begin from."""
    from tests import hostile

    if target == "wyoming_events":
        event = {
            "type": "audio-chunk",
            "data": {"rate": 16_000, "width": 2, "channels": 1},
            "data_length": 2,
            "payload_length": 4,
        }
        return [json.dumps(event).encode() + b"\n{}" + bytes(4), b'{"type": "describe"}\n', b'{"type": "detect", "data": null}\n']
    if target == "override":
        return [b"student.width=3", b"a={b: [1]}", b"=", b"a.b.c=!!int 1"]
    if target == "names":
        return [
            b'{"weight": 3, "bias": 2}',
            b'{"weights": {"module.weight": 1}, "labels": ["a"], "preprocessing": {}}',
            b'{"n_averaged": 1, "_orig_mod.a": 1}',
        ]
    if target in ("manifest", "settings"):
        return list(_small(hostile.manifests() if target == "manifest" else hostile.settings()))
    from tests import hostile_models

    if target == "onnx_file":
        return [
            hostile_models.tone_model()[0],
            hostile_models._outside("x"),
            *(hostile_models._graph(n, c) for _, n, c in hostile_models._nodes()),
        ]
    if target == "tflite_file":
        return [hostile_models.lite_model()[0]]
    return list(_small(hostile_models.cards() if target == "card" else hostile_models.safetensors_files()))


def _small(inputs: Iterable[Any]) -> Iterator[bytes]:
    for number, one in enumerate(inputs):
        (PLACE / str(number)).mkdir()
        path = one.make(PLACE / str(number))
        path = path / bundle.CARD if one.kind == "card" else path
        if is_file(path) and path.stat().st_size < 1 << 15:
            yield path.read_bytes()


TARGETS: dict[str, Callable[[bytes], None]] = {
    made.__name__: made
    for made in (wyoming_events, manifest, card, settings, override, names, safetensors, onnx_file, tflite_file)
}


class Fuzz:
    """Counts what is run, and keeps the first input of every place that fails."""

    def __init__(self, target: str, out: Path) -> None:
        self.run, self.name, self.out = TARGETS[target], target, out
        self.n_run, self.slowest_s = 0, 0.0
        self.found: dict[str, bytes] = {}

    def one(self, data: bytes) -> None:
        start = time.perf_counter()
        self.n_run += 1
        try:
            self.run(data)
        except WakesmithError as error:
            str(error).encode()
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            key = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {str(error)[:100]}"
            if key.split(": ")[0] not in {known.split(": ")[0] for known in self.found}:
                self.found[key] = data
        self.slowest_s = max(self.slowest_s, time.perf_counter() - start)

    def tell(self) -> None:
        print(f"{self.name}: {self.n_run} executions, {len(self.found)} findings, slowest {self.slowest_s:.2f} s")
        for number, (key, data) in enumerate(self.found.items()):
            self.out.mkdir(parents=True, exist_ok=True)
            (self.out / f"{self.name}-{number}").write_bytes(data)
            print(f"  {key}: {self.out / f'{self.name}-{number}'}")
        sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    asked = parser.parse_args()
    corpus = PLACE / "seeds"
    corpus.mkdir()
    for number, data in enumerate(seeds(asked.target)):
        (corpus / str(number)).write_bytes(data)
    fuzz = Fuzz(asked.target, asked.out)

    def end() -> None:  # libFuzzer ends the process by itself, without what Python has to say at its end
        fuzz.tell()
        os._exit(bool(fuzz.found))

    timer = threading.Timer(asked.seconds, end)
    timer.daemon = True
    timer.start()
    atheris.Setup(["fuzz", str(corpus), "-verbosity=0", "-max_len=8192", f"-seed={len(asked.target)}", "-timeout=60"], fuzz.one)
    with contextlib.redirect_stderr(io.StringIO()):
        atheris.Fuzz()


if __name__ == "__main__":
    main()
