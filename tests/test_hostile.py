"""Malformed inputs, each by the door that a user would take: told or left out, without a crash, bounded, and nothing run."""

import dataclasses
import functools
import json
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import hostile
from tests.hostile import Hostile
from wakesmith.errors import WakesmithError

MOST_S, MOST_MB = 10, 600
"""For one input: of time, and of memory beyond what was there before it."""
MOST_WAITED_S = 60
"""For one input on a busy machine, which is slow: `MOST_S` are of its own work."""
MOST_AS_MB = 6_000
"""Of addresses: no input may take the machine with it."""
WAY_OUT = re.compile(
    r"(Add|Install|Check|Choose|Copy|Cut|Delete|Did you mean|Export|Fetch|Give|Known here|Make|Mend|Name|Pick|Put|Record|Rename|"
    r"Resample|Run|Save|Set|There are|Train|Update|Use|Write|[Ee]xpected|should|must|needs|required)\b"
)
"""What is to be done, or what was expected."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    name: str
    how: str
    """error, quarantine, use; else what went wrong."""
    told: str = ""
    seconds: float = 0.0
    mb: float = 0.0


# Doors: each returns "use", or the reasons of a quarantine, or raises.


def hear(path: Path) -> str:
    """`detect FILE` and `learn` read a file; `prepare` reads a folder of them."""
    from wakesmith import audio
    from wakesmith.importers import wav_folders
    from wakesmith.steps import learn

    folder = path.parent
    listed = wav_folders.build(wav_folders.Config(path=str(folder), label="speech"))
    alone = _or_told(lambda: audio.read(path))
    if path.suffix.lower() in wav_folders.ENDINGS and path.parent.exists() and "\x00" not in str(path) and len(path.name) < 1_000:
        among = _or_told(lambda: _prepared(listed.recordings(), folder)) or "; ".join(listed.dropped)
        assert bool(alone) <= bool(among), f"alone: {alone}; in its folder it was used"
    set_aside = learn.read(path, "miss")
    json.dumps(set_aside.told(), ensure_ascii=False).encode()
    assert not alone or set_aside.aside, "learn takes what cannot be read"
    return alone or "use"


def _or_told(work: Callable[[], object]) -> str:
    try:
        found = work()
    except WakesmithError as error:
        return str(error)
    return found if isinstance(found, str) else ""


def _prepared(found: list, folder: Path) -> str:
    """As `prepare` decodes, and keeps what it found."""
    from wakesmith.data.records import Recording, load_jsonl, save_jsonl
    from wakesmith.steps import prepare

    made = [prepare._decode((recording, path, 0.15, True)) for recording, path in found]
    kept = [one.recording for one in made if not isinstance(one, str)]
    reasons = [one for one in made if isinstance(one, str)]
    save_jsonl(folder / "recordings.jsonl", kept)
    assert load_jsonl(folder / "recordings.jsonl", Recording) == kept
    prepare._write_lines(folder / "quarantine.jsonl", [{"reason": reason} for reason in reasons])
    assert all(np.isfinite(one.samples).all() and len(one.samples) for one in made if not isinstance(one, str))
    return "; ".join(reasons)


def take_manifest(path: Path) -> str:
    from wakesmith.importers import manifest_csv

    source = manifest_csv.build(manifest_csv.Config(path=str(path), split="column" if b"split" in _start_of(path) else ""))
    return _prepared(source.recordings(), path.parent) or "use"


def _start_of(path: Path) -> bytes:
    try:
        return path.open("rb").read(1_000) if path.is_file() else b""
    except (OSError, ValueError):
        return b""


def configure(path: Path) -> str:
    from wakesmith.config import from_yaml, read_yaml
    from wakesmith.steps import _recipe

    values = read_yaml(path)
    assert values == from_yaml(path.read_text(encoding="utf-8"), "again")
    _recipe.load({"phrase": "hey nova"} if "phrase" not in values else {}, values)
    return "use"


def take_weights(path: Path) -> str:
    import torch

    from wakesmith.teachers import _checkpoints

    module = torch.nn.ModuleDict({"a": torch.nn.Linear(3, 2)})
    found = _checkpoints.read(path)
    _checkpoints.load_strictly(module, _checkpoints.split(found.weights)[0], found.source)
    _checkpoints.check_fits(found, ["wake"], {"normalise": True})
    return "use"


def take_teacher(path: Path) -> str:
    from wakesmith import config, registry

    registry.build("teachers", config.part("teachers", "wav2vec2", path=str(path), device="cpu"))
    return "use"


def take_encoder(path: Path) -> str:
    from wakesmith import config, registry

    registry.build("teachers", config.part("teachers", "onnx_encoder", path=str(path)))
    return "use"


def listen(path: Path) -> str:
    from wakesmith import load_bundle

    detector = load_bundle(path)
    detector.process(np.zeros(detector.card.rate_hz, np.float32))
    return "use"


DOORS: dict[str, Callable[[Path], str]] = {
    "audio": hear, "manifest": take_manifest, "yaml": configure, "weights": take_weights, "teacher": take_teacher,
    "encoder": take_encoder, "card": listen, "model": listen, "tflite": listen,
}  # fmt: skip


def judged(one: Hostile, path: Path) -> Outcome:
    """Give an input to its door, in this process."""
    _forget_peak()
    before, start = _memory_mb("VmRSS"), time.process_time()
    try:
        told = DOORS[one.kind](path)
        how = "use" if told == "use" else "quarantine"
    except WakesmithError as error:
        how, told = "error", str(error)
    except BaseException as error:
        how, told = f"{type(error).__name__}", "".join(traceback.format_exception(error)[-3:])[:1_500]
    return Outcome(one.name, how, told[:1_500] + told[-1_500:], time.process_time() - start, _memory_mb("VmHWM") - before)


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _memory_mb(key: str) -> float:
    return int(re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1_024


def outcomes(inputs: list[Hostile], place: Path) -> list[Outcome]:
    """Every input in a child of this process, which goes on in a new one where the child dies: a crash is an outcome too."""
    paths = []
    for number, one in enumerate(inputs):
        (place / str(number)).mkdir()
        paths.append(one.make(place / str(number)))
    found: list[Outcome] = []
    while len(found) < len(inputs):
        notes = place / "notes.jsonl"
        notes.write_text("")
        todo = list(zip(inputs, paths, strict=True))[len(found) :]
        status = _in_a_child(functools.partial(_note_all, todo, notes))
        found += [Outcome(**json.loads(line)) for line in notes.read_text().splitlines()]
        if status:
            found.append(Outcome(inputs[len(found)].name, f"ended by {status}"))
    return found


def _in_a_child(work: Callable[[], None]) -> str:
    """-> empty, or the name of what ended it."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit {os.WEXITSTATUS(status)}" if os.WEXITSTATUS(status) else ""


