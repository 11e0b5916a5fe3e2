"""What the documents hold: pages, code blocks, commands, sections."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "arena" / "README.md", *sorted(DOCS.glob("*.md")),
    *(path for path in sorted((ROOT / "examples").rglob("README.md")) if "node_modules" not in path.parts),
]  # fmt: skip
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)(?P<rest>[^\n]*)\n(?P<code>.*?)^(?P=indent)```", re.M | re.S)
INLINE = re.compile(r"`([^`\n]+)`")
SHELL = ("", "console", "bash", "sh")


@dataclass(frozen=True)
class Block:
    page: Path
    language: str
    code: str
    title: str = ""

    @property
    def name(self) -> str:
        return f"{named(self.page)}: {self.code.strip().splitlines()[0][:60] if self.code.strip() else ''}"


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    """Fenced blocks of a page in the languages named."""
    for found in FENCE.finditer(page.read_text(encoding="utf-8")):
        if found["language"] in languages:
            title = re.search(r'title="([^"]+)"', found["rest"])
            yield Block(page, found["language"], textwrap.dedent(found["code"]), title[1] if title else "")


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def command_lines(page: Path) -> Iterator[list[str]]:
    """Each line of the shell blocks of a page in words, comments left out; those that continue are joined."""
    for block in blocks(page, *SHELL):
        for line in block.code.replace("\\\n", " ").splitlines():
            yield words(line)


def mentions(page: Path) -> Iterator[str]:
    """Every piece of inline code."""
    yield from INLINE.findall(prose(page))


def words(line: str) -> list[str]:
    """A shell line in words; none where it is no shell line, as the drawing of a road."""
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return []


def sections(page: Path) -> Iterator[str]:
    """A page from heading to heading, blocks included."""
    text, at = page.read_text(encoding="utf-8"), 0
    for heading in re.finditer(r"^#{1,6} .*$", FENCE.sub(lambda block: " " * len(block[0]), text), re.M):
        yield text[at : heading.start()]
        at = heading.start()
    yield text[at:]


def anchors(page: Path) -> set[str]:
    """What a link may point at in a page, as MkDocs and forges name headings."""
    heads = re.findall(r"^#{1,6} (.*)$", prose(page), re.M)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", head.lower()).strip()) for head in heads}
