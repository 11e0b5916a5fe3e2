"""A live teacher's side of a batch: the samples that it will hear, in place of stored answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class LiveViews:
    """See `joined.Answered`."""

    def __init__(self, views: Any) -> None:
        self.views = views

    def batch(self, clips: npt.NDArray[np.intp], views: npt.NDArray[np.intp]) -> dict[str, np.ndarray]:
        """(B,), (B,) -> samples (B, N) float32."""
        return {"samples": np.stack([self.views.read(int(clip), int(view)) for clip, view in zip(clips, views, strict=True)])}
