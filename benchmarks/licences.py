"""Licences of the packages that constraints/py311.txt pins, as their own metadata tell: Markdown for docs/licences.md.

python benchmarks/licences.py
"""

from __future__ import annotations

import re
from collections import defaultdict
from importlib.metadata import PackageMetadata, PackageNotFoundError, distribution
from pathlib import Path

CONSTRAINTS = Path(__file__).parent.parent / "constraints" / "py311.txt"
SPDX = {
    "mit": "MIT", "mit license": "MIT", "apache": "Apache-2.0", "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0", "apache-2": "Apache-2.0", "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0", "apache license version 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0", "bsd": "BSD", "bsd license": "BSD", "bsd-3": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause", "bsd 3-clause license": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause", "isc license (iscl)": "ISC", "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "mpl 2.0": "MPL-2.0", "python software foundation license": "PSF-2.0",
    "gnu general public license v3 or later (gplv3+)": "GPL-3.0-or-later", "gplv3+": "GPL-3.0-or-later",
    "gnu lesser general public license v2 or later (lgplv2+)": "LGPL-2.1-or-later", "lgplv2.1+": "LGPL-2.1-or-later",
    "the unlicense (unlicense)": "Unlicense", "hpnd": "HPND",
}  # fmt: skip
"""What packages call a licence, in small letters -> its SPDX name."""
ELSEWHERE = {
    "espeakng-loader": "GPL-3.0-or-later", "pyroomacoustics": "MIT", "tflite-micro": "Apache-2.0",
}  # fmt: skip
"""Of packages whose metadata tell none: what their sources say."""
CLASSIFIER = "License :: OSI Approved :: "
LONGEST_NAME = 60
"""A longer `License` is the text itself."""


def pinned() -> list[str]:
    """Names in the constraints, in their order."""
    return re.findall(r"^([A-Za-z0-9._-]+)==", CONSTRAINTS.read_text(encoding="utf-8"), re.M)


def licence(told: PackageMetadata) -> str:
    """By its SPDX expression, else its classifiers, else its field `License`."""
    expression = told.get("License-Expression")
    if expression:
        return str(expression)
    named = [one.removeprefix(CLASSIFIER) for one in told.get_all("Classifier") or [] if one.startswith(CLASSIFIER)]
    field = str(told.get("License") or "").strip()
    if not named and field and len(field) <= LONGEST_NAME:
        named = [field]
    return " AND ".join(sorted({SPDX.get(one.lower(), one) for one in named})) or "not told"


def found() -> dict[str, str]:
    """Package -> licence, of those that are installed here."""
    made = {}
    for name in pinned():
        try:
            one = distribution(name)
        except PackageNotFoundError:
            continue
        if "_vendor" not in str(one.locate_file("")):  # a copy inside of setuptools, which puts it on the path, is not installed
            made[name] = ELSEWHERE.get(name) or licence(one.metadata)
    return made


def table(licences: dict[str, str]) -> str:
    """A row a licence."""
    groups = defaultdict(list)
    for name, one in licences.items():
        groups[one].append(name)
    rows = [f"| {one} | {', '.join(sorted(names))} |" for one, names in sorted(groups.items())]
    return "\n".join(["| licence | packages |", "|---|---|", *rows])


if __name__ == "__main__":
    print(table(found()))
