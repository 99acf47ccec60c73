"""Run by tests of the evaluator and of dumps in every process of a torchrun: each evaluates its share of 7 samples."""

import json
import sys
from pathlib import Path

import torch

from kinema.distributed import get_rank, get_world_size, init_from_environment
from kinema.evaluation import Evaluator
from kinema.structures import ActionDataSample

SIZE, CLASSES = 7, 5


def make_sample(index: int) -> ActionDataSample:
    scores = torch.rand(CLASSES, generator=torch.Generator().manual_seed(index))
    return ActionDataSample().set_gt_label(index % CLASSES).set_pred_score(scores)


def share(rank: int, world: int) -> list[int]:
    """What DefaultSampler gives a process: every world-th sample, filled up from the front."""
    rounds = -(-SIZE // world)
    return [index % SIZE for index in range(rounds * world)][rank::world]


def evaluate() -> dict[str, object]:
    evaluator = Evaluator(
        [
            {"type": "AccMetric", "metric_options": {"top_k_accuracy": {"topk": (1, 2)}}},
            {"type": "ConfusionMatrix"},
        ]
    )
    for index in share(get_rank(), get_world_size()):
        evaluator.process([make_sample(index)])
    numbers = evaluator.evaluate(SIZE)
    return {name: value.tolist() if isinstance(value, torch.Tensor) else value for name, value in numbers.items()}


def failure() -> str:
    """The message of an error that only the main process can meet."""
    evaluator = Evaluator({"type": "AccMetric"})
    evaluator.process([ActionDataSample().set_gt_label(9).set_pred_score([0.5, 0.5])])
    try:
        evaluator.evaluate(SIZE)
    except ValueError as error:
        return str(error)
    return "none"


def dump(path: Path) -> None:
    """Write what was predicted."""
    evaluator = Evaluator({"type": "DumpResults", "out_file_path": str(path)})
    for index in share(get_rank(), get_world_size()):
        evaluator.process([make_sample(index)])
    evaluator.evaluate(SIZE)


def main() -> None:
    init_from_environment("gloo")
    dump(Path(sys.argv[1], "dump.json"))
    seen = {"numbers": evaluate(), "failure": failure()}
    Path(sys.argv[1], f"{get_rank()}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
