"""Fine-tuned models become one checkpoint: python save.py OUT.safetensors FOLDER...

Each FOLDER is one of transformers, as `save_pretrained` leaves it; of several the weights are averaged. Safetensors
hold numbers alone: nothing in them can run.
"""

import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModel


def main(out: str, *folders: str) -> None:
    states = [AutoModel.from_pretrained(folder).state_dict() for folder in folders]
    mean = {name: torch.stack([state[name].float() for state in states]).mean(dim=0) for name in states[0]}
    save_file(mean, out)
    print(f"{out}: {len(mean)} tensors of {len(folders)} models")


if __name__ == "__main__":
    main(*sys.argv[1:])
