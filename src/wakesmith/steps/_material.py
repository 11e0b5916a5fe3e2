"""What a student learns from: clips, features and answers of a run and of its rounds, end to end and numbered through."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakesmith.data.audio_store import AudioStore
from wakesmith.data.joined import Answered, Joined, JoinedAnswers
from wakesmith.data.lazy import Chained
from wakesmith.data.records import Clip, Recording
from wakesmith.data.views import ViewStore

if TYPE_CHECKING:
    from wakesmith.steps._recipe import Recipe
    from wakesmith.steps._rounds import Round


@dataclass(frozen=True)
class Material:
    folder: Path
    rounds: Sequence[Round] = ()

    @property
    def folders(self) -> list[Path]:
        """Each holds prepare, views and, when a teacher was asked, label."""
        return [self.folder, *(one.folder for one in self.rounds)]

    @cached_property
    def _stores(self) -> list[AudioStore]:
        return [AudioStore.open(folder / "prepare") for folder in self.folders]

    @cached_property
    def clips(self) -> Sequence[Clip]:
        return Chained([store.clips for store in self._stores])

    @property
    def sizes(self) -> list[int]:
        """Clips of the run, and of each round."""
        return [len(store.clips) for store in self._stores]

    @property
    def recordings(self) -> Mapping[str, Recording]:
        """By id; of a round, where it has one of the same id."""
        return ChainMap(*(store.recordings for store in reversed(self._stores)))  # type: ignore[arg-type]

    def features(self, recipe: Recipe, out: Path) -> Any:
        """(n_clips, K, T, F), an array or `Joined`."""
        from wakesmith.steps.train import features_of

        names = ["features.npy", *(f"features-{one.name}.npy" for one in self.rounds)]
        made = [features_of(recipe, folder, out, name) for folder, name in zip(self.folders, names, strict=True)]
        return Joined(made) if self.rounds else made[0]

    def answers(self, recipe: Recipe) -> tuple[Any, Any, int]:
        """Where the answers come from, the live teacher if there is one, and the size of the teacher's embedding."""
        from wakesmith.data.targets import TargetStore
        from wakesmith.training.live import LiveViews

        sources: Sequence[Answered]
        if recipe.train.targets == "cached":
            stores = [TargetStore.open(folder / "label") for folder in self.folders]
            sources, teacher, size = stores, None, stores[0].embedding_size
        else:
            from wakesmith.teachers._card import load_teacher

            teacher = load_teacher(self.folder / "teach")
            sources, size = [LiveViews(ViewStore.open(folder / "views")) for folder in self.folders], teacher.embedding_size
        return (JoinedAnswers(sources, self.sizes) if self.rounds else sources[0]), teacher, size
