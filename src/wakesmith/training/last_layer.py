"""The last layer once more, when the layers below it stand still: with much dropout, on the embeddings of the trained student.

What is trained together leans on what the training's voices alone share: a student's embedding may tell the phrase in a voice
that is new to it while its own last layer does not. A layer learned afterwards, most of whose inputs are left out each time,
reads the embedding evenly. After Kirichenko et al. 2022 (arXiv 2204.02937), who learn it on other data; here the rows stay and
the dropout is new. It takes seconds, and nothing at all where the student listens. Beside the rows it may learn from streams:
moments of other sound that come nearest to the phrase (`nearest`), and phrases of which the best moment counts (`said`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from wakesmith.losses._base import Answers, Loss, Moment, chosen
from wakesmith.progress import say

if TYPE_CHECKING:
    from wakesmith.data.sampling import BalancedSampler
    from wakesmith.training.nearest import Moments
    from wakesmith.training.said import Bags
    from wakesmith.training.trainer import Trainer

MOST_ROWS = 32_768
"""Whose embeddings lie in memory: drawn as the training draws them, each class and part with its share."""
BATCH, NEAR_BATCH, SAID_BATCH = 256, 128, 64
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.01


def refit(
    trainer: Trainer, n_steps: int, dropout: float, seed: int, near: Moments | None = None, said: Bags | None = None
) -> None:
    """Replace the last layer in the averaged weights, which ship. Losses on logits take part, as at their last step.

    `near` adds cross entropy with the labels of its moments, `said` that of the surest moment of each phrase.
    """
    heard = _heard(trainer, min(MOST_ROWS, n_steps * BATCH))
    own = {name: trainer.average.mean[f"head.{name}"] for name in ("weight", "bias")}
    n_classes, size = own["weight"].shape
    layer = nn.Linear(size, n_classes, device=own["weight"].device)
    layer.load_state_dict(own)
    losses = [part for part in trainer.learner.parts() if part.has_alpha or not part.needs_teacher]
    last = Moment(trainer.args.max_steps - 1, trainer.args.max_steps)
    before, after = learn(layer, heard, losses, last, n_steps, dropout, seed, near, said)
    for name, value in layer.state_dict().items():
        own[name].copy_(value)
    say(f"train: the last layer once more, {n_steps} steps: loss {before:.3f} -> {after:.3f}")


@torch.no_grad()
def _heard(trainer: Trainer, n_rows: int) -> Answers:
    """Rows as the training draws and perturbs them. -> embeddings of the averaged student (n, D), labels (n,) and the teacher's
    logits (n, C), NaN where it has no answer; the student's own logits are not kept."""
    from wakesmith.training.dataset import as_it_is

    data, collate = cast(Any, trainer.train_dataset), cast(Any, as_it_is)
    loader: Any = DataLoader(data, BATCH, sampler=trainer.sampler, collate_fn=collate)
    student, perturb, found = trainer.learner.student, trainer.learner.perturb, []
    with trainer.average.inside():
        student.eval()
        for batch in itertools.islice(_epochs(loader, trainer.sampler), -(-n_rows // BATCH)):
            batch = trainer.answer({name: value.to(trainer.args.device) for name, value in batch.items()})
            features = batch["features"] if perturb is None else perturb(batch["features"], batch["chances"])
            teacher = None
            if "answered" in batch:
                teacher = torch.where(batch["answered"][:, None], batch["teacher_logits"].float(), torch.nan)
            found.append((student(features)[1].float(), batch["labels"], teacher))
        student.train()
    embeddings, labels, logits = zip(*found, strict=True)
    return Answers(torch.empty(0), torch.cat(embeddings), torch.cat(labels), None if logits[0] is None else torch.cat(logits))


def _epochs(loader: Any, sampler: BalancedSampler) -> Iterator[Any]:
    for epoch in itertools.count():
        sampler.set_epoch(epoch)
        yield from loader


def learn(
    layer: nn.Linear, heard: Answers, losses: Sequence[Loss], moment: Moment, n_steps: int, dropout: float, seed: int,
    near: Moments | None = None, said: Bags | None = None,
) -> tuple[float, float]:  # fmt: skip
    """Train a layer on embeddings (n, D) with labels (n,) and, with a teacher, its logits (n, C);
    on moments near the phrase; and on phrases.

    -> mean loss of the first and of the last twentieth of the steps.
    """
    device = heard.embedding.device
    chance = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(layer.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    told = []
    for step in range(n_steps):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / n_steps)
        rows = torch.randint(len(heard.embedding), (BATCH,), generator=chance).to(device)
        passed = _left(heard.embedding[rows], dropout, chance)
        teacher = None if heard.teacher_logits is None else heard.teacher_logits[rows]
        loss = _loss(Answers(layer(passed), passed, heard.labels[rows], teacher), losses, moment)
        if near is not None and len(near.labels):
            rows = torch.randint(len(near.labels), (NEAR_BATCH,), generator=chance).to(device)
            loss = loss + nn.functional.cross_entropy(layer(_left(near.embedding[rows], dropout, chance)), near.labels[rows])
        if said is not None:
            rows = torch.randint(len(said.labels), (SAID_BATCH,), generator=chance).to(device)
            moments = said.embedding[rows].float()
            told_of = torch.log_softmax(layer(moments * _left(torch.ones_like(moments[:, :1]), dropout, chance)), dim=2)
            loss = loss - told_of.gather(2, said.labels[rows][:, None, None].expand(-1, moments.shape[1], 1)).amax(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        told.append(float(loss.detach()))
    some = max(1, n_steps // 20)
    return sum(told[:some]) / some, sum(told[-some:]) / some


def _left(embeddings: Tensor, dropout: float, chance: torch.Generator) -> Tensor:
    """(..., D) with a share of the values left out, the others larger for it."""
    kept = torch.rand(embeddings.shape, generator=chance) >= dropout
    return embeddings * kept.to(embeddings.device) / (1 - dropout)


def _loss(answers: Answers, losses: Sequence[Loss], moment: Moment) -> Tensor:
    """(1 - alpha) * hard + alpha * soft, each a mean over its rows, as in the training."""
    alpha = sum(part.weight(moment) for part in losses if part.has_alpha)
    total = answers.logits.new_zeros(())
    for part in losses:
        rows = answers.labels >= 0
        if part.has_alpha:
            assert answers.teacher_logits is not None
            rows = answers.teacher_logits.isfinite().all(dim=1)
        if bool(rows.any()):
            share = part.weight(moment) * (1.0 if part.has_alpha else 1.0 - alpha)
            total = total + share * part(chosen(answers, rows), moment).mean()
    return total
