"""The page in a browser, as `wakesmith ui` serves it: a phrase is forged, watched, judged, tried, bettered and taken away.

No request leaves the machine.
"""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests import tiny_encoders, tiny_run
from tests.browser import CHROMIUM, api
from tests.test_page_judge import expect_figures, move
from wakesmith import audio, config
from wakesmith.cli import app as cli
from wakesmith.runtime.detector import Detector

pytestmark = pytest.mark.slow
TOKEN = "a-token-for-this-test"
MOST_S = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sounds and a teacher, and nothing forged."""
    place = tmp_path_factory.mktemp("page")
    tiny_run.recordings(place / "sounds")
    tiny_encoders.save("whisper", place / "whisper")
    rng = np.random.default_rng(7)
    for number in range(3):
        audio.write(place / f"take-{number}.wav", tiny_run.placed(tiny_run.sweep(rng), 0.4, 1.6, rng))
    words = [tiny_run.placed(tiny_run.sweep(rng), 1.0, 2.5, rng) for _ in range(3)]
    audio.write(place / "three.wav", np.concatenate(words))
    return place


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Of the page, as the command prints it."""
    words = [sys.executable, "-m", "wakesmith.cli", "ui", "--runs", str(folder / "runs"), "--port", "0", "--token", TOKEN]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert server.stdout is not None
    found = re.search(r"http://\S+", server.stdout.readline())
    assert found
    yield found[0]
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module")
def page(folder: Path, address: str) -> Iterator[Any]:
    """One visit from the first look to the last; the browser's microphone hears the file of three phrases, over and over."""
    media = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with api.sync_playwright() as play:
        sound = f"--use-file-for-fake-audio-capture={folder / 'three.wav'}"
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *media, sound])
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.set_default_timeout(60_000)
        asked: list[str] = []
        errors: list[str] = []
        opened.on("request", lambda request: asked.append(request.url))
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(address)
        opened.wait_for_selector("#phrase textarea, #phrase input")
        yield opened
        browser.close()
    assert [url for url in asked if not url.startswith((address.partition("?")[0], "data:", "blob:"))] == []
    assert errors == []


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("path", ["", "config", "gradio_api/info", "gradio_api/queue/join", "gradio_api/file=/etc/passwd"])
def test_nothing_is_served_without_the_token(address: str, path: str):
    assert status(address.partition("?")[0] + path) == 401


def test_no_folder_is_open_to_who_has_the_token(address: str, folder: Path):
    base = address.partition("?")[0]
    cookie = f"wakesmith_token_{urlsplit(base).port}={TOKEN}"

    assert status(base, Cookie=cookie) == 200
    for path in (Path("/etc/passwd"), folder / "three.wav"):
        assert status(f"{base}gradio_api/file={path}", Cookie=cookie) in (403, 404)


def tab(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def says(page: Any, where: str, text: str, most_s: float = 60) -> None:
    page.wait_for_selector(f"{where} >> text={text}", timeout=1000 * most_s)


def test_with_no_run_the_page_says_what_to_do(page: Any):
    says(page, "#run", "There is no run yet")
    says(page, "#state", "Type a phrase")


def test_a_mistake_is_told_on_the_page(page: Any):
    page.locator("#start").click()

    says(page, "body", "Type the phrase first.")
    page.locator(".toast-close").first.click()


def test_the_phrase_makes_the_recipe_and_its_cost(page: Any):
    page.locator("#phrase textarea, #phrase input").first.fill("swoop")
    page.keyboard.press("Tab")

    says(page, "#cost", "minutes on 2 free cores")
    page.wait_for_function("() => document.querySelector('#run-name').querySelector('textarea, input').value == 'swoop'")


def test_a_voice_says_the_phrase(page: Any):
    page.get_by_role("button", name="Hear the phrase first").click()
    page.locator("#say").click()

    page.wait_for_selector("#said [aria-label=Play], #said [aria-label=Pause]")


def test_own_recordings_are_judged_and_kept(page: Any, folder: Path):
    page.get_by_role("button", name="Your own recordings of the phrase").click()
    page.locator("#files input[type=file]").set_input_files([folder / "take-0.wav", folder / "take-1.wav"])
    page.wait_for_selector("#files >> text=take-1")
    page.locator("#keep").click()

    says(page, "#takes", "2 of 2 kept")
    assert len(list((folder / "runs" / "recordings-swoop" / "me").iterdir())) == 2


def test_a_take_is_recorded_in_the_browser(page: Any, folder: Path):
    page.locator("#take").get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2_200)
    page.locator("#take").get_by_role("button", name="Stop", exact=True).click()
    page.wait_for_selector("#take [aria-label=Play]")
    page.locator("#keep").click()

    says(page, "#takes", "1 of 1 kept")
    assert len(list((folder / "runs" / "recordings-swoop" / "me").iterdir())) == 3


