"""Blending draws in the main process: a resumed run must go on with the numbers that the whole one draws."""

import json

import pytest
import torch
import torch.nn.functional as F
from toy_run import ToyModel, run_config

from kinema.engine import Runner
from kinema.models import ActionDataPreprocessor

BLENDING = dict(
    type="RandomBatchAugment",
    augments=[dict(type="MixupBlending", num_classes=2, alpha=0.8), dict(type="MixupBlending", num_classes=2)],
    probs=[0.4, 0.4],
)


class BlendedModel(ToyModel):
    """The toy model on blended points; notes the first label of every batch that it trains on."""

    def __init__(self):
        super().__init__()
        self.data_preprocessor = ActionDataPreprocessor(blending=BLENDING)
        self.seen = []

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode != "loss":
            return super().forward(list(inputs), data_samples, mode)
        self.seen.append(data_samples[0].gt_label.tolist())
        labels = torch.stack([sample.gt_label for sample in data_samples])
        scores = self.layers(inputs)
        if not labels.is_floating_point():
            return {"loss_cls": F.cross_entropy(scores, labels[:, 0]), "top1_acc": torch.ones(())}
        return {"loss_cls": F.cross_entropy(scores, labels)}


def train(work_dir, epochs, **changes):
    runner = Runner.from_cfg(run_config(work_dir, epochs=epochs, model=dict(type=BlendedModel), **changes))
    runner.train()
    return runner


def test_a_resumed_run_blends_as_the_whole_one_does(tmp_path):
    whole = train(tmp_path / "whole", 4)
    first = train(tmp_path / "cut", 2)
    torch.rand(5)  # another process would come with other generators
    resumed = train(tmp_path / "cut", 4, resume=True)
    assert first.model.seen + resumed.model.seen == whole.model.seen
    kinds = {len(label) for label in whole.model.seen}
    assert kinds == {1, 2}, "batches with and without blending"
    assert any(0 < label[0] < 1 for label in whole.model.seen if len(label) == 2)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name


def test_figures_that_only_some_batches_have_are_averaged_over_these(tmp_path):
    runner = train(tmp_path, 2, default_hooks=dict(logger=dict(interval=4)))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    trained = [line for line in lines if line["split"] == "train"]
    assert all(line["loss"] > 0 for line in trained)
    hard = [len(label) == 1 for label in runner.model.seen]
    per_line = [any(hard[start : start + 4]) for start in range(0, len(hard), 4)]
    assert [line.get("top1_acc") for line in trained] == [pytest.approx(1.0) if one else None for one in per_line]
