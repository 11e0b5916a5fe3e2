"""Three causal convolutions over time, bands as channels."""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from wakesmith.config import PartSettings
from wakesmith.students._streaming import CausalConv, Chain, MeanOverTime, Student, check_fit, last_frames


class Config(PartSettings):
    name: str = "narrow"
    width: Annotated[int, Field(ge=4, le=512)] = 24
    """Channels of every layer."""
    mean_frames: Annotated[int, Field(ge=1, le=100)] = 8
    """Length of the mean before the last layer, in frames of 40 ms."""


class Narrow(Student):
    listens = "streaming"

    def __init__(self, config: Config, n_mels: int, n_classes: int) -> None:
        super().__init__()
        sizes = [(n_mels, 5, 2), (config.width, 5, 2), (config.width, 9, 1)]  # channels in, kernel, stride: in frames
        layers: list[nn.Module] = [CausalConv(n_in, config.width, (kernel, 1), (stride, 1)) for n_in, kernel, stride in sizes]
        self.chain = Chain([*layers, MeanOverTime(config.mean_frames)], n_mels, 1)
        self.head = nn.Linear(config.width, n_classes)
        self.embedding_size, self.state_size = config.width, self.chain.state_size
        self.hop_frames, self.receptive_frames = self.chain.hop_frames, self.chain.receptive_frames

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F) -> logits (B, C), embedding (B, D)"""
        frames = last_frames(features, self.receptive_frames).transpose(1, 2).unsqueeze(3)  # (B, F, T, 1)
        embedding = self.chain(frames)[:, :, 0, 0]
        return self.head(embedding), embedding

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(1, t, F), (1, S) -> logits (1, t / hop_frames, C), (1, S)"""
        x, state = self.chain.step(features.transpose(1, 2).unsqueeze(3), state)
        return self.head(x[:, :, :, 0].transpose(1, 2)), state


def build(config: Config, n_mels: int, n_frames: int, n_classes: int) -> Narrow:
    student = Narrow(config, n_mels, n_classes)
    check_fit(student, n_frames, config.mean_frames)
    return student
