"""A model around a model that merges the predictions of several versions of each sample."""

from typing import Any

import pytest
import torch

from kinema.models.tta import BaseTTAModel, MeanScoreTTA
from kinema.registry import MODELS
from kinema.structures import ActionDataSample


class Scores(torch.nn.Module):
    """Predicts what its inputs are."""

    def test_step(self, data: Any) -> list[ActionDataSample]:
        inputs, samples = (data["inputs"], data["data_samples"]) if isinstance(data, dict) else data
        return [sample.set_pred_score(scores) for sample, scores in zip(samples, inputs, strict=True)]


def batch() -> tuple[list[Any], list[Any]]:
    """Two samples in two versions each."""
    inputs = [
        [torch.tensor([0.8, 0.2]), torch.tensor([0.4, 0.6])],
        [torch.tensor([0.0, 1.0]), torch.tensor([0.6, 0.4])],
    ]
    return inputs, [[ActionDataSample(metainfo={"path": name}).set_gt_label(1) for name in "ab"] for _ in inputs]


@pytest.mark.parametrize("as_dict", [True, False])
def test_scores_of_all_versions_are_averaged(as_dict: bool) -> None:
    inputs, samples = batch()
    model = MODELS.build({"type": "MeanScoreTTA", "module": Scores()})
    merged = model.test_step({"inputs": inputs, "data_samples": samples} if as_dict else [inputs, samples])
    assert [sample.path for sample in merged] == ["a", "b"]
    for sample, expected in zip(merged, ([0.4, 0.6], [0.5, 0.5]), strict=True):
        assert sample.pred_score.tolist() == pytest.approx(expected)
    assert [int(sample.pred_label) for sample in merged] == [1, 0]
    assert [int(sample.gt_label) for sample in merged] == [1, 1]


def test_a_subclass_merges_in_its_own_way() -> None:
    class Best(BaseTTAModel):
        def merge_preds(self, data_samples_list: list[Any]) -> list[Any]:
            return [max(versions, key=lambda sample: sample.pred_score.max()) for versions in data_samples_list]

    inputs, samples = batch()
    best = Best(Scores()).test_step({"inputs": inputs, "data_samples": samples})
    assert [sample.pred_score.tolist() for sample in best] == [[0.0, 1.0], pytest.approx([0.4, 0.6])]


def test_it_only_tests() -> None:
    with pytest.raises(NotImplementedError, match="MeanScoreTTA tests only: call test_step with what TestTimeAug"):
        MeanScoreTTA(Scores())(None)
    with pytest.raises(TypeError, match="abstract"):
        BaseTTAModel(Scores())  # type: ignore[abstract]


def test_a_model_around_a_model_needs_one_that_tests() -> None:
    model = Scores()
    assert MeanScoreTTA(torch.nn.DataParallel(model)).module is model
    for other in (torch.nn.Linear(1, 1), []):
        with pytest.raises(TypeError, match="MeanScoreTTA needs a model with test_step, or its config, got"):
            MeanScoreTTA(other)
