"""The same student with and without a teacher: python train_with_distillation.py RUN TEACHER [SEEDS]

RUN is a folder that `wakesmith forge` or `wakesmith plan` made; TEACHER is a name or NAME:FOLDER, as in whisper:models/tiny.en.
Clips, views and answers are shared by all students, so that one more costs its own training alone.
"""

import sys
from pathlib import Path

from wakesmith.config import read_yaml, teacher_named
from wakesmith.steps import _compare, compare


def main(run: str, teacher: str, seeds: str = "3") -> None:
    folder, taught = Path(run), {"teacher": teacher_named(teacher)}
    arms = [
        compare.Arm("labels and teacher", taught),
        compare.Arm("softer answers", taught | {"losses": ["cross_entropy", {"name": "kd", "temperature": 4.0}, "embedding"]}),
        compare.Arm("without the embedding", taught | {"losses": ["cross_entropy", "kd"]}),
    ]
    told = compare.run(read_yaml(folder / "config.yaml"), folder, arms, n_seeds=int(seeds), jobs=0)
    print(_compare.table(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
