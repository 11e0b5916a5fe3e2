"""Other throats and other microphones, on the student's features alone: bands mixed, stretched, shifted and coloured by chance.

(B, T, F) -> (B, T, F). Stretching the frequency axis is vocal tract length perturbation (Jaitly and Hinton, ICML workshop
2013). To mix is to take over, in part, how loud each band is in another row and how much it moves: MixStyle (Zhou et al.,
ICLR 2021, arXiv 2104.02008) over frequencies (Kim et al., arXiv 2111.06531). So what a synthetic voice says sounds as if
through the microphone of another recording, and that a voice is real no longer tells the class. What is said does not change
by any of it, so the teacher's answer to the view still holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wakesmith.data.sampling import N_CHANCES

N_KNOTS = N_CHANCES - 5
LEAST_SPREAD = 0.1
"""Units of the features: a band that hardly moves is not blown up."""


@dataclass(frozen=True)
class Perturbation:
    """Widest draws: `stretch` as a share of the frequency, `shift` in bands, `gain` in units of the features.

    `mix`: share of the rows that take over another's bands.
    """

    stretch: float
    shift: float
    gain: float
    mix: float = 0.0

    def __call__(self, features: Tensor, chances: Tensor, others: Tensor | None = None) -> Tensor:
        """chances (B, N_CHANCES): uniform numbers, a row's own. others (B, 2, F): the `style` that each row is mixed with."""
        drawn = 2 * chances[:, :-3] - 1
        if self.mix:
            assert others is not None, "the batch holds no styles to mix with"
            features = self._mixed(features, others, *chances[:, -2:].T)
        if self.stretch or self.shift:
            features = self._moved(features, drawn[:, :1], drawn[:, 1:2])
        return features + self._colour(features.shape[2], drawn[:, 2:]) if self.gain else features

    def _mixed(self, features: Tensor, others: Tensor, whether: Tensor, how_much: Tensor) -> Tensor:
        own = style(features)
        share = (whether < self.mix) * torch.sin(torch.pi / 2 * how_much) ** 2  # of the other: Beta(1/2, 1/2), mostly one or none
        level, spread = torch.lerp(own, others, share[:, None, None])[:, :, None].unbind(1)  # (B, 1, F) each
        return (features - own[:, None, 0]) / own[:, None, 1] * spread + level

    def _moved(self, features: Tensor, stretch: Tensor, shift: Tensor) -> Tensor:
        bands = torch.arange(features.shape[2], device=features.device)
        at = (bands * (1 + self.stretch * stretch) + self.shift * shift).clamp(0, features.shape[2] - 1)  # (B, F)
        # Between two neighbours along a line, as a product with (B, F, F): six times as fast as to gather both
        return features @ (1 - (bands[:, None] - at[:, None]).abs()).clamp_min(0)

    def _colour(self, n_bands: int, knots: Tensor) -> Tensor:
        """(B, N_KNOTS) -> (B, 1, F)."""
        return torch.nn.functional.interpolate(self.gain * knots[:, None], n_bands, mode="linear", align_corners=True)


def style(features: Tensor) -> Tensor:
    """(B, T, F) -> (B, 2, F): mean and standard deviation of each band over time."""
    spread, level = torch.std_mean(features, dim=1, correction=0)
    return torch.stack([level, spread.clamp_min(LEAST_SPREAD)], dim=1)
