"""Other throats and other microphones, on the student's features alone: bands stretched, shifted and coloured by chance.

(B, T, F) -> (B, T, F). Stretching the frequency axis is vocal tract length perturbation (Jaitly and Hinton, ICML workshop
2013); what is said does not change by it, so the teacher's answer to the view still holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

N_KNOTS = 5


@dataclass(frozen=True)
class Perturbation:
    """Widest draws: `stretch` as a share of the frequency, `shift` in bands, `gain` in units of the features."""

    stretch: float
    shift: float
    gain: float

    def __call__(self, features: Tensor) -> Tensor:
        if self.stretch or self.shift:
            features = self._moved(features)
        return features + self._colour(features) if self.gain else features

    def _moved(self, features: Tensor) -> Tensor:
        n_rows, _, n_bands = features.shape
        stretch = 1 + self.stretch * _uniform(n_rows, features)  # (B, 1)
        at = torch.arange(n_bands, device=features.device) * stretch + self.shift * _uniform(n_rows, features)
        at = at.clamp(0, n_bands - 1)  # (B, F)
        low = at.floor().long().clamp(max=n_bands - 2)
        share = (at - low)[:, None]  # (B, 1, F)
        index = low[:, None].expand_as(features)
        return features.gather(2, index) * (1 - share) + features.gather(2, index + 1) * share

    def _colour(self, features: Tensor) -> Tensor:
        knots = self.gain * (2 * torch.rand(len(features), 1, N_KNOTS, device=features.device) - 1)
        return torch.nn.functional.interpolate(knots, features.shape[2], mode="linear", align_corners=True)


def _uniform(n_rows: int, like: Tensor) -> Tensor:
    return 2 * torch.rand(n_rows, 1, device=like.device) - 1
