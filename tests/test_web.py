"""The page without a browser: runs by name, recipes from fields, work by its output, curves, what a bundle hears, the guard."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests import tiny_run, tone_bundle
from wakesmith import audio, config
from wakesmith.errors import ConfigError, WakesmithError
from wakesmith.importers import wav_folders
from wakesmith.run import Run
from wakesmith.steps import _cost, _recipe
from wakesmith.web import _curves, _guard, _hear, _plan, _runs, _work

NO_FIELDS = {
    "teacher": "", "teacher_folder": "", "natural": "", "recordings": "", "negatives": "", "noise": "", "rooms": "",
    "test_recordings": "",
}  # fmt: skip


def run(runs: Path, name: str = "hey_nova", phrase: str = "hey nova") -> Path:
    (runs / name).mkdir(parents=True)
    (runs / name / "config.yaml").write_text(config.to_yaml(_recipe.load({"phrase": phrase})))
    return runs / name


def recipe(**fields: str) -> str:
    return _plan.recipe_text(**{"phrase": "hey nova", "preset": "quick", **NO_FIELDS, **fields})


def test_only_folders_with_a_recipe_are_runs(tmp_path: Path):
    run(tmp_path)
    (tmp_path / "something").mkdir()

    assert _runs.names(tmp_path) == ["hey_nova"]


@pytest.mark.parametrize("name", ["..", ".", "../other", "/etc", "a/b", ".hidden", "a\0b"])
def test_a_name_that_leads_out_of_the_runs_is_refused(tmp_path: Path, name: str):
    with pytest.raises(ConfigError, match="not the name of a run"):
        _runs.folder(tmp_path, name)


def test_a_link_that_leads_out_of_the_runs_is_refused(tmp_path: Path):
    run(tmp_path / "elsewhere")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "elsewhere" / "hey_nova")

    with pytest.raises(ConfigError, match="leads out of"):
        _runs.folder(tmp_path / "runs", "link")


def test_runs_that_would_be_refused_are_not_offered(tmp_path: Path):
    run(tmp_path / "elsewhere")
    run(tmp_path / "runs", "hey_nova")
    run(tmp_path / "runs", ".trash")
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "elsewhere" / "hey_nova")

    assert _runs.names(tmp_path / "runs") == ["hey_nova"]


def test_a_run_that_has_gone_hides_no_other_in_compare(tmp_path: Path):
    pytest.importorskip("gradio", reason="the extra `ui` is not installed")
    from wakesmith.web import compare

    run(tmp_path, "one")
    run(tmp_path, "two", "computer")

    table, differ = compare.shown(tmp_path, ["one", "gone", "two"])

    assert "gone: no run of wakesmith lies here" in table
    assert "one was not evaluated yet" in table
    assert "computer" in differ


@pytest.mark.parametrize("preset", ["quick", "standard", "esphome"])
def test_a_recipe_loses_nothing_on_its_way_through_the_page(preset: str):
    asked = _recipe.load({"phrase": "hey nova"}, preset=preset)

    assert _plan.read(recipe(preset=preset)) == asked
    assert _plan.read(config.to_yaml(_plan.read(recipe(preset=preset)))) == asked


def test_the_fields_do_what_the_options_of_the_command_do(tmp_path: Path):
    made = _plan.read(
        recipe(teacher="whisper", teacher_folder="w", negatives="speech/\nmore.csv", natural="kokoro/", recordings="mine")
    )

    assert (made.teacher.name, made.teacher.path) == ("whisper", "w")
    assert [(one.name, one.label) for one in made.data.sources] == [
        ("wav_folders", "wake"), ("wav_folders", "speech"), ("manifest_csv", "speech"),
    ]  # fmt: skip
    assert [voice.name for voice in made.speak.voices] == ["espeak", "hibari", "kokoro"]


def test_a_mistake_in_the_recipe_is_named():
    with pytest.raises(ConfigError, match=r"train\.stepz: unknown key"):
        _plan.read(recipe().replace("  steps: ", "  stepz: "))
    with pytest.raises(ConfigError, match="recipe: not readable as YAML"):
        _plan.read("train: [")


def test_a_run_of_another_phrase_is_not_overwritten(tmp_path: Path):
    run(tmp_path)

    with pytest.raises(ConfigError, match="is the run of 'hey nova'"):
        _plan.planned(tmp_path, "hey_nova", _recipe.load({"phrase": "computer"}))


def test_the_whole_recipe_lies_in_the_run_folder(tmp_path: Path):
    asked = _plan.read(recipe())

    made = _recipe.load(config.read_yaml(_plan.planned(tmp_path, "nova", asked) / "config.yaml"))

    assert made.model_copy(update={"files": {}}) == asked
    assert set(made.files) == {"prepare", "train"}  # of the student that it begins with


def test_good_takes_are_kept_and_bad_ones_are_told(tmp_path: Path):
    audio.write(
        tmp_path / "good.wav", tiny_run.placed(tiny_run.sweep(np.random.default_rng(1)), 0.3, 1.5, np.random.default_rng(1))
    )
    audio.write(tmp_path / "silent.wav", np.zeros(24_000, np.float32))
    (tmp_path / "text.wav").write_text("no sound")

    own, rows = _plan.keep(tmp_path, "nova", "ana", [str(tmp_path / name) for name in ("good.wav", "silent.wav", "text.wav")])

    assert [bool(row.faults) for row in rows] == [False, True, True]
    assert [path.relative_to(own).as_posix() for path in own.rglob("*.wav")] == ["ana/001.wav"]
    _plan.keep(tmp_path, "nova", "ana", [str(tmp_path / "good.wav")])
    assert len(_plan.kept(tmp_path, "nova")) == 2
    assert _runs.names(tmp_path) == []


@pytest.mark.parametrize("ending", ["aiff", "wave", "flac"])
def test_a_take_of_any_ending_is_kept_as_one_that_is_learned(tmp_path: Path, ending: str):
    import soundfile

    sound = tiny_run.placed(tiny_run.sweep(np.random.default_rng(1)), 0.3, 1.5, np.random.default_rng(1))
    soundfile.write(tmp_path / f"take.{ending}", sound, 16_000, format="wav" if ending == "wave" else ending)

    own, _ = _plan.keep(tmp_path, "nova", "ana", [str(tmp_path / f"take.{ending}")])

    (kept,) = wav_folders.sound_files(own)
    assert audio.read(kept) == pytest.approx(audio.read(tmp_path / f"take.{ending}"), abs=1e-4)


@pytest.mark.parametrize("speaker", ["", "../x", "a b"])
def test_a_speaker_becomes_a_folder_and_no_more(tmp_path: Path, speaker: str):
    with pytest.raises(ConfigError, match="becomes a folder's name"):
        _plan.keep(tmp_path, "nova", speaker, ["x.wav"])


def test_progress_is_read_from_the_output():
    now = _work.progress(["[1/8] speak", "speak: 10 done in 3 s", "[6/8] train", "train: 300 of 1200, 45 s left"])

    assert (now.number, now.n_steps, now.step, now.left) == (6, 8, "train", "45 s")
    assert now.share == pytest.approx((5 + 0.25) / 8)


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (["[1/8] speak", "bundle: runs/x/bundle"], "done"),
        (["[1/8] speak", "wakesmith: interrupted. The same command goes on from here."], "stopped"),
        (["Traceback (most recent call last):", "KeyboardInterrupt", "wakesmith: interrupted. The same command ..."], "stopped"),
        (["[1/8] speak"], "stopped"),
        (["$ wakesmith forge", "round 01: 5 clips; dev misses"], "stopped"),
        (["$ wakesmith learn runs/x/bundle --misses m", "learn: 1 of 1 files", "round 01: 3 clips; dev misses"], "done"),
        (["$ wakesmith mine runs/x", "nothing new was found"], "done"),
        (["$ wakesmith mine runs/x", "mine: train 0.5 h"], "stopped"),
        (["wakesmith: configuration: 2 problems:", "  - a", "  - b"], "failed"),
        (["Traceback (most recent call last):", "ValueError: x"], "failed"),
        ([], "none"),
    ],
)
def test_the_end_is_read_from_the_output(tmp_path: Path, said: list[str], word: str):
    assert _work.ended(run(tmp_path), said)[0] == word


def test_a_run_with_a_damaged_configuration_is_not_called_planned(tmp_path: Path):
    place = run(tmp_path)
    (place / "config.yaml").write_text("phrase: [hey nova\n")

    word, told = _work.ended(place, [])

    assert word == "failed"
    assert "config.yaml: not readable as YAML" in told


@pytest.mark.slow
def test_a_forge_that_cannot_begin_tells_why(tmp_path: Path):
    place = run(tmp_path)
    (place / "config.yaml").write_text("phrase: hey nova\ntrain: {stepz: 1}\n")
    _work.start(place, _work.forging(place, ["hey nova"]))
    with pytest.raises(WakesmithError, match="at work here already"):
        _work.start(place, _work.forging(place, ["hey nova"]))
    until = time.monotonic() + 60
    while _work.at_work(place) and time.monotonic() < until:
        time.sleep(0.1)

    assert _work.ended(place, _work.lines(place)) == ("failed", "configuration: train.stepz: unknown key. Did you mean 'steps'?")


def test_a_forge_of_the_terminal_is_seen_and_stopped(tmp_path: Path):
    place = run(tmp_path)
    code = (
        "import time\nfrom pathlib import Path\nfrom wakesmith.cli import app, main\nfrom wakesmith.run import Run\n"
        "@app.command()\ndef hold(folder: Path) -> None:\n    with Run(folder).alone():\n        print('in', flush=True)\n"
        "        time.sleep(60)\nmain()"
    )
    other = subprocess.Popen([sys.executable, "-c", code, "hold", str(place)], stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()

    assert _work.at_work(place)
    with pytest.raises(ConfigError, match="at work here"):
        _plan.planned(tmp_path, "hey_nova", _recipe.load({"phrase": "hey nova"}))
    _work.stop(place)
    assert other.wait(10) == 130
    assert not _work.at_work(place)
    with pytest.raises(WakesmithError, match="nothing is at work"):
        _work.stop(place)


def test_the_curves_show_every_term_of_the_log():
    row = {
        "loss/KnowledgeDistillation": 1.0,
        "loss/CrossEntropy": 0.5,
        "agreement": 0.9,
        "teacher_entropy": 0.1,
        "dropped_rows": 2,
    }
    log = [
        {"step": step, **row, "gradient_share/hard": 0.4, "gradient_share/Embedding": 0.6, "samples_per_s": 1234.5}
        for step in (10, 20)
    ]
    page = _curves.drawn([*log, {"step": 20, "eval_loss": 0.3, "eval_frr": 0.2}], 100)

    for word in (
        "Knowledge distillation: 1", "Cross entropy: 0.5", "Agreement with the teacher: 0.9", "Teacher&#x27;s entropy: 0.1",
        "Dropped rows: 2", "labels 0.4", "embedding 0.6", "Throughput: 1,234", "Loss on dev: 0.3", "Missed on dev: 0.2",
    ):  # fmt: skip
        assert word in page, word


def test_a_file_is_heard_as_the_command_hears_it(tmp_path: Path):
    bundle = tone_bundle.make(tmp_path / "bundle", {"beep": 1000})
    sound = tone_bundle.tone(1000, 1.0, 0.5, 3.0)

    heard = _hear.whole(bundle, "run", sound)

    assert len(heard.found) == 1
    assert heard.scores["beep"][heard.times_s.searchsorted(heard.found[0].time_s)] == pytest.approx(heard.found[0].score)
    assert "1 detection" in _hear.summary([heard])
    assert _hear.plot([heard]).count("<circle") == 1


def test_the_microphone_keeps_the_last_seconds(tmp_path: Path):
    stream = _hear.Stream(tone_bundle.make(tmp_path / "bundle", {"beep": 1000}), "run", keep_s=2.0)
    for _ in range(12):
        stream.feed(tone_bundle.tone(1000, 0.2, 0.2, 0.5))

    heard = stream.heard()
    assert heard.times_s[-1] - heard.times_s[0] <= 2.0
    assert heard.times_s[-1] == pytest.approx(6.0, abs=0.1)
    assert len(heard.found) > 5


def test_the_cost_grows_with_the_work():
    quick, long = (_recipe.load({"phrase": "hey nova", "train": {"steps": steps}}) for steps in (100, 10_000))

    assert _cost.minutes(long)["train"] > 5 * _cost.minutes(quick)["train"]
    assert "teach" not in _cost.minutes(_recipe.load({"phrase": "hey nova", "train": {"distil": False}}))
    one, two = (_cost.minutes(_recipe.load({"phrase": "hey nova", "mine": {"rounds": rounds}})) for rounds in (1, 2))
    assert two["mine"] == 2 * one["mine"] > 0
    assert "mine" not in _cost.minutes(quick)


def test_the_documents_and_the_estimate_name_the_same_minutes():
    root = Path(__file__).parents[1]
    readme, options = (root / "README.md").read_text(), (root / "src/wakesmith/cli/_app.py").read_text()
    told = {
        "quick": [re.search(r"preset quick: about (\d+) minutes", readme), re.search(r"quick \((\d+) minutes\)", options)],
        "standard": [
            re.search(r"--preset standard +# about (\d+) minutes", readme),
            re.search(r"standard \((\d+) minutes", options),
        ],
        "esphome": [
            re.search(r"--preset esphome +# about (\d+) minutes", readme),
            re.search(r"esphome \((\d+) minutes", options),
        ],
    }

    for preset, found in told.items():
        estimate = sum(_cost.minutes(_recipe.load({"phrase": "hey nova"}, preset=preset)).values())
        assert [int(one[1]) for one in found if one] == [pytest.approx(estimate, rel=0.1, abs=0.6)] * 2


TOKEN = "abcdefghijkl"
COOKIE = f"wakesmith_token_7860={TOKEN}"


def asked(path: str = "/", **headers: str):
    """Status and headers of the guard's answer, over its ASGI interface."""
    client = pytest.importorskip("starlette.testclient")

    async def page(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the page"})

    base = "http://127.0.0.1:7860"
    made = client.TestClient(_guard.Guard(page, TOKEN), base_url=base)
    return made.get(path, headers=headers, follow_redirects=False)


def test_only_who_knows_the_token_is_served():
    assert asked().status_code == 401
    assert asked("/config").status_code == 401
    assert asked("/?token=wrong").status_code == 401
    assert asked(Cookie="wakesmith_token_7860=wrong").status_code == 401
    assert asked(Cookie=COOKIE).status_code == 200
    assert asked(Authorization=f"Bearer {TOKEN}").status_code == 200
    given = asked(f"/?token={TOKEN}")
    assert (given.status_code, given.headers["location"]) == (303, "/")
    assert given.headers["set-cookie"].startswith(f"{COOKIE};")
    assert "HttpOnly" in given.headers["set-cookie"]


def test_the_pages_of_two_ports_keep_their_tokens_apart():
    assert asked(Host="127.0.0.1:7861", Cookie=COOKIE).status_code == 401
    assert asked(Host="127.0.0.1:7861", Cookie=f"{COOKIE}; wakesmith_token_7861={TOKEN}").status_code == 200
    assert asked(Host="kitchen", Cookie=f"wakesmith_token={TOKEN}").status_code == 200


@pytest.mark.parametrize("header", [{"Host": "["}, {"Host": "127.0.0.1:7860", "Origin": "http://["}])
def test_half_an_address_is_refused_without_an_error(header: dict[str, str]):
    assert asked(**header).status_code == 403


@pytest.mark.parametrize(
    "origin",
    [
        "null", "", "http://127.0.0.1:9999", "http://127.0.0.1:7860.evil.example", "http://evil@127.0.0.1:7860",
        "http://evil.example",
    ],
)  # fmt: skip
def test_a_page_of_another_origin_is_refused_though_it_has_the_token(origin: str):
    assert asked(Origin=origin, Cookie=COOKIE).status_code == 403
    assert asked(Origin="http://127.0.0.1:7860", Cookie=COOKIE).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7860", "evil.example:7860", "0.0.0.0:7860", ""])
def test_a_name_that_was_made_to_lead_here_has_no_token(host: str):
    assert asked(Host=host).status_code == 401


def test_the_way_on_from_the_token_leads_nowhere_else_and_is_told_to_nobody():
    given = asked(f"http://127.0.0.1:7860//evil.example/%0d%0aX-Planted:%201?token={TOKEN}")

    assert given.headers["location"] == "/evil.example/%0D%0AX-Planted%3A%201"
    assert "x-planted" not in given.headers
    assert given.headers["referrer-policy"] == "no-referrer"
    assert given.headers["cache-control"] == "no-store"


def test_a_request_that_holds_too_much_is_refused_whether_it_says_so_or_not(monkeypatch: pytest.MonkeyPatch):
    client = pytest.importorskip("starlette.testclient")
    from starlette.requests import ClientDisconnect, Request

    ends: list[object] = []

    async def page(scope, receive, send):
        try:
            ends.append(len(await Request(scope, receive).body()))
        except ClientDisconnect:
            ends.append("gone")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    monkeypatch.setattr(_guard, "MOST_BODY_BYTES", 1_000)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    made = client.TestClient(_guard.Guard(page, TOKEN), base_url="http://127.0.0.1:7860", headers=headers)

    assert made.post("/", content=b"x" * 1_001).status_code == 413
    made.post("/", content=(b"x" * 100 for _ in range(20)))
    made.post("/", content=b"x" * 1_000)
    assert ends == ["gone", 1_000]


def test_a_wrong_token_is_answered_without_the_right_one():
    told = asked("/?token=abcdefghijkm")

    assert "abcdefghij" not in told.text + str(told.headers)


def test_the_browser_is_told_to_load_nothing_of_other_machines():
    assert "default-src 'self'" in asked(Cookie=COOKIE).headers["content-security-policy"]


def test_a_token_is_made_where_none_is_given():
    from wakesmith.web import serve

    assert len(serve.token_for(None)) > 20
    assert serve.token_for(TOKEN) == TOKEN
    with pytest.raises(ConfigError, match="12 or more"):
        serve.token_for("short")


def test_an_unfinished_line_of_the_log_is_left_for_the_next_look(tmp_path: Path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "metrics.jsonl").write_text(json.dumps({"step": 1, "loss": 2.0}) + '\n{"step": 2, "lo')

    assert _curves.log(tmp_path) == [{"step": 1, "loss": 2.0}]


def test_a_held_folder_names_its_process(tmp_path: Path):
    place = Run(run(tmp_path))

    with place.alone():
        assert _work.at_work(place.folder)


def test_a_file_is_heard_side_by_side_with_a_second_run(tmp_path: Path):
    from wakesmith.web import try_out

    for name, hz in (("low", 500), ("high", 1000)):
        tone_bundle.make(run(tmp_path, name) / "bundle", {name: hz})
    audio.write(tmp_path / "said.wav", tone_bundle.tone(1000, 1.0, 0.6, 3.0))

    alone = try_out.heard_file(tmp_path, "high", "", str(tmp_path / "said.wav"))
    both = try_out.heard_file(tmp_path, "low", "high", str(tmp_path / "said.wav"))

    assert "high: 1 detection<" in alone
    assert "low: 0 detections; high: 1 detection<" in both
    assert (alone.count("<polyline"), both.count("<polyline")) == (1, 2)


def test_the_microphone_is_heard_by_both_runs_at_once(tmp_path: Path):
    from wakesmith.web import try_out

    for name, hz in (("low", 500), ("high", 1000)):
        tone_bundle.make(run(tmp_path, name) / "bundle", {name: hz})
    said = tone_bundle.tone(500, 1.0, 0.6, 3.0, rate_hz=48_000)
    shown, streams = "", None
    for start in range(0, len(said), 19_200):
        stereo = np.stack([said[start : start + 19_200]] * 2, axis=1)
        shown, streams = try_out.heard_chunk(tmp_path, "low", "high", (48_000, np.int16(stereo * 32767)), streams)

    assert "low: 1 detection; high: 0 detections" in shown


@pytest.mark.parametrize("kind", ["int16", "float"])
def test_chunks_of_the_microphone_are_heard_as_the_whole_sound(kind: str):
    from wakesmith.web import try_out

    tone = tone_bundle.tone(500, 1.0, 0.6, 3.0, rate_hz=48_000)
    said = audio.to_int16(tone) if kind == "int16" else tone
    session = try_out.Session([], 48_000, said)

    made = np.concatenate([session.converted(said[start : start + 19_200]) for start in range(0, len(said), 19_200)])

    whole = audio.resample(tone, 48_000, 16_000)[: len(made)]
    assert len(made) > 2.9 * 16_000
    assert np.abs(made - whole).max() < 1e-4


def test_a_second_run_without_a_bundle_says_what_to_do(tmp_path: Path):
    from wakesmith.web import try_out

    tone_bundle.make(run(tmp_path, "low") / "bundle", {"low": 500})
    run(tmp_path, "planned")

    with pytest.raises(WakesmithError, match="planned: has no bundle yet"):
        try_out.bundles(tmp_path, "low", "planned")


WITHOUT_GRADIO = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "gradio":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from wakesmith.cli import main
main()
"""


def test_without_gradio_the_page_names_the_command_that_brings_it(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_GRADIO, "ui", "--runs", str(tmp_path), "--port", "0"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert done.stderr.splitlines() == ["wakesmith: the page needs the package gradio. Install it: pip install 'wakesmith[ui]'"]
