"""The documents keep their word: commands, options, keys, targets, links and error texts exist, and their code runs."""

import ast
import contextlib
import io
import itertools
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest
import typer
import yaml

from tests import docs_parts, scripts, tone_bundle
from tests.docs_parts import DOCS, PAGES, ROOT, named
from wakesmith import audio, config, registry, schema
from wakesmith.cli import app
from wakesmith.steps import _recipe

KEYS = {key.path: key for key in schema.keys(_recipe.Recipe)}
COMMANDS = typer.main.get_command(app).commands
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FIGURE = re.compile(r"\d ?(%|[kMG]B\b|times as\b)")
NAMES_A_COMMAND = re.compile(
    r"`[^`\n]*\b(wakesmith|python|make|torchrun) |^ *```\n.*?(wakesmith|python|make) |\(log\.md", re.M | re.S
)

every_page = pytest.mark.parametrize("page", PAGES, ids=named)


def told_lines(page: Path) -> list[list[str]]:
    """Command lines in blocks, and inline ones."""
    return [*docs_parts.command_lines(page), *map(docs_parts.words, docs_parts.mentions(page))]


def after(name: str, line: list[str]) -> list[str] | None:
    """The words after a program's name, however it is started; None where the line does not start it."""
    for at, word in enumerate(line):
        if word == name or word.endswith(f"/{name}"):
            return line[at + 1 :] if at == 0 or line[0] in ("sudo", "source", "ExecStart") else None
    return None


def settings_of(line: list[str]) -> list[str]:
    return [value for option, value in itertools.pairwise(line) if option == "--set"]


def check_key(path: str) -> None:
    """A key of the recipe, a section of it, or a key of a part that it names."""
    if path in KEYS or any(key.startswith(f"{path}.") for key in KEYS):
        return
    section, _, own = path.rpartition(".")
    assert section in KEYS, f"no setting {path}"
    kind = KEYS[section].part_of
    found = {key.path for name in registry.names(kind) for key in schema.keys(registry.load(kind, name).Config)}
    assert own in found | {"name"}, f"no part of {kind} has a key {own}"


@every_page
def test_every_command_and_option_exists(page: Path):
    for line in told_lines(page):
        given = after("wakesmith", line)
        if not given or given[0].startswith("[") or given[0] == "--help":
            continue
        assert given[0] in COMMANDS, f"{named(page)}: wakesmith {given[0]}"
        known = {option for param in COMMANDS[given[0]].params for option in param.opts} | {"--help"}
        assert {word for word in given if word.startswith("--")} <= known, line


@every_page
def test_every_command_in_a_block_is_whole(page: Path):
    for line in docs_parts.command_lines(page):
        given = after("wakesmith", line)
        if given and "--help" not in given:
            command = COMMANDS[given[0]]
            try:
                command.make_context(given[0], given[1:])
            except click.ClickException as error:
                pytest.fail(f"{named(page)}: {' '.join(line)}: {error.format_message()}")


@every_page
def test_every_setting_exists_and_takes_its_value(page: Path):
    for line in told_lines(page):
        given = settings_of(line)
        for one in given:
            check_key(one.partition("=")[0])
        if given and after("wakesmith", line):
            _recipe.load({"phrase": "hey nova"}, *map(config.assignment, given))


@every_page
def test_every_key_that_is_named_exists(page: Path):
    first = {path.partition(".")[0] for path in KEYS if "." in path}
    for code in docs_parts.mentions(page):
        if (
            re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)+", code)
            and code.partition(".")[0] in first
            and not code.endswith((".npy", ".jsonl", ".py"))
        ):
            check_key(code)


@every_page
def test_every_make_target_and_script_exists(page: Path):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    for line in told_lines(page):
        if line[:1] == ["make"] and len(line) > 1:
            assert set(line[1:]) <= targets, line
        for word in line:
            if re.fullmatch(r"(benchmarks|examples)/[\w/]+\.(py|yaml)", word):
                assert (ROOT / word).is_file(), f"{named(page)}: {word}"
                options = [option for option in line if option.startswith("--") and word.endswith(".py")]
                source = "".join(path.read_text() for path in (ROOT / word).parent.glob("*.py"))
                assert all(f'"{option}"' in source for option in options), line


@every_page
def test_every_link_leads_somewhere(page: Path):
    for target in LINK.findall(docs_parts.prose(page)):
        if not target.startswith(("http://", "https://")):
            path, _, anchor = target.partition("#")
            there = (page.parent / path).resolve() if path else page
            assert there.exists(), f"{named(page)}: {target}"
            assert not anchor or anchor in docs_parts.anchors(there), f"{named(page)}: {target}"


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "log.md"],
    ids=lambda page: named(page),
)
def test_every_figure_stands_beside_its_command(page: Path):
    for section in docs_parts.sections(page):
        assert not FIGURE.search(section) or NAMES_A_COMMAND.search(section), f"{named(page)}: {section[:200]}"


