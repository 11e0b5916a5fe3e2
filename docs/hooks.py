"""What MkDocs does while it builds: tables come from the code, and pages outside of docs/ join the site.

`<!-- generated: NAME -->` in a page is replaced by what GENERATED makes, so that no table of keys or options can grow stale.
"""

import posixpath
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from wakesmith import registry, schema
from wakesmith.card import Card, Measured, Misses, OperatingPoint, Phrase, Rate, Source
from wakesmith.config import Settings
from wakesmith.steps._recipe import Recipe

ROOT = Path(__file__).parent.parent
OUTSIDE = (
    "CONTRIBUTING.md",
    *(
        path.relative_to(ROOT).as_posix()
        for path in sorted(ROOT.glob("examples/**/README.md"))
        if "node_modules" not in path.parts
    ),
    "benchmarks/arena/README.md",
)
"""Pages that lie beside what they tell of."""
KINDS = {
    "voices": "speak.voices", "importers": "data.sources", "augment": "views.effects", "features": "features",
    "teachers": "teacher", "students": "student", "losses": "losses", "exporters": "export.targets",
}  # fmt: skip
"""Kind of part -> the key that names it."""
CARD_PARTS = (Card, Phrase, OperatingPoint, Measured, Misses, Rate, Source)
MARK = re.compile(r"<!-- generated: (\w+) -->")
STARTS = re.compile(r"- |\d+\. |\|")
PARAGRAPH = re.compile(r"(?!- |\d+\. |\||#|```)\S")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    for path in OUTSIDE:
        files.append(File.generated(config, path, content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    return spaced(linked(MARK.sub(lambda mark: GENERATED[mark[1]](), markdown), page.file.src_uri))


def spaced(markdown: str) -> str:
    """An empty line before each list and table that follows its paragraph at once: forges need none, this Markdown does."""
    made: list[str] = []
    in_code = False
    for line in markdown.split("\n"):
        in_code ^= line.lstrip().startswith("```")
        above = made[-1] if made else ""
        if not in_code and STARTS.match(line) and PARAGRAPH.match(above):
            made.append("")
        made.append(line)
    return "\n".join(made)


def linked(markdown: str, page: str) -> str:
    """Links that leave docs/ lead to the page on the site; to a file that is none, they become its name."""
    source = page if page in OUTSIDE else f"docs/{page}"

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        there = target.removeprefix("docs/")
        if not target.startswith("docs/") and target not in OUTSIDE:
            return match[1]
        return f"[{match[1]}]({posixpath.relpath(there, posixpath.dirname(page) or '.')}{match[3] or ''})"

    return LINK.sub(moved, markdown)


def recipe() -> str:
    """Every key of a run's config.yaml, section by section."""
    sections: dict[str, list[schema.Key]] = {}
    for key in schema.keys(Recipe):
        section = key.path.partition(".")[0] if "." in key.path else "The run"
        sections.setdefault(section, []).append(key)
    return "\n\n".join(f"### {name}\n{keys_table(keys)}" for name, keys in sections.items())


def parts() -> str:
    """Every part of every kind with its own keys."""
    return "\n\n".join(f"## {kind}\nNamed by `{key}`.\n\n{_of_kind(kind)}" for kind, key in KINDS.items())


def _of_kind(kind: str) -> str:
    return "\n\n".join(_of_part(kind, name) for name in registry.names(kind))


def _of_part(kind: str, name: str) -> str:
    module = registry.load(kind, name)
    first = " ".join((module.__doc__ or "").split("\n\n")[0].split())
    own = list(schema.keys(module.Config))
    return f"### {name}\n{_cell(first)}\n\n{keys_table(own) if own else 'It has no keys.'}"


def card() -> str:
    """Every key of card.json."""
    return "\n\n".join(f"### {one.__name__}\n{(one.__doc__ or '').strip()}\n\n{_of_model(one)}" for one in CARD_PARTS)


def _of_model(model: type[Settings]) -> str:
    return keys_table(schema.keys(model))


def keys_table(keys: Iterable[schema.Key]) -> str:
    head = ["| key | type | default | allowed | what it does |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(_key_row(key) for key in keys)])


def _key_row(key: schema.Key) -> str:
    cells = [f"`{key.path}`", key.type, f"`{key.default}`" if key.default else "must be given", key.allowed, key.text]
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def commands() -> str:
    """Every command with its arguments and options, as the program has them."""
    import typer

    from wakesmith.cli import app

    found: Any = typer.main.get_command(app)
    return "\n\n".join(_command(name, one) for name, one in found.commands.items())


def _command(name: str, one: Any) -> str:
    words = " ".join(_word(given) for given in one.params if given.param_type_name == "argument")
    options = [given for given in one.params if given.param_type_name == "option"]
    rows = [f"| `{given.opts[0]}` | {_default(given)} | {_cell(given.help or '')} |" for given in options]
    table = "\n".join(["| option | default | what it does |", "|---|---|---|", *rows])
    return f"### {name}\n`wakesmith {name} {words}`\n\n{one.help}\n\n{table}"


def _word(argument: Any) -> str:
    shown = argument.name.upper() + (" ..." if argument.nargs == -1 else "")
    return shown if argument.required else f"[{shown}]"


def _default(option: Any) -> str:
    if option.is_flag or option.default is None:
        return ""
    return f"`{option.default}`"


GENERATED: dict[str, Callable[[], str]] = {"recipe": recipe, "parts": parts, "card": card, "commands": commands}
