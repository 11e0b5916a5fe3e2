"""The page in a browser: Judge shows and plays what was judged; Compare; Take away. No request leaves the machine."""

import json
import os
import shutil
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tone_bundle
from tests.browser import CHROMIUM, api
from tests.test_evaluate import TONE_HZ, prepared
from tests.tone_bundle import tone
from wakesmith import audio
from wakesmith.card import OperatingPoint
from wakesmith.cli import app as cli
from wakesmith.config import to_yaml
from wakesmith.report.facts import interval, of_phrases, percent, rate_text
from wakesmith.steps import _judge, _kept, _recipe, evaluate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `tones`, evaluated, and `fresh`, planned only."""
    folder = tmp_path_factory.mktemp("runs")
    values = {"phrase": "hey nova", "seed": 3, "train": {"distil": False}}
    judged = {"snrs_db": [20.0, 0.0], "smoothing_windows": [1, 2], "refractory_s": [1.0]}
    recipe = _recipe.load({**values, "evaluate": judged})
    prepared(folder / "tones")
    evaluate.run(recipe, folder / "tones")
    (folder / "fresh").mkdir()
    (folder / "fresh" / "config.yaml").write_text(to_yaml(_recipe.load({**values, "seed": 4})))
    (folder / "tones" / "config.yaml").write_text(to_yaml(recipe))  # the last one is shown first
    later = (folder / "fresh" / "config.yaml").stat().st_mtime + 10
    os.utime(folder / "tones" / "config.yaml", (later, later))
    return folder


@pytest.fixture(scope="module")
def served(runs: Path) -> Iterator[tuple[str, list[Any]]]:
    """(address of the page, places outside of the machine that the server turned to)"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        outside, connect = [], socket.socket.connect

        def watched(self: socket.socket, address: Any) -> None:
            if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
                outside.append(address)
            connect(self, address)

        patch.setattr(socket.socket, "connect", watched)
        from wakesmith.web import app

        page = app.build(runs)
        _, address, _ = page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
        yield address, outside
        page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as play:
        made = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"])
        yield made
        made.close()


@pytest.fixture
def page(browser: Any, served: tuple[str, list[Any]]) -> Iterator[Any]:
    """The page at Judge. What it asks for outside of the machine, and its errors, fail the test."""
    address, outside = served
    opened = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    opened.set_default_timeout(60_000)  # other work may run beside
    asked, errors = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(address)
    opened.get_by_role("tab", name="Judge").click()
    opened.wait_for_selector("#figures-test")
    yield opened
    opened.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert outside == []
    assert errors == []


def report(runs: Path) -> dict[str, Any]:
    return dict(json.loads((runs / "tones" / "evaluate" / "report.json").read_text()))


def move(page: Any, threshold: float) -> None:
    page.locator("#threshold input[type=number]").fill(f"{threshold:g}")
    page.locator("#threshold input[type=number]").press("Tab")
    page.wait_for_function("t => document.querySelector('#figures').innerText.includes(t)", arg=f"{threshold:.4f}")


def expect_figures(page: Any, split: str, clean: dict[str, Any], fa: dict[str, Any]) -> None:
    shown = page.locator(f"#figures-{split}").inner_text()
    for text in (percent(clean["frr"]), interval(clean), f"{fa['per_hour']:.2f}", rate_text(fa)):
        assert text in shown


def test_the_shipped_threshold_shows_the_figures_of_the_report(page: Any, runs: Path):
    told = report(runs)

    assert f"{told['operating_point']['threshold']:.4f} (the shipped one)" in page.locator("#figures").inner_text()
    for split in ("dev", "test"):
        expect_figures(page, split, told[split]["conditions"][0], told[split]["false_accepts"])


def test_the_slider_changes_misses_and_false_accepts(page: Any, runs: Path):
    before = page.locator("#figures-test").inner_text()

    move(page, 0.05)

    assert page.locator("#figures-test").inner_text() != before
    page.locator("#threshold input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('#figures').innerText.includes('0.0510')")
    page.get_by_role("button", name="Back to the shipped threshold").click()
    page.wait_for_function("() => document.querySelector('#figures').innerText.includes('the shipped one')")
    assert page.locator("#figures-test").inner_text() == before


def test_at_another_threshold_both_splits_show_what_evaluate_would_report_there(page: Any, runs: Path):
    point = OperatingPoint(**report(runs)["operating_point"]).model_copy(update={"threshold": 0.05})

    move(page, 0.05)

    for split, heard in _kept.read(runs / "tones", 0).items():
        told = _judge.at_point(heard, point, evaluate.Settings().patience_s)
        assert told["false_accepts"]["count"] > 0
        expect_figures(page, split, told["conditions"][0], told["false_accepts"])


def test_a_false_wake_is_seen_and_played(page: Any):
    move(page, 0.05)

    page.wait_for_selector("#mistake >> text=False wake, test")
    page.wait_for_selector("#picture svg")
    page.locator("#sound").get_by_label("Play", exact=True).click()
    page.wait_for_selector("#sound [aria-label=Pause]")
    first = page.locator("#mistake").inner_text()
    page.get_by_role("button", name="Next", exact=True).click()
    page.wait_for_function("text => document.querySelector('#mistake').innerText != text", arg=first)


def test_a_clip_is_marked_and_test_clips_cannot_be_sent(page: Any, runs: Path):
    move(page, 0.05)
    page.wait_for_selector("#mistake >> text=False wake, test")

    page.get_by_role("button", name="This clip is labelled wrong").click()

    page.wait_for_selector("#marked >> text=Marked as labelled wrong")
    assert "test/test-negatives-000@" in (runs / "tones" / "feedback" / "marks.jsonl").read_text()
    assert page.locator("#cannot-send").is_disabled()
    assert "cannot be sent to learn" in page.locator("#judge").inner_text()