@every_page
def test_plain_values_in_the_documents_are_read(page: Path, monkeypatch):
    for block in docs_parts.blocks(page, "toml"):
        tomllib.loads(block.code)
    for block in docs_parts.blocks(page, "yaml"):
        values = yaml.safe_load(block.code)
        if values.keys() <= _recipe.Recipe.model_fields.keys():
            _recipe.load({"phrase": "hey nova"}, values)


PYTHON = [block for page in PAGES for block in docs_parts.blocks(page, "python")]


@pytest.mark.parametrize("block", [block for block in PYTHON if not block.title], ids=lambda block: block.name)
def test_the_python_of_the_documents_runs(block: docs_parts.Block, tmp_path: Path, monkeypatch):
    tone_bundle.make(tmp_path / "runs" / "hey_nova" / "bundle", {"hey nova": 1_000})
    heard = tone_bundle.tone(1_000, 0.5, 0.6, 2.0)
    audio.write(tmp_path / "hello.wav", heard)
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as told:
        exec(compile(block.code, named(block.page), "exec"), {"samples": heard})

    assert "hey nova" in told.getvalue()


# The parts that docs/parts.md shows, as a package of its own


@pytest.fixture
def installed(tmp_path: Path, monkeypatch):
    """my_words with every part of the page, found through its entry points as pip would leave them."""
    shown = {block.title.removesuffix(".py"): block for block in docs_parts.blocks(DOCS / "parts.md", "python")}
    kinds = {"logit_mse": "losses", "narrow": "students", "log_energy": "teachers", "beeps": "voices", "hum": "augment"}
    kinds |= {"weights": "exporters"}
    assert shown.keys() == kinds.keys()
    package, info = tmp_path / "my_words", tmp_path / "my_words-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-words\nVersion: 1.0\n")
    lines = []
    for name, kind in kinds.items():
        (package / f"{name}.py").write_text(shown[name].code)
        lines.append(f"[wakesmith.{kind}]\n{name} = my_words.{name}\n")
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    yield kinds
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_words"]:
        del sys.modules[name]


def test_the_student_of_the_page_is_that_of_the_example():
    (shown,) = (block for block in docs_parts.blocks(DOCS / "parts.md", "python") if block.title == "narrow.py")

    assert (ROOT / "examples" / "own_student" / "my_words" / "narrow.py").read_text() == shown.code


def test_the_parts_of_the_page_are_found_and_their_keys_checked(installed: dict[str, str]):
    for name, kind in installed.items():
        assert name in registry.names(kind)
        assert config.part(kind, name).name == name
        with pytest.raises(config.ConfigError, match="unknown key"):
            config.part(kind, name, nonsense=1)
    recipe = _recipe.load(
        {"phrase": "hey nova", "student": {"name": "narrow", "width": 8}, "losses": ["cross_entropy", "logit_mse"]}
    )
    assert (recipe.student.width, recipe.losses[1].temperature) == (8, 2.0)


def test_the_loss_of_the_page_is_zero_where_student_and_teacher_agree(installed):
    import torch

    from wakesmith.losses._base import Answers, Moment

    loss = registry.build("losses", config.part("losses", "logit_mse"), 8, 8, 4)
    logits, labels = torch.randn(5, 4), torch.zeros(5, dtype=torch.long)
    same, other = (loss(Answers(logits, logits, labels, theirs, logits), Moment(0, 1)) for theirs in (logits, logits + 1))

    assert torch.equal(same, torch.zeros(5))
    assert (other > 0).all()


def test_the_student_and_the_exporter_of_the_page_keep_their_contracts(installed, tmp_path: Path):
    import torch
    from safetensors.torch import load_file

    from wakesmith.exporters._listener import Listener

    student = registry.build("students", config.part("students", "narrow"), 40, 150, 4).eval()
    features, state, streamed = torch.randn(1, 152, 40), student.initial_state(), []
    for chunk in features.split(student.hop_frames, dim=1):
        logits, state = student.step(chunk, state)
        streamed.append(logits[0])
    listener = Listener(registry.build("features", config.part("features", "log_mel")), student)
    registry.build("exporters", config.part("exporters", "weights")).export(listener, tmp_path / "model.safetensors")

    assert torch.cat(streamed)[-1].tolist() == pytest.approx(student(features)[0][0].tolist(), abs=1e-4)
    assert load_file(tmp_path / "model.safetensors").keys() == listener.state_dict().keys()


