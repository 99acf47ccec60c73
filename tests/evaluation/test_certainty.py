"""The metric behind the interval of a validation."""

import numpy as np
import pytest

from kinema.evaluation import ClipOutcomes, Evaluator, Top1Interval, accuracy_interval
from kinema.structures import ActionDataSample


def sample(scores, label, name=None):
    one = ActionDataSample(metainfo={} if name is None else {"filename": name})
    return one.set_pred_score(scores).set_gt_label(label)


def test_clips_of_one_source_video_are_one_witness() -> None:
    names = [f"clips/v_Run_g{source:02}_c{clip:02}.avi" for source in range(12) for clip in range(3)]
    hits = [source % 4 != 0 for source in range(12) for _ in range(3)]
    samples = [sample([0.75, 0.25] if hit else [0.25, 0.75], 0, name) for hit, name in zip(hits, names, strict=True)]
    numbers = Evaluator([{"type": "AccMetric", "metric_options": {"top_k_accuracy": {"topk": 1}}}, Top1Interval()])
    found = numbers.offline_evaluate(samples)
    expected = accuracy_interval(hits, [name.rpartition("_")[0] for name in names])
    assert (found["acc/top1"], found["num_clips"], found["num_sources"]) == (0.75, 36, 12)
    assert (found["acc/top1_low"], found["acc/top1_high"]) == (expected.low, expected.high)
    assert found["loss"] == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))


def test_without_names_each_clip_is_its_own_source_and_scores_that_are_no_probabilities_have_no_loss() -> None:
    metric = Top1Interval()
    metric.process(None, [sample([2.0, -1.0], 0).to_dict(), sample([2.0, -1.0], 1).to_dict()])
    found = metric.evaluate(2)
    assert (found["num_clips"], found["num_sources"]) == (2, 2)
    assert "loss" not in found
    certain = Evaluator(Top1Interval()).offline_evaluate([sample([1.0, 0.0], 1)])
    assert certain["loss"] == pytest.approx(-np.log(1e-7))  # one clip decides as little as this


def test_outcomes_are_in_the_order_of_the_data_set() -> None:
    metric = ClipOutcomes(group_of=lambda path: path[0])
    found = Evaluator(metric).offline_evaluate([sample([0.9, 0.1], 0, "a1"), sample([0.9, 0.1], 1, "b1")])
    assert found == {"hits": [True, False], "sources": ["a", "b"]}


def test_several_labels_a_clip_have_no_interval() -> None:
    with pytest.raises(ValueError, match="the metric needs one class a sample, but gt_label has shape"):
        Top1Interval().process(None, [sample([0.5, 0.5], [0, 1]).to_dict()])
