"""Other speech for a run, from Debian's packages of prompts and words: about 8 hours in many languages, split by speaker.

    python benchmarks/debian_speech.py FOLDER

Fetches the packages with `apt-get download` (nothing is installed), turns their sounds into Opus at 16 kHz by ffmpeg and writes
FOLDER/manifest.csv, which `real_voices.py --speech` takes. A language of a package is a speaker; none is in two splits.
What is there is not made again. The licences are those of the packages (CC BY-SA, CC BY, GPL, BSD-like).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from wakesmith import audio
from wakesmith.errors import WakesmithError
from wakesmith.progress import track

LICENCES = {
    **{f"asterisk-core-sounds-{language}-g722": "CC BY-SA 3.0" for language in ("en", "es", "fr", "it", "ru")},
    "asterisk-prompt-es-co": "GPL-2+",
    "asterisk-prompt-fr-armelle": "GPL",
    "asterisk-prompt-it-menardi-wav": "CC BY-SA 3.0",
    "tuxpaint-stamps-default": "GPL-2",
    "klettres-data": "GPL-2+",
    "ktuberling-data": "GPL-2+ and CC BY",
    "festvox-ru": "festvox-ru (BSD-like)",
}
"""Package -> licence of its sounds."""
LANGUAGES = {
    "tuxpaint-stamps-default": r"_desc_([a-z]{2}(?:_[A-Z]{2})?)\.ogg$",
    "klettres-data": r"/klettres/([a-zA-Z_@]{2,12})/",
    "ktuberling-data": r"/sounds/([a-zA-Z_@]{2,12})/",
}
"""Package of several speakers -> where a path names the language."""
DEV = {"asterisk-core-sounds-it-g722", "asterisk-prompt-it-menardi-wav", "asterisk-prompt-es-co", "asterisk-prompt-fr-armelle"}
DEV |= {f"tuxpaint-stamps-default {language}" for language in ("es", "el", "da", "lt")}
SOUNDS = (".g722", ".wav", ".ogg")
SHORTEST_S, LONGEST_S = 0.25, 120


class Found(NamedTuple):
    file: Path
    package: str
    speaker: str

    @property
    def split(self) -> str:
        """Of klettres and ktuberling every other language is dev, the same ones in both."""
        if self.package in ("klettres-data", "ktuberling-data"):
            return "dev" if hashlib.md5(self.speaker.split()[1].encode()).digest()[-1] % 2 else "train"
        return "dev" if self.speaker in DEV else "train"


def fetch(folder: Path) -> None:
    for package in LICENCES:
        place = folder / "packages" / package
        if place.is_dir():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", package], cwd=place.parent, check=True)
        (file,) = place.parent.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", file, place.with_suffix(".part")], check=True)
        place.with_suffix(".part").rename(place)
        file.unlink()


def sounds(folder: Path) -> Iterator[Found]:
    for package in LICENCES:
        for file in sorted((folder / "packages" / package).rglob("*")):
            if file.suffix not in SOUNDS or not file.is_file() or "silence" in str(file):
                continue
            named = re.search(LANGUAGES[package], str(file)) if package in LANGUAGES else None
            if named or package not in LANGUAGES:
                yield Found(file, package, f"{package} {named[1]}" if named else package)


def row(folder: Path, found: Found) -> dict[str, str] | None:
    """A line of the manifest; None for what is no sound, too short or too long."""
    made = folder / (hashlib.sha256(str(found.file.relative_to(folder)).encode()).hexdigest()[:16] + ".ogg")
    if not made.exists():
        raw = ["-f", "g722"] if found.file.suffix == ".g722" else []
        aside = made.with_suffix(".part.ogg")
        to_opus = ["-ac", "1", "-ar", "16000", "-c:a", "libopus", "-b:a", "24k", str(aside)]
        if subprocess.run(["ffmpeg", "-v", "error", "-y", *raw, "-i", str(found.file), *to_opus], capture_output=True).returncode:
            return None
        aside.rename(made)
    try:
        length_s = len(audio.read(made)) / audio.SAMPLE_RATE_HZ
    except WakesmithError:
        return None
    if not SHORTEST_S <= length_s <= LONGEST_S:
        return None
    columns = (
        made.name,
        "speech",
        found.speaker,
        found.split,
        f"debian {found.speaker}",
        LICENCES[found.package],
        f"{length_s:.2f}",
    )
    return dict(zip(("path", "label", "speaker", "split", "source", "licence", "duration_s"), columns, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    fetch(folder)
    found = list(sounds(folder))
    with ThreadPoolExecutor() as threads:
        made = [line for line in track(threads.map(lambda one: row(folder, one), found), "sounds", total=len(found)) if line]
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, made[0].keys())
        table.writeheader()
        table.writerows(made)
    hours: dict[str, float] = defaultdict(float)
    for line in made:
        hours[line["split"]] += float(line["duration_s"]) / 3600
    print(f"{len(made)} recordings, {', '.join(f'{split} {h:.2f} h' for split, h in hours.items())}")


if __name__ == "__main__":
    main()
