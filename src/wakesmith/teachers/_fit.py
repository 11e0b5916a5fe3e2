"""Train a head on cached encodings, fit its calibration temperature on dev, and say how well it hears."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wakesmith.progress import track
from wakesmith.teachers._card import HeadSettings
from wakesmith.teachers._encodings import Kept
from wakesmith.teachers._head import MAX_FITTED, Head

WARM_UP_SHARE = 0.1


@dataclass(frozen=True)
class Encodings:
    """Pooled hidden states (N, L, S, D) fp16 and class numbers (N,)."""

    states: npt.NDArray[np.float16] | Kept
    labels: npt.NDArray[np.int64]

    def batch(self, rows: npt.NDArray[np.intp]) -> tuple[Tensor, Tensor]:
        """-> (B, L, S, D) float32, (B,)."""
        rows = np.sort(rows)  # a memory map is read in order
        return torch.from_numpy(self.states[rows]).float(), torch.from_numpy(self.labels[rows])


@dataclass(frozen=True)
class FitSettings:
    """How the head is trained."""

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    label_smoothing: float
    patience: int
    seed: int


def class_weights(labels: npt.NDArray[np.int64], n_classes: int) -> Tensor:
    """Weights that make every class present count the same; 0 for the absent. -> (C,)."""
    counts = np.bincount(labels, minlength=n_classes)
    present = (counts > 0).sum()
    return torch.tensor([len(labels) / (present * count) if count else 0.0 for count in counts], dtype=torch.float32)


def fit_head(settings: HeadSettings, how: FitSettings, train: Encodings, dev: Encodings, n_classes: int) -> Head:
    """AdamW with a warm-up and a cosine; the epoch with the lowest balanced loss on dev is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(how.seed)
        _, layers, segments, size = train.states.shape
        head = Head(settings, layers, segments, size, n_classes)
        if head.content is not None:
            rows = np.random.default_rng(how.seed).permutation(len(train.labels))[: -(-MAX_FITTED // segments)]
            head.content.fit(train.batch(rows)[0])
        return _fit(head, how, train, dev)


def _fit(head: Head, how: FitSettings, train: Encodings, dev: Encodings) -> Head:
    optimizer = torch.optim.AdamW(head.parameters(), lr=how.lr, weight_decay=how.weight_decay)
    n_batches = -(-len(train.labels) // how.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_share(step, how.epochs * n_batches, WARM_UP_SHARE))
    loss_of = nn.CrossEntropyLoss(class_weights(train.labels, head.classify.out_features), label_smoothing=how.label_smoothing)
    order = np.random.default_rng(how.seed)
    best, best_loss, waited = copy.deepcopy(head.state_dict()), float("inf"), 0
    for _ in track(range(how.epochs), "teach: head"):
        head.train()
        for rows in np.array_split(order.permutation(len(train.labels)), n_batches):
            states, labels = train.batch(rows)
            optimizer.zero_grad()
            loss_of(head(states)[0], labels).backward()
            nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        loss = balanced_loss(logits_of(head, dev), dev.labels)
        waited = waited + 1 if loss >= best_loss else 0
        if loss < best_loss:
            best, best_loss = copy.deepcopy(head.state_dict()), loss
        if waited >= how.patience:
            break
    head.load_state_dict(best)
    return head.eval()


def rate_share(step: int, n_steps: int, warm_up_share: float) -> float:
    """Share of the rate at a step: up along a line, then down along a cosine."""
    rising = round(warm_up_share * n_steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 + 0.5 * math.cos(math.pi * (step - rising) / max(1, n_steps - rising))


@torch.no_grad()
def logits_of(head: Head, encodings: Encodings, batch_size: int = 256) -> Tensor:
    """(N, C), not yet calibrated."""
    head.eval()
    rows = np.arange(len(encodings.labels))
    return torch.cat([head(encodings.batch(rows[at : at + batch_size])[0])[0] for at in range(0, len(rows), batch_size)])


def balanced_loss(logits: Tensor, labels: npt.NDArray[np.int64]) -> float:
    """Cross-entropy in which every class counts the same."""
    return float(nn.functional.cross_entropy(logits, torch.from_numpy(labels), class_weights(labels, logits.shape[1])))


def fit_temperature(logits: Tensor, labels: npt.NDArray[np.int64], lowest: float = 0.5, highest: float = 10.0) -> float:
    """The divisor of the logits with the lowest negative log-likelihood, to 1 %.

    Bounded below: on a dev set without a single error the likelihood would ask for ever sharper answers.
    """
    wanted = torch.from_numpy(labels)
    tried = np.geomspace(lowest, highest, 301)
    losses = [float(nn.functional.cross_entropy(logits / float(t), wanted)) for t in tried]
    return float(tried[int(np.argmin(losses))])
