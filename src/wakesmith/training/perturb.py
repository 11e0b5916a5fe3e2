"""Other throats and other microphones, on the student's features alone: bands stretched, shifted and coloured by chance.

(B, T, F) -> (B, T, F). Stretching the frequency axis is vocal tract length perturbation (Jaitly and Hinton, ICML workshop
2013); what is said does not change by it, so the teacher's answer to the view still holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wakesmith.data.sampling import N_CHANCES

N_KNOTS = N_CHANCES - 2


@dataclass(frozen=True)
class Perturbation:
    """Widest draws: `stretch` as a share of the frequency, `shift` in bands, `gain` in units of the features."""

    stretch: float
    shift: float
    gain: float

    def __call__(self, features: Tensor, chances: Tensor) -> Tensor:
        """`chances`: (B, N_CHANCES) uniform numbers that belong to the rows."""
        drawn = 2 * chances - 1
        if self.stretch or self.shift:
            features = self._moved(features, drawn[:, :1], drawn[:, 1:2])
        return features + self._colour(features.shape[2], drawn[:, 2:]) if self.gain else features

    def _moved(self, features: Tensor, stretch: Tensor, shift: Tensor) -> Tensor:
        bands = torch.arange(features.shape[2], device=features.device)
        at = (bands * (1 + self.stretch * stretch) + self.shift * shift).clamp(0, features.shape[2] - 1)  # (B, F)
        # Between two neighbours along a line, as a product with (B, F, F): six times as fast as to gather both
        return features @ (1 - (bands[:, None] - at[:, None]).abs()).clamp_min(0)

    def _colour(self, n_bands: int, knots: Tensor) -> Tensor:
        """(B, N_KNOTS) -> (B, 1, F)."""
        return torch.nn.functional.interpolate(self.gain * knots[:, None], n_bands, mode="linear", align_corners=True)
