"""The draws that tests/datasets/test_balanced.py compares, alone or in every process of a torchrun."""

import json
import sys
from pathlib import Path

from kinema import distributed
from kinema.datasets import ClassBalancedSampler
from kinema.datasets.base import BaseDataset


class Unequal(BaseDataset):
    """90, 9 and 1 samples of three classes."""

    def load_data_list(self):
        return [{"label": label} for label, count in enumerate((90, 9, 1)) for _ in range(count)]


def draws(num_samples):
    sampler = ClassBalancedSampler(Unequal(), num_samples=num_samples, seed=5)
    seen = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        seen.append([[int(index), getattr(index, "repeat", 0)] for index in sampler])
    return seen


def main():
    distributed.init_from_environment("gloo")
    seen = [draws(num_samples) for num_samples in (None, 7)]
    Path(sys.argv[1], f"{distributed.get_rank()}.json").write_text(json.dumps(seen))
    distributed.barrier()


if __name__ == "__main__":
    main()