def test_a_recording_of_the_users_is_sent_and_the_command_told(page: Any, runs: Path, tmp_path: Path):
    audio.write(tmp_path / "mine.wav", tone(700, 0.2, 0.5, 1.3))

    page.locator("#own input[type=file]").set_input_files(tmp_path / "mine.wav")
    page.wait_for_selector("#own [aria-label=Play]")
    page.get_by_label("It was said, and missed").check()
    page.locator("#send").click()

    page.wait_for_selector("#sent >> text=wakesmith learn")
    assert f"--misses {runs / 'tones' / 'feedback' / 'misses'}" in page.locator("#sent").inner_text()
    assert len(list((runs / "tones" / "feedback" / "misses").iterdir())) == 1


def test_only_runs_with_figures_are_offered_beside_it(page: Any):
    page.get_by_label("Beside it").click()

    page.wait_for_timeout(500)
    assert page.get_by_role("option", name="fresh").count() == 0


def test_runs_are_compared_and_one_without_figures_says_what_to_do(page: Any):
    page.get_by_role("tab", name="Compare").click()

    page.wait_for_selector("#compare-table >> text=tones")
    assert "fresh was not evaluated yet" in page.locator("#compare-table").inner_text()
    assert "seed" in page.locator("#differences").inner_text()


def test_a_bundle_is_downloaded_and_detect_opens_it(page: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page.get_by_role("tab", name="Take away").click()
    page.wait_for_selector("#next-steps >> text=What to do next")

    with page.expect_download() as found:
        page.locator("#download").click()
    found.value.save_as(tmp_path / "bundle.zip")
    zipfile.ZipFile(tmp_path / "bundle.zip").extractall(tmp_path / "bundle")
    (folder,) = (tmp_path / "bundle").iterdir()
    audio.write(tmp_path / "said.wav", tone(TONE_HZ, 1.0, 0.6, 3.0).astype(np.float32))

    cli(["detect", str(folder), str(tmp_path / "said.wav")], standalone_mode=False)
    assert "1 detection" in capsys.readouterr().out


def test_a_run_that_was_not_evaluated_says_what_to_do(page: Any):
    page.locator("#run input").click()
    page.get_by_role("option", name="fresh").click()

    page.wait_for_selector("#judge-state >> text=was not evaluated yet")
    assert not page.locator("#judge").is_visible()
    page.get_by_role("tab", name="Take away").click()
    page.wait_for_selector("#take-state >> text=has no bundle yet")
    assert page.locator(".toast-body").count() == 0  # told once, where it is looked for


def show(page: Any, tab: str) -> None:
    """Go to a tab, which on a phone may be behind a button."""
    page.wait_for_selector("[role=tab]")
    shown = page.get_by_role("tab", name=tab, exact=True)
    if not shown.is_visible():
        page.get_by_role("button", name="More tabs").click()
        shown = page.locator(".overflow-dropdown").get_by_text(tab, exact=True)
    shown.click()


FIRST = {
    "Forge": "#start, #state", "Watch": "#teacher-card", "Judge": "#threshold, #figures-dev, #figures-test",
    "Try": "#try-microphone, #heard", "Take away": "#target, #download",
}  # fmt: skip


@pytest.mark.parametrize("tab", FIRST)
def test_what_a_tab_is_for_is_seen_on_a_phone_without_scrolling(browser: Any, served: tuple[str, list[Any]], tab: str):
    phone = browser.new_page(viewport={"width": 390, "height": 844})
    phone.set_default_timeout(60_000)
    phone.goto(served[0])
    show(phone, tab)

    for part in FIRST[tab].split(", "):
        box = phone.wait_for_selector(part).bounding_box()
        assert box["y"] + box["height"] <= 844, part
    phone.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("tab", ["Judge", "Compare", "Take away"])
def test_nothing_stands_over_the_edge_of_a_phone(browser: Any, served: tuple[str, list[Any]], tab: str, scheme: Any):
    phone = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    phone.goto(served[0])
    show(phone, tab)
    phone.wait_for_timeout(2_000)

    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.close()


def test_a_run_of_other_phrases_is_chosen_without_an_error(browser: Any, served: Any, runs: Path, tmp_path: Path):
    from wakesmith.web import app

    shutil.copytree(runs / "tones", tmp_path / "tones")
    values = {"phrase": ["wake 0", "wake 1"], "seed": 3, "train": {"distil": False}}
    judged = {"snrs_db": [0.0], "smoothing_windows": [1], "refractory_s": [1.0]}
    prepared(tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "bundle")
    tone_bundle.make(tmp_path / "two" / "bundle", {"wake 0": 1_000, "wake 1": 600}, None)
    (tmp_path / "two" / "config.yaml").write_text(to_yaml(recipe := _recipe.load({**values, "evaluate": judged})))
    evaluate.run(recipe, tmp_path / "two")
    other = app.build(tmp_path)
    _, address, _ = other.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    page.get_by_role("tab", name="Judge").click()
    for name, phrases in (("tones", 0), ("two", 1), ("tones", 0), ("two", 1)):
        page.locator("#run input").click()
        page.get_by_role("option", name=name, exact=True).click()
        page.wait_for_selector("#of-phrase", state="visible" if phrases else "hidden")
        told = of_phrases(json.loads((tmp_path / name / "evaluate" / "report.json").read_text()))[0]
        page.wait_for_selector(f"#figures >> text={told['operating_point']['threshold']:.4f}", timeout=60_000)

        assert page.locator(".toast-body").count() == 0, page.locator(".toast-body").all_inner_texts()
    page.close()
    other.close()
