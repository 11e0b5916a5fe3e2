"""What a command prints: plain where nobody looks, ruled on a terminal, JSON when asked; and its exit code."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import tone_bundle
from wakesmith import audio, progress, tables
from wakesmith.cli import app, guarded

COMMAND = [sys.executable, "-m", "wakesmith.cli"]
ROWS = [["student", "parameters"], ["ds_cnn", "26,500"], ["a [bold]name", "1"]]
STEPS = ("speak", "prepare", "views", "teach", "label", "train", "export", "evaluate")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tone_bundle.make(tmp_path / "bundle", {"hey nova": 1_000})


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    (tmp_path / "takes").mkdir()
    audio.write(tmp_path / "takes" / "quiet.wav", np.zeros(16_000, np.float32))
    audio.write(tmp_path / "takes" / "tone.wav", tone_bundle.tone(1_000, 0.5, 0.6, 2.0))
    return tmp_path / "takes"


def printed(capsys, *words: object) -> tuple[int, str]:
    """(exit code, standard output) of a command, run in this process."""
    code = 0

    def run() -> None:
        nonlocal code
        code = app([str(word) for word in words], standalone_mode=False) or 0

    assert guarded(run) == 0, capsys.readouterr().err
    return code, capsys.readouterr().out


def test_columns_are_aligned_and_nothing_else():
    assert tables.aligned(ROWS) == ["student       parameters", "ds_cnn        26,500", "a [bold]name  1"]


def test_a_terminal_gets_a_rule_and_every_cell_as_it_is():
    lines = tables.ruled(ROWS)

    assert any("─" in line for line in lines)
    assert all(any(cell in line for line in lines) for row in ROWS[1:] for cell in row)


@pytest.mark.parametrize("columns", [60, 80, 300])
def test_a_table_that_is_too_wide_for_a_terminal_goes_on_below_with_its_names(monkeypatch, columns: int):
    monkeypatch.setenv("COLUMNS", str(columns))
    names = [f"errors, {'a' * i}column{i}" for i in range(12)]
    lines = tables.ruled([["teacher", *names], ["moonshine", *(f"2{i}.6 % ± 0.9" for i in range(12))]])

    text = "\n".join(lines)
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines) <= columns
    assert all(f"column{i}" in text and f"2{i}.6 % ± 0.9" in text for i in range(12))
    assert text.count("moonshine") == (1 if columns == 300 else text.count("─\n"))


def test_a_program_that_reads_along_gets_no_escape_codes_and_a_terminal_does():
    environment = {**os.environ, "TERM": "xterm-256color"}
    piped = subprocess.run([*COMMAND, "doctor"], capture_output=True, env=environment, check=False).stdout
    far, near = pty.openpty()
    subprocess.run([*COMMAND, "doctor"], stdout=near, stderr=near, env=environment, check=False)
    os.close(near)
    seen = b""
    while True:
        try:
            seen += os.read(far, 65_536)
        except OSError:  # the other end is closed
            break

    assert b"moonshine" in piped
    assert b"\x1b" not in piped
    assert b"\r" not in piped
    assert b"moonshine" in seen
    assert b"\x1b[" in seen


def test_progress_that_nobody_watches_is_whole_lines(capsys):
    assert list(progress.track([1, 2], "views")) == [1, 2]
    told = capsys.readouterr()

    assert (told.out, told.err) == ("", "views: 2 done in 0 s\n")


@pytest.mark.parametrize(("seconds", "told"), [(0.2, "0 s"), (45, "45 s"), (3968, "66 minutes"), (9_000, "2.5 hours")])
def test_long_times_are_told_as_people_count_them(seconds: float, told: str):
    assert progress.duration(seconds) == told


def test_plain_progress_names_a_total_where_there_is_one(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", 0.0)
    for items in ([1, 2], iter([1, 2])):
        list(progress.track(items, "streams"))

    told = [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert told == [
        "streams: 1 of 2",
        "streams: 2 of 2",
        "streams: 2 done in 0 s",
        "streams: 1",
        "streams: 2",
        "streams: 2 done in 0 s",
    ]


def test_the_list_of_commands_is_whole_on_80_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    app(["--help"], standalone_mode=False)

    _, commands = capsys.readouterr().out.split("Commands:")
    assert [line for line in commands.splitlines() if line.endswith("...")] == []


def test_commands_about_a_bundle_and_parts_speak_json(capsys, bundle: Path, takes: Path, tmp_path: Path):
    _, detections = printed(capsys, "detect", bundle, takes / "tone.wav", "--json")
    _, card = printed(capsys, "card", bundle, "--json")
    _, parts = printed(capsys, "parts", "losses", "--json")
    _, plan = printed(capsys, "plan", "hey nova", "--out", tmp_path / "run", "--json")
    code, judged = printed(capsys, "record", takes, "--check", "--json")

    assert json.loads(detections)["detections"][0]["phrase"] == "hey nova"
    assert json.loads(card)["phrases"][0]["text"] == "hey nova"
    assert "kd" in json.loads(parts)["losses"]
    assert json.loads(plan)["steps"] == list(STEPS)
    assert json.loads(plan)["settings"]["phrase"] == "hey nova"
    quiet, tone = json.loads(judged)
    assert quiet["faults"]
    assert (tone["faults"], tone["take"]["clipped"]) == ([], 0.0)
    assert code == 1


def test_every_command_that_finds_something_out_takes_json():
    import typer

    told = {name for name, one in typer.main.get_command(app).commands.items() if any("--json" in p.opts for p in one.params)}
    silent = {"say", "serve", "ui"}  # a file is written, a server runs

    assert typer.main.get_command(app).commands.keys() - told <= silent


def test_json_of_recording_is_of_its_check(capsys, tmp_path: Path):
    assert guarded(lambda: app(["record", str(tmp_path), "--json"], standalone_mode=False)) == 2
    assert "--check" in capsys.readouterr().err


STOPPED = """
import os, signal, sys, time
from wakesmith.cli import app, main

