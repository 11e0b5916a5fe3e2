"""What comes with us: licences are listed, no dependency is asked for twice, and nothing calls home."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import scripts, tone_bundle
from wakesmith import audio

ROOT = Path(__file__).parent.parent
NO_NETWORK = """
import socket, sys
def refused(*given, **named):
    raise AssertionError(f"asked the network for {given}")
for name in ("getaddrinfo", "create_connection", "gethostbyname"):
    setattr(socket, name, refused)
socket.socket.connect = socket.socket.connect_ex = refused
"""


@pytest.fixture(scope="module")
def licences():
    return scripts.loaded("benchmarks/licences.py")


def test_the_page_lists_the_licence_of_every_package(licences):
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8").partition("## Packages")[2]
    told = {name: one for one, names in re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", page, re.M) for name in names.split(", ")}
    found = licences.found()

    assert {name: told.get(name) for name in found} == found, "python benchmarks/licences.py prints the table"


def test_no_package_keeps_its_licence_to_itself(licences):
    assert [name for name, one in licences.found().items() if one == "not told"] == []


def test_a_bundle_is_heard_without_a_network(tmp_path: Path):
    bundle = tone_bundle.make(tmp_path / "bundle", {"hey nova": 1_000})
    audio.write(tmp_path / "said.wav", tone_bundle.tone(1_000, 0.5, 0.6, 2.0))
    code = f"{NO_NETWORK}\nfrom wakesmith.cli import app\napp(['detect', {str(bundle)!r}, {str(tmp_path / 'said.wav')!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-1000:]
    assert "1 detection" in done.stdout


@pytest.mark.slow
def test_every_part_and_the_page_load_without_a_network():
    code = f"""{NO_NETWORK}
import importlib, pkgutil, wakesmith
for one in pkgutil.walk_packages(wakesmith.__path__, "wakesmith."):
    if not one.name.endswith("__main__"):
        try:
            importlib.import_module(one.name)
        except ModuleNotFoundError as error:
            assert not (error.name or "wakesmith").startswith("wakesmith"), one.name
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_a_word_is_forged_without_a_network(tmp_path: Path):
    pytest.importorskip("espeakng_loader", reason="the extra `tts` is not installed")
    alone = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make a network namespace")
    script = tmp_path / "forge_it.py"
    script.write_text(
        "from pathlib import Path\nfrom tests import tiny_run\n"
        f"if __name__ == '__main__':\n    tiny_run.make(Path({str(tmp_path / 'tiny')!r}))\n"
    )
    done = subprocess.run(
        [*alone, sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "tiny" / "run" / "bundle" / "card.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_the_listener_installs_and_hears_on_other_pythons(version: str, tmp_path: Path):
    """The runtime alone, as its extras give it: torch for other Pythons may be gigabytes."""
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"no python{version} on the path")
    bundle = tone_bundle.make(tmp_path / "bundle", {"hey nova": 1_000})
    audio.write(tmp_path / "said.wav", tone_bundle.tone(1_000, 0.5, 0.6, 2.0))
    subprocess.run([python, "-m", "venv", tmp_path / "env"], check=True)
    own, constraints = tmp_path / "env" / "bin", ROOT / "constraints" / "py311.txt"
    subprocess.run([own / "pip", "install", "-q", "-c", constraints, f"{ROOT}[cli,onnx,serve]"], check=True)

    command = ["detect", bundle, tmp_path / "said.wav", "--json"]
    here, there = (
        subprocess.run([place / "wakesmith", *command], capture_output=True, text=True, check=True).stdout
        for place in (Path(sys.executable).parent, own)
    )

    assert json.loads(there) == json.loads(here)
    assert "hey nova" in there
    subprocess.run([own / "python", "-c", "import wakesmith.cli, wakesmith.runtime.wyoming"], check=True)
    subprocess.run([own / "python", "-m", "compileall", "-q", ROOT / "src"], check=True)
