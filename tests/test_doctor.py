"""`wakesmith doctor`: what is here, what is missing and what brings it."""

import json
import shutil
import subprocess
import sys
from collections import Counter

import pytest

from wakesmith import registry
from wakesmith.cli import app
from wakesmith.steps import doctor


@pytest.fixture(scope="module")
def checks() -> list[doctor.Check]:
    return doctor.run()


def test_every_extra_voice_and_teacher_is_looked_at(checks):
    found = {area: {one.name for one in checks if one.area == area} for area in ("part", "voice", "teacher")}

    assert found["part"] >= {"cli", "onnx", "lite", "train", "tts", "micro", "tflite", "live", "serve", "ui"}
    assert not found["part"] & {"dev", "fuzz"}
    assert (found["voice"], found["teacher"]) == (set(registry.names("voices")), set(registry.names("teachers")))


def test_what_is_not_here_names_its_way(checks):
    absent = [one for one in checks if one.state != "ok" and one.name != "cuda"]

    assert all(one.told and one.way for one in absent)
    assert next(one.way for one in checks if one.name == "whisper" and one.area == "teacher") == "--teacher whisper:FOLDER"


def test_a_package_that_is_not_installed_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(doctor, "version", lambda package: "" if package in ("transformers", "wyoming") else "1")
    found = {one.name: one for one in doctor._extras()}

    assert (found["train"].state, found["train"].told) == ("missing", "without transformers")
    assert found["train"].way == "pip install 'wakesmith[train]'"
    assert found["serve"].state == "optional"
    assert found["tts"].state == "ok"
    assert not doctor.can_forge(list(found.values()))


def test_the_command_without_its_packages_names_the_extra():
    code = "import sys; sys.modules['typer'] = None; import wakesmith.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    told = "wakesmith: the command line needs the package typer. Install it: pip install 'wakesmith[cli]'\n"
    assert (done.returncode, done.stderr) == (2, told)


def test_a_voice_without_its_package_names_the_command_that_its_error_names(monkeypatch):
    monkeypatch.setattr("wakesmith.voices._base.find_spec", lambda module: None)
    hibari = doctor._part("voices", "hibari")

    assert (hibari.state, hibari.way) == ("optional", "pip install hibari-tts")
    assert hibari.told == "voices: 'hibari' needs the package hibari-tts."


def test_where_no_voice_is_ready_forge_cannot_run():
    one = doctor.Check("voice", "piper", "optional", "not told its file")

    assert doctor.can_forge([one])
    assert not doctor.can_forge(doctor._one_of([one]))


def test_a_full_disk_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 9, 1))
    disk = next(one for one in doctor._machine(tmp_path) if one.name == "disk")

    assert disk.state == "missing"
    assert str(tmp_path) in disk.told


def test_the_exit_code_and_the_json_say_whether_forge_can_run(capsys):
    code = app(["doctor", "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)

    assert (code == 0) is told["can_forge"]
    assert Counter(one["state"] for one in told["checks"])["missing"] == 0 or code == 1


def test_neither_torch_nor_a_teacher_is_loaded():
    code = "import sys; from wakesmith.steps import doctor; doctor.run(); print(*({'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_a_gpu_that_torch_cannot_use_is_told_with_its_way(monkeypatch, tmp_path):
    pytest.importorskip("torch")
    if doctor._cuda().state == "ok":
        pytest.skip("this torch uses the GPU")
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = doctor._cuda()

    assert (found.state, found.told) == ("optional", "there is a GPU, but no torch that uses it")
    assert "pip install" in found.way