@app.command()
def stop():
    os.kill(os.getpid(), signal.SIGNAL)
    time.sleep(5)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
sys.argv = ["wakesmith", "stop"]
main()
"""


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ([*COMMAND, "parts", "losses"], 0, ""),
        ([*COMMAND, "parts", "losess"], 2, "Did you mean 'losses'?"),
        ([*COMMAND, "detect"], 2, "Missing argument"),
        ([*COMMAND, "parts", "--jsn"], 2, "No such option"),
        *(([sys.executable, "-c", STOPPED.replace("SIGNAL", name)], 130, "goes on from here") for name in ("SIGINT", "SIGTERM")),
    ],
)
def test_exit_codes_are_those_of_the_reference(command: list[str], code: int, told: str):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "\x1b" not in done.stderr


def test_a_package_that_is_missing_is_one_line_and_a_bug_is_not(capsys):
    def needs() -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    def broken() -> None:
        raise ModuleNotFoundError("No module named 'wakesmith.gone'", name="wakesmith.gone")

    assert guarded(needs) == 2
    assert "torch. Install it: pip install 'wakesmith[all]'" in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError):
        guarded(broken)


@pytest.mark.slow
def test_every_command_about_a_run_speaks_json(capsys, run: Path, tmp_path: Path):
    told = {step: json.loads(printed(capsys, step, run, "--json")[1]) for step in STEPS}
    code, checked = printed(capsys, "teach", run, "--check", "--json")
    _, mined = printed(capsys, "mine", run, "--json", "--set", "mine.least_score=0.05")
    _, compared = printed(capsys, "compare", run, "--json", "--seeds", 1, "--set", "train.steps=20")

    assert all(told[step]["step"] == step and told[step]["took_s"] >= 0 for step in STEPS)
    assert told["evaluate"]["report"]["operating_point"]["threshold"] > 0
    assert json.loads(checked)["gate"]["passed"] is not True or code == 0
    assert all(one["after"]["dev"] for one in json.loads(mined))
    assert [arm["name"] for arm in json.loads(compared)["arms"]] == ["none", "the run's teacher"]