def test_the_teacher_of_the_page_answers_a_clip_alone_as_in_a_batch(installed):
    import torch

    teacher = registry.build("teachers", config.part("teachers", "log_energy"))
    clips = torch.randn(3, 24_000)
    together = teacher.encode(clips)

    assert together.shape[:2] == (3, 1)
    assert together.shape[3] == teacher.hidden_size
    assert torch.allclose(teacher.encode(clips[:1]), together[:1], atol=1e-5)
    assert registry.build("teachers", config.part("teachers", "log_energy", floor=1e-3)).fingerprint() != teacher.fingerprint()


def test_the_voice_and_the_effect_of_the_page_follow_their_seed(installed):
    import numpy as np

    from wakesmith.rng import rng
    from wakesmith.voices._base import Utterance

    voice = registry.build("voices", config.part("voices", "beeps"))
    once, again, other = (voice.say(Utterance("hey"), "low", rng(seed)) for seed in (1, 1, 2))
    effect = registry.build("augment", config.part("augment", "hum", probability=1))
    drawn = effect.draw(rng(1), None, None)
    heard = effect.apply(np.zeros(16_000, np.float32), drawn, None)

    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    assert heard.dtype == np.float32
    assert np.abs(heard).max() == pytest.approx(drawn["gain"], rel=0.01)


# Texts that the program prints


@cache
def printed() -> str:
    """Every string of the source, pieces of one joined, with a gap where a value is filled in."""
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_the_texts_of_the_troubleshooting_are_those_of_the_program():
    page = DOCS / "troubleshooting.md"
    texts = [line for block in docs_parts.blocks(page, "text") for line in block.code.splitlines()]
    rows = re.findall(r"^\| `([^`]+)` \|", docs_parts.prose(page), re.M)

    assert len(texts) > 20
    for text in [*texts, *rows]:
        for piece in text.split("…"):
            if len(piece.strip(" .,:'")) > 3:
                assert piece.strip() in printed(), text


def test_the_licences_of_voices_are_those_that_cards_name():
    rows = re.findall(r"^\| (espeak|hibari|kokoro) \| [^|]+ \| ([^|]+) \|$", docs_parts.prose(DOCS / "licences.md"), re.M)

    assert len(rows) == 3
    assert all(f'licence = "{told}"' in (ROOT / "src" / "wakesmith" / "voices" / f"{name}.py").read_text() for name, told in rows)


# Pages that are made from the code


@pytest.fixture(scope="module")
def hooks():
    pytest.importorskip("mkdocs", reason="the extra `dev` is not installed")
    return scripts.loaded("docs/hooks.py")


def test_every_key_stands_in_the_configuration_reference(hooks):
    text = hooks.recipe() + hooks.parts()

    assert all(f"| `{path}` |" in text for path in KEYS)
    for kind in registry.KINDS:
        for name in registry.names(kind):
            assert f"### {name}\n" in text
            assert all(f"| `{key.path}` |" in text for key in schema.keys(registry.load(kind, name).Config))


def test_every_command_and_key_of_the_card_stands_in_its_reference(hooks):
    from wakesmith.card import Card

    assert all(f"### {name}\n" in hooks.commands() for name in COMMANDS)
    assert all(f"| `{name}` |" in hooks.card() for name in Card.model_fields)


def test_every_generated_table_has_its_place(hooks):
    marks = [mark for page in DOCS.glob("*.md") for mark in hooks.MARK.findall(page.read_text(encoding="utf-8"))]

    assert sorted(marks) == sorted(hooks.GENERATED)


def test_links_out_of_the_documents_lead_to_pages_of_the_site_or_to_none(hooks):
    text = "[a](../examples/wyoming/README.md#x) [b](../Makefile) [c](log.md)"

    assert hooks.linked(text, "devices.md") == "[a](examples/wyoming/README.md#x) b [c](log.md)"
    assert hooks.linked("[d](../../docs/log.md)", "examples/wyoming/README.md") == "[d](../../log.md)"


def test_a_list_right_under_its_paragraph_is_a_list_on_the_site_too(hooks):
    assert hooks.spaced("Rules\n- one\n  more\n- two\n```\na\n- b\n```\n") == "Rules\n\n- one\n  more\n- two\n```\na\n- b\n```\n"


def test_every_page_is_in_the_navigation():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]

    assert all(f": {page.name}" in nav for page in DOCS.glob("*.md"))


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_asks_nobody_else(tmp_path: Path):
    pytest.importorskip("material", reason="the extra `dev` is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    subprocess.run(command, cwd=ROOT, check=True)
    asked = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?https?://[^>]*")
    pages = list((tmp_path / "site").rglob("*.html"))

    assert len(pages) > 15
    assert [asked.findall(page.read_text(encoding="utf-8")) for page in pages] == [[] for _ in pages]
