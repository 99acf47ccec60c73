import json

import numpy as np
import pytest

from kinema.inference import FailedInput, Looked, Prediction
from kinema.inference.prediction import make_prediction

SCORES = np.array([0.2, 0.5, 0.2, 0.1], np.float32)
LOOKED = Looked(total_frames=50, spans=((10, 20),), fps=25.0)


def test_a_prediction_carries_all_classes_and_its_time():
    one = make_prediction("a.mp4", SCORES, ("a", "b", "c", "d"), top_k=3, looked=LOOKED)
    assert (one.label, one.labels, one.source, one.path) == ("b", ("b", "a", "c"), "a.mp4", "a.mp4")
    assert (one.score, one.scores) == (0.5, pytest.approx((0.5, 0.2, 0.2)))
    assert (one.start_seconds, one.end_seconds, one.present) == (0.0, 2.0, None)
    assert one.probabilities.dtype == np.float32
    assert one.probability_of("d") == pytest.approx(0.1)
    with pytest.raises(KeyError, match="there is no class 'e'; there are: a, b, c, d"):
        one.probability_of("e")
    assert one == make_prediction("a.mp4", SCORES.copy(), ("a", "b", "c", "d"), top_k=3, looked=LOOKED)
    assert len({one, one}) == 1
    assert repr(one) == "Prediction('a.mp4': b 0.500, a 0.200, c 0.200)"
    unnamed = make_prediction("frames", SCORES, (), top_k=9)
    assert (unnamed.labels, unnamed.end_seconds, unnamed.classes) == (("1", "0", "2", "3"), None, ("0", "1", "2", "3"))


def test_a_prediction_is_plain_json():
    one = make_prediction("a.mp4", SCORES, ("a", "b", "c", "d"), top_k=2, looked=LOOKED)
    value = json.loads(json.dumps(one.to_dict(probabilities=True), allow_nan=False))
    assert value == {
        "path": "a.mp4",
        "label": "b",
        "score": 0.5,
        "labels": ["b", "a"],
        "scores": [0.5, 0.2],
        "start_seconds": 0.0,
        "end_seconds": 2.0,
        "looked": {"frames": 50, "spans": [[10, 20]], "fps": 25.0, "time_share": 0.2, "frame_share": 1.0},
        "probabilities": {"a": 0.2, "b": 0.5, "c": 0.2, "d": 0.1},
    }
    assert "probabilities" not in one.to_dict()
    assert FailedInput("b.mp4", "no").to_dict() == {"path": "b.mp4", "error": "no"}


def test_a_class_is_present_from_its_threshold_on():
    names = ("a", "b", "c", "d")
    assert make_prediction("x", SCORES, names, top_k=1, thresholds={}).present == ("b",)
    assert make_prediction("x", SCORES, names, top_k=1, thresholds={"d": 0.05, "b": 0.6}).present == ("d",)
    everything = make_prediction("x", SCORES, names, top_k=1, thresholds=0.2)
    assert everything.present == ("b", "a", "c")
    assert (
        repr(make_prediction("x", SCORES, names, top_k=1, thresholds=1.0)) == "Prediction('x': b 0.500; present: none)"
    )


def test_a_prediction_without_scores_of_all_classes_can_be_made():
    assert Prediction("a.mp4", ("a",), (1.0,)).probabilities.shape == (0,)