def test_a_recipe_by_hand_is_forged_stopped_and_gone_on_with(page: Any, folder: Path):
    tiny = config.to_yaml(tiny_run.recipe(folder))
    page.get_by_role("button", name="The whole recipe: every option").click()
    page.locator("#recipe").get_by_text("phrase: swoop").wait_for()
    page.wait_for_function("() => document.querySelector('#cost').innerText.includes('come on top')")  # the kept takes are in it
    page.locator("#recipe .cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(tiny)
    page.wait_for_timeout(500)
    page.locator("#start").click()
    says(page, "#state", "swoop: At work", 60)
    says(page, "#state", "of 8:", 120)
    page.locator("#stop").click()
    says(page, "#state", "swoop: Stopped", 60)

    assert tiny_run.recipe(folder).model_dump() == config_of(folder)
    page.locator("#go-on").click()
    says(page, "#state", "swoop: At work", 60)
    says(page, "#state", "swoop: Done", MOST_S)
    assert (folder / "runs" / "swoop" / "bundle" / "card.json").exists()


def config_of(folder: Path) -> dict[str, Any]:
    from wakesmith.steps import _recipe

    return dict(_recipe.load(config.read_yaml(folder / "runs" / "swoop" / "config.yaml")).model_dump())


def test_the_training_is_watched(page: Any):
    tab(page, "Watch")
    page.locator("#look-again").click()

    for text in ("step 120 of 120", "Cross entropy", "Knowledge distillation", "Agreement with the teacher", "Dropped rows"):
        says(page, "#curves", text)
    says(page, "#teacher-card", "The gate is off")


def told_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "runs" / "swoop" / "evaluate" / "report.json").read_text()))


def test_what_was_forged_is_judged_without_choosing_it_again(page: Any, folder: Path):
    report = told_of(folder)
    tab(page, "Judge")

    says(page, "#figures", f"{report['operating_point']['threshold']:.4f} (the shipped one)")
    expect_figures(page, "test", report["test"]["conditions"][0], report["test"]["false_accepts"])
    move(page, 0.02)
    says(page, "#mistake", "False wake, test")
    page.locator("#sound").get_by_label("Play", exact=True).click()
    page.wait_for_selector("#sound [aria-label=Pause]")


def test_a_file_is_tried(page: Any, folder: Path):
    detector = Detector.load(folder / "runs" / "swoop" / "bundle")
    found = [*detector.process(audio.read(folder / "three.wav")), *detector.finish()]
    tab(page, "Try")
    page.locator("#try-file input[type=file]").set_input_files(folder / "three.wav")

    assert found
    says(page, "#heard", f"swoop: {len(found)} detection")
    for hit in found:
        assert f"{hit.time_s:.2f} s" in page.locator("#heard").inner_text()
    assert page.locator("#heard svg circle").count() == len(found)


def test_the_microphone_is_tried(page: Any):
    page.locator("#try-file").get_by_label("Clear").first.click()
    page.locator("#try-microphone").get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(9_000)
    told = page.locator("#heard").inner_text()
    page.locator("#try-microphone .stop-button").dispatch_event("click")  # it is drawn anew as the sound comes in

    found = re.search(r"swoop: (\d+) detection", told)
    assert found, told
    assert int(found[1]) >= 1


def test_a_missed_phrase_is_sent_and_learned_on_the_page(page: Any, folder: Path):
    tab(page, "Judge")
    page.locator("#learn").click()
    says(page, "body", "Nothing was sent yet.")
    page.locator(".toast-close").first.click()
    audio.write(folder / "missed.wav", tiny_run.sound("wake", np.random.default_rng(78)))
    page.locator("#own input[type=file]").set_input_files(folder / "missed.wav")
    page.wait_for_selector("#own [aria-label=Play]")
    page.get_by_label("It was said, and missed").check()
    page.locator("#send").click()
    says(page, "#sent", "wakesmith learn")
    page.get_by_label("Learn from what the teacher doubts too").check()
    page.locator("#learn").click()

    says(page, "#better", "swoop: At work")
    says(page, "#better", "round 01: 1 clips", MOST_S)
    assert (folder / "runs" / "swoop" / "rounds" / "01" / "round.json").exists()
    says(page, "#figures", f"{told_of(folder)['operating_point']['threshold']:.4f} (the shipped one)")


def test_the_bundle_is_taken_away_and_detect_opens_it(page: Any, folder: Path, capsys: pytest.CaptureFixture[str]):
    tab(page, "Take away")
    says(page, "#next-steps", "What to do next")
    with page.expect_download() as found:
        page.locator("#download").click()
    found.value.save_as(folder / "bundle.zip")
    zipfile.ZipFile(folder / "bundle.zip").extractall(folder / "taken")

    cli(["detect", str(folder / "taken" / "swoop"), str(folder / "three.wav")], standalone_mode=False)
    assert re.search(r"[1-9] detection", capsys.readouterr().out)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(page: Any, width: int):
    page.set_viewport_size({"width": width, "height": 844})
    page.wait_for_timeout(500)

    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_keyboard_reaches_the_tabs_and_the_start(page: Any):
    page.get_by_role("tab", name="Forge", exact=True).focus()
    page.keyboard.press("Enter")
    for _ in range(60):
        if page.evaluate("document.activeElement.closest('#recipe') !== null"):
            page.keyboard.press("Escape")  # the editor takes Tab for itself, and its label says so
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "start":
            return
    pytest.fail("Start was not reached in 60 presses of Tab")
