"""The bundles of a run: where they lie, one as a zip file, and what to do with it next."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from wakesmith import bundle
from wakesmith import text as texts
from wakesmith.errors import BundleError
from wakesmith.report import card as model_card
from wakesmith.steps._targets import DEVICE
from wakesmith.steps.export import MAIN, OTHERS


def of(run: Path) -> dict[str, Path]:
    """Bundles by target, the float one first. Raises BundleError when there is none yet."""
    if not (made := _found(run)):
        raise BundleError(f"{run.name} has no bundle yet. Forge it to its end in the tab Forge, or run: wakesmith export {run}")
    return made


def is_there(run: Path, target: str) -> bool:
    return target in _found(run)


def _found(run: Path) -> dict[str, Path]:
    places = {MAIN: run / "bundle", **{path.name: path for path in sorted((run / OTHERS).glob("*"))}}
    return {name: path for name, path in places.items() if (path / bundle.CARD).is_file()}


def zipped(run: Path, target: str) -> Path:
    """A bundle as a zip that holds one folder, checked first. Raises BundleError for a damaged one."""
    place = of(run)[target]
    card = bundle.check(place)
    name = texts.file_name(card.phrase) or "phrase"
    name = name if target == MAIN else f"{name}-{target}"
    aside = Path(tempfile.mkdtemp(dir=os.environ.get("GRADIO_TEMP_DIR")))  # which goes with the server
    shutil.copytree(place, aside / name, ignore=shutil.ignore_patterns("begun.json", "whole.json"))
    return Path(shutil.make_archive(str(aside / name), "zip", aside, name))


def told(run: Path, target: str) -> str:
    """As Markdown: what it is, and what to do next, in the model card's words."""
    place = of(run)[target]
    card = bundle.load_card(place)
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    lead = f"`{card.model}`, {card.parameters:,} parameters; the folder takes {size / 1024:,.0f} KB. It lies in `{place}`."
    steps = model_card.on_device(card) if (place / DEVICE).is_dir() else []
    steps += model_card.places(card, str(place))
    if all(one.operating_point is None for one in card.phrases):
        lead += f" It was not evaluated yet and has no threshold: run `wakesmith evaluate {run}`."
    use = model_card.commercial_use(card)["answer"]
    licence = {"yes": "Its licences allow commercial use.", "no": "A licence of its data or teacher forbids commercial use."}
    end = f"{licence.get(use, 'Whether its licences allow commercial use is not known.')} `README.md` in it says more."
    return "\n\n".join([lead, "### What to do next", *(part for one in steps for part in one.parts), end])
