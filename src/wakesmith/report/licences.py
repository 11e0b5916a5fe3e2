"""Whether the licence of a recording or a teacher allows commercial use. A small table of what is known; no legal advice."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Answer = Literal["yes", "no", "unknown"]
WORST_FIRST: tuple[Answer, ...] = ("no", "unknown", "yes")
NAME_OWNERS = "its authors must be named"
KEEP_NOTICE = "its notice must be kept"
SHARE_ALIKE = "what is derived from it keeps its licence; whether a model is derived is not settled"

TABLE: list[tuple[str, Answer, str]] = [
    (r"cc0(-1\.0)?|(licenseref-)?public-domain|pddl(-1\.0)?|unlicense|0bsd", "yes", "it has no conditions"),
    (r"none-needed", "yes", "it was generated"),
    (r"(licenseref-)?speechocean762(-free)?", "yes", "its makers allow every purpose"),
    (r"cc-by(-\d\.\d)?|odc-by(-1\.0)?", "yes", NAME_OWNERS),
    (r"cc-by-sa(-\d\.\d)?|odbl(-1\.0)?", "yes", f"{NAME_OWNERS}; {SHARE_ALIKE}"),
    (r"cc-by-nc(-sa|-nd)?(-\d\.\d)?", "no", "it is for non-commercial use alone"),
    (r"cc-by-nd(-\d\.\d)?", "unknown", "it allows no derived works, and whether a model is one is not settled"),
    (r"apache-2\.0|mit|bsd(-[0-4]-clause)?|isc|zlib|cdla-permissive-\d\.\d", "yes", KEEP_NOTICE),
    (r"(a|l)?gpl-\d(\.\d)?(-only|-or-later|\+)?|mpl-2\.0", "yes", SHARE_ALIKE),
    (r"made-with-espeak-ng.*", "yes", "the program is GPL, what it says is its user's"),
    (r"own|own-recordings?", "yes", "they are your own; who speaks in them must have agreed"),
    (r"non-?commercial.*|research-only|for-research.*", "no", "it is for non-commercial use alone"),
]
"""Whole licences, in small letters with - for spaces: whether commercial use is allowed, and why."""


def commercial(licence: str) -> tuple[Answer, str]:
    """`CC-BY-4.0`, `Kokoro-82M (Apache-2.0)` or several with ` + ` between them -> yes, no or unknown, with the reason."""
    parts = [_one(part) for part in licence.split(" + ")]
    return min(parts, key=lambda found: WORST_FIRST.index(found[0]))


def worst(answers: Iterable[Answer]) -> Answer:
    """What holds of all together; of nothing, unknown."""
    return min(answers, key=WORST_FIRST.index, default="unknown")


def _one(licence: str) -> tuple[Answer, str]:
    named = re.fullmatch(r"[\w .-]+\(([^()]+)\)", licence)
    for text in (licence, named.group(1) if named else licence):
        name = re.sub(r"[\s_-]+", "-", text.strip().lower())
        for pattern, answer, reason in TABLE:
            if re.fullmatch(pattern, name):
                return answer, reason
    if name in ("", "unknown"):
        return "unknown", "nobody said under which licence it is: ask its source"
    return "unknown", "it is not in our table: read it"
