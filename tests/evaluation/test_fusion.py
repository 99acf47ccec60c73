"""Fusing scores: by what names a clip, whatever the order; what does not go together is named."""

from dataclasses import replace

import numpy as np
import pytest

from kinema.errors import DumpError
from kinema.evaluation import ClipScores
from kinema.evaluation.fusion import fuse

PATHS = ("a.mp4", "b.mp4", "c.mp4")
ONE = ClipScores(
    PATHS,
    np.array([0, 1, 0]),
    np.array([[0.5, 0.5], [0.25, 0.75], [1, 0]], np.float32),
    ("jump", "run"),
    root="/here",
)
TWO = replace(
    ONE,
    paths=PATHS[::-1],
    labels=ONE.labels[::-1],
    scores=np.array([[0.5, 0.5], [0.75, 0.25], [0, 1]], np.float32),
    root="/there",
)


def test_clips_are_matched_by_name_and_not_by_order() -> None:
    fused = fuse([ONE, TWO])
    assert (fused.paths, fused.labels.tolist(), fused.root) == (PATHS, [0, 1, 0], "/here")
    assert fused.scores.tolist() == [[0.25, 0.75], [0.5, 0.5], [0.75, 0.25]]


def test_only_the_ratio_of_weights_counts() -> None:
    for weights in ((3, 1), (0.75, 0.25)):
        assert fuse([ONE, TWO], weights).scores.tolist() == [[0.375, 0.625], [0.375, 0.625], [0.875, 0.125]]
    assert np.array_equal(fuse([ONE, TWO], (1, 0)).scores, ONE.scores)


def test_scores_that_are_no_probabilities_are_made_some() -> None:
    large = replace(TWO, scores=np.log(np.maximum(TWO.scores, 1e-30)) + 7)
    expected = [
        [np.exp(row) / np.exp(row).sum() for row in scores.astype(float)] for scores in (ONE.scores, large.scores)
    ]
    fused = fuse([ONE, large], how="softmax-mean")
    assert fused.scores == pytest.approx((np.array(expected[0]) + np.array(expected[1])[::-1]) / 2)


def test_the_geometric_mean_is_that_of_probabilities() -> None:
    fused = fuse([ONE, TWO], (2, 1), "geometric-mean")
    own, other = ONE.scores.astype(float), TWO.scores[::-1].astype(float)
    product = own ** (2 / 3) * other ** (1 / 3)
    assert fused.scores == pytest.approx(product / product.sum(axis=1, keepdims=True), abs=1e-6)


def test_parts_of_one_video_are_matched_by_their_times() -> None:
    whole = replace(ONE, paths=("a.mp4",) * 3, starts=np.array([np.nan, 2, 4.0]), ends=np.array([2.0, 4, np.nan]))
    swapped = replace(
        *(whole,),
        labels=whole.labels[::-1],
        scores=whole.scores[::-1],
        starts=whole.starts[::-1],  # type: ignore[index]
        ends=whole.ends[::-1],  # type: ignore[index]
    )
    fused = fuse([whole, swapped])
    assert fused.scores.tolist() == ONE.scores.tolist()
    assert fused.starts is not None
    assert np.isnan(fused.starts[0])


def test_paths_below_no_root_are_matched_as_a_whole() -> None:
    absolute = replace(ONE, paths=tuple(f"/here/{path}" for path in PATHS), root="")
    assert fuse([ONE, absolute]).scores.tolist() == ONE.scores.tolist()
    with pytest.raises(DumpError, match=r"model 2: 3 clips are \(/here/a\.mp4, .*\) in model 1 alone"):
        fuse([ONE, replace(absolute, paths=tuple(f"/there/{path}" for path in PATHS))])


def test_clips_that_one_side_lacks_are_named_or_left_out() -> None:
    less = replace(TWO, paths=PATHS[2:0:-1], labels=TWO.labels[:2], scores=TWO.scores[:2])
    with pytest.raises(DumpError, match=r"two\.npz: 1 clip is \(a\.mp4\) in one\.npz alone; --common measures without"):
        fuse([ONE, less], names=["one.npz", "two.npz"])
    with pytest.raises(DumpError, match=r"model 1: 1 clip is \(a\.mp4\) in model 2 alone"):
        fuse([less, ONE])
    assert fuse([ONE, less], common=True).paths == ("b.mp4", "c.mp4")
    assert fuse([less, ONE], common=True).labels.tolist() == [0, 1]
    with pytest.raises(DumpError, match="have no clip in common"):
        fuse([ONE, replace(ONE, paths=("x", "y", "z"))], common=True)


def test_other_labels_classes_and_clips_that_are_there_twice_are_named() -> None:
    with pytest.raises(DumpError, match=r"model 2: a\.mp4 has the label 1 \(run\), but 0 \(jump\) in model 1"):
        fuse([ONE, replace(TWO, labels=np.array([0, 1, 1]))])
    with pytest.raises(DumpError, match="model 2: class 1 is 'walk', but 'run' in model 1"):
        fuse([ONE, replace(TWO, classes=("jump", "walk"))])
    with pytest.raises(DumpError, match="model 2: has 1 classes, but model 1 has 2"):
        fuse([ONE, replace(TWO, scores=TWO.scores[:, :1])])
    with pytest.raises(DumpError, match=r"model 2: 1 clip is \(a\.mp4\) there more than once"):
        fuse([ONE, replace(ONE, paths=("a.mp4", "b.mp4", "a.mp4"))])
    assert fuse([replace(ONE, classes=()), TWO]).classes == ("jump", "run")


def test_impossible_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="need one weight a model, and a model: got 1 weights for 2 models"):
        fuse([ONE, TWO], [1])
    for weights in ((0, 0), (1, -1), (1, float("nan"))):
        with pytest.raises(ValueError, match="weights must be numbers of at least 0, not all 0, got"):
            fuse([ONE, TWO], weights)
    with pytest.raises(ValueError, match="how to fuse must be one of mean, softmax-mean, geometric-mean, got 'sum'"):
        fuse([ONE, TWO], how="sum")
