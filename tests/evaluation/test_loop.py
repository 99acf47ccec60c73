import torch

from kinema.datasets import build_dataloader
from kinema.errors import VideoError
from kinema.evaluation import BaseMetric, Evaluator, evaluate_loader


class Squares(torch.utils.data.Dataset):
    """Sample i is i; samples of `broken` cannot be read."""

    test_mode = True

    def __init__(self, broken=()):
        self.broken = broken

    def __len__(self):
        return 7

    def __getitem__(self, index):
        if index in self.broken:
            raise VideoError(f"{index}.mp4: is broken")
        return {"inputs": index}


class Kept(BaseMetric):
    """What came, in order."""

    def process(self, data_batch, data_samples):
        self.results.extend(sample["square"] for sample in data_samples)

    def compute_metrics(self, results):
        return {"kept": list(results)}


def step(batch):
    assert not torch.is_grad_enabled()
    return [{"square": number**2} for number in batch["inputs"]]


def loader_of(dataset, **options):
    return build_dataloader({"dataset": dataset, "batch_size": 3, **options}, seed=0)


def test_every_sample_is_evaluated_and_every_batch_seen_before_and_after():
    calls = []
    metrics, broken = evaluate_loader(
        step,
        loader_of(Squares()),
        Evaluator(Kept()),
        before_step=lambda number, batch: calls.append((number, batch["inputs"])),
        after_step=lambda number, batch, samples: calls.append((number, len(samples))),
    )
    assert metrics == {"kept": [0, 1, 4, 9, 16, 25, 36]}
    assert broken == []
    assert calls == [(0, [0, 1, 2]), (0, 3), (1, [3, 4, 5]), (1, 3), (2, [6]), (2, 1)]


def test_samples_that_were_left_out_are_in_no_number_and_are_checked_first():
    checked = []
    metrics, broken = evaluate_loader(
        step, loader_of(Squares(broken=(1, 5)), allow_broken=True), Evaluator(Kept()), check_broken=checked.extend
    )
    assert metrics == {"kept": [0, 4, 9, 16, 36]}
    assert [record.index for record in broken] == [1, 5]
    assert checked == broken


def test_a_loader_of_torch_does_as_well():
    loader = torch.utils.data.DataLoader(Squares(), batch_size=4)
    metrics, _ = evaluate_loader(lambda batch: step({"inputs": batch["inputs"].tolist()}), loader, Evaluator(Kept()))
    assert metrics == {"kept": [0, 1, 4, 9, 16, 25, 36]}