def _note_all(todo: list[tuple[Hostile, Path]], notes: Path) -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # its threads do not outlive a fork
    for ends in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(ends, signal.SIG_DFL)  # native code hears nothing else
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (round(_memory_mb("VmSize") + MOST_AS_MB) << 20, resource.RLIM_INFINITY))
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (until the child ends)
    with notes.open("a") as file:
        for one, path in todo:
            signal.setitimer(signal.ITIMER_PROF, MOST_S)
            signal.alarm(MOST_WAITED_S)
            file.write(json.dumps(dataclasses.asdict(judged(one, path))) + "\n")
            file.flush()


def faults(one: Hostile, found: Outcome, path: Path | None = None) -> list[str]:
    """What is wrong with an outcome."""
    allowed = {"error": ["error"], "quarantine": ["error", "quarantine"], "use": ["error", "quarantine", "use"]}[one.may]
    wrong = [] if found.how in allowed else [f"{found.how}, expected {one.may}"]
    if found.how in ("error", "quarantine"):
        if not WAY_OUT.search(found.told) or not found.told.rstrip().endswith((".", ")")):
            wrong.append("no way out is told")
        if not all(letter.isprintable() or letter == "\n" for letter in found.told):
            wrong.append("letters that no terminal should be given")
    if found.mb > MOST_MB:
        wrong.append(f"{found.mb:.0f} MB")
    return [f"{one.kind}: {one.name}: {fault} ({found.told})" for fault in wrong]


SLOW = ("teacher", "yaml")
"""Each of them imports transformers, or builds a network."""
CORPUS = hostile.corpus()


def test_the_corpus_is_large_and_each_input_has_a_name_of_its_own():
    quick = [one for one in CORPUS if one.kind not in SLOW]

    assert len(quick) >= 1_000
    assert len({(one.kind, one.name) for one in CORPUS}) == len(CORPUS)
    assert {one.kind for one in CORPUS} == set(DOORS)


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind in SLOW)) for kind in DOORS])
def test_every_malformed_input_is_told_or_left_out_and_nothing_runs(kind: str, tmp_path: Path):
    inputs = [one for one in CORPUS if one.kind == kind]
    found = outcomes(inputs, tmp_path)

    assert [one.name for one in found] == [one.name for one in inputs]
    assert [fault for one, got in zip(inputs, found, strict=True) for fault in faults(one, got)] == []
    assert list(tmp_path.rglob(f"{hostile.MARKER}*")) == []


def test_a_crash_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The harness itself: what ends a child by a signal, or takes its time, is a fault of its input and of no other."""
    deeds = {"die": lambda: os.kill(os.getpid(), signal.SIGSEGV), "fail": lambda: 1 / 0, "pass": lambda: "use"}
    monkeypatch.setitem(DOORS, "audio", lambda path: deeds[path.name]())
    inputs = [Hostile(name, "audio", lambda folder, name=name: folder / name, "use") for name in ("pass", "die", "fail", "pass")]

    assert [one.how for one in outcomes(inputs, tmp_path)] == ["use", "ended by SIGSEGV", "ZeroDivisionError", "use"]


def main(kinds: list[str]) -> None:
    """Tell what became of the inputs of some kinds: `python -m tests.test_hostile audio`."""
    import tempfile
    from collections import Counter

    for kind in kinds:
        inputs = [one for one in CORPUS if one.kind == kind]
        with tempfile.TemporaryDirectory() as place:
            found = outcomes(inputs, Path(place))
            ran = list(Path(place).rglob(f"{hostile.MARKER}*"))
        bad = [fault for one, got in zip(inputs, found, strict=True) for fault in faults(one, got)]
        hows = ", ".join(f"{n} {how}" for how, n in Counter(one.how for one in found).most_common())
        most = f"at most {max(one.seconds for one in found):.2f} s and {max(one.mb for one in found):.0f} MB"
        print(f"{kind}: {len(inputs)} inputs, {len(bad)} faults, {len(ran)} ran; {hows}; {most}")
        print("\n".join(bad), end="\n" * bool(bad))


if __name__ == "__main__":
    main(sys.argv[1:] or list(DOORS))
