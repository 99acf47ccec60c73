import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kinema.errors import ConfigError
from kinema.models import (
    ActionDataPreprocessor,
    CrossEntropyLoss,
    CutmixBlending,
    I3DHead,
    MixupBlending,
    RandomBatchAugment,
    mixing,
)
from kinema.registry import MODELS
from kinema.structures import ActionDataSample

VIEWS = (2, 3, 4, 6, 10)  # V, C, T, H, W


def batch_of(size, shape=VIEWS):
    """Clips whose every value is the number of the clip, labelled by it."""
    inputs = torch.arange(size).float().view(-1, *(1 for _ in shape)).expand(-1, *shape).clone()
    return inputs, [ActionDataSample(metainfo={"place": place}).set_gt_label(place) for place in range(size)]


def labels_of(samples):
    return torch.stack([sample.gt_label for sample in samples])


@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_mixes_clips_and_labels_by_one_share(size, alpha):
    torch.manual_seed(size)
    inputs, samples = batch_of(size)
    mixed, soft = MixupBlending(size, alpha)(inputs, samples)
    labels = labels_of(soft)
    assert labels.shape == (size, size)
    assert labels.dtype == torch.float32
    assert torch.allclose(labels.sum(1), torch.ones(size))
    # clips are the numbers of the classes, so the mixed clip is the mean of the classes by their
    # shares
    expected = labels @ torch.arange(size).float()
    assert torch.allclose(mixed, expected.view(-1, 1, 1, 1, 1, 1).expand_as(mixed), atol=1e-5)
    shares = {round(float(share), 5) for share in labels.diagonal()} - {1.0}
    assert len(shares) <= 1, "one share for the whole batch, 1 for a clip that meets itself"


@pytest.mark.parametrize("size", [1, 2, 5])
def test_cutmix_puts_one_box_of_another_clip_into_each_frame(size):
    torch.manual_seed(size)
    boxes = set()
    for _ in range(20):
        inputs, samples = batch_of(size)
        mixed, soft = CutmixBlending(size, alpha=1.0)(inputs, samples)
        frames = mixed.flatten(1, 3)  # (B, V * C * T, H, W)
        assert (frames == frames[:, :1]).all(), "the same box in all views, channels and frames"
        for place, (frame, label) in enumerate(zip(frames[:, 0], labels_of(soft), strict=True)):
            own = frame == place
            for other in set(range(size)) - {place}:
                assert float((frame == other).float().mean()) == pytest.approx(float(label[other]), abs=1e-6)
            assert float(own.float().mean()) == pytest.approx(float(label[place]), abs=1e-6)
            rows, columns = np.nonzero(~own.numpy())
            if len(rows):
                assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1), "a full rectangle"
                boxes.add((rows.min(), columns.min(), np.ptp(rows), np.ptp(columns)))
    assert size == 1 or len(boxes) > 5


def test_shares_are_drawn_from_the_beta_distribution():
    torch.manual_seed(0)
    inputs, samples = batch_of(2, (1,))
    shares = []
    for _ in range(1000):
        labels = labels_of(MixupBlending(2, alpha=0.8)(inputs, samples)[1])
        if not torch.equal(labels, torch.eye(2)):
            shares.append(float(labels[0, 0]))
    assert 420 < len(shares) < 580, "half of all permutations of two leave them where they are"
    assert np.mean(shares) == pytest.approx(0.5, abs=0.04)
    assert np.var(shares) == pytest.approx(1 / (4 * (2 * 0.8 + 1)), abs=0.015)


def test_the_size_of_a_cutmix_box_follows_the_share():
    torch.manual_seed(0)
    for share in (0.0, 0.25, 0.5, 0.99, 1.0):
        inputs = torch.stack([torch.zeros(1, 40, 40), torch.ones(1, 40, 40)])
        mixed, kept = CutmixBlending(2).blend(inputs, torch.tensor([1, 0]), share)
        assert kept == pytest.approx(1 - float(mixed[0].mean()))
        assert 1 - kept <= 1 - share + 1e-6, "what lies outside the frame does not count"
        side = math.isqrt(round(1600 * (1 - share))) // 2 * 2
        rows = int(mixed[0, 0].any(1).sum())
        assert rows <= side


def test_a_box_is_the_one_that_mmaction2_draws():
    """The numbers are those of MMAction2 1.2.0, for 20 x 30 pixels."""
    boxes = []
    for seed in range(3):
        torch.manual_seed(seed)
        boxes.append(CutmixBlending.rand_bbox((4, 1, 3, 2, 20, 30), torch.tensor(0.5)))
    assert boxes == [(4, 12, 24, 20), (15, 12, 30, 20), (8, 0, 28, 14)]
    torch.manual_seed(0)
    frames = torch.arange(4.0)[:, None, None, None].expand(4, 1, 20, 30)
    mixed, _ = CutmixBlending(4, alpha=0.8)(frames, [ActionDataSample().set_gt_label(label) for label in range(4)])
    assert mixed.mean(dim=(1, 2, 3)).tolist() == pytest.approx([0, 1, 2 + 13 / 60, 2 + 47 / 60])


def test_a_subclass_chooses_the_box():
    class Left(CutmixBlending):
        @staticmethod
        def rand_bbox(img_size, lam):
            return 0, 0, torch.tensor(img_size[-1] // 2), img_size[-2]

    inputs = torch.stack([torch.zeros(1, 4, 6), torch.ones(1, 4, 6)])
    mixed, kept = Left(2).blend(inputs, torch.tensor([1, 0]), 0.9)
    assert (mixed[0, 0, 0].tolist(), kept) == ([1, 1, 1, 0, 0, 0], 0.5)


@pytest.mark.parametrize("blending", [MixupBlending(3), CutmixBlending(3), RandomBatchAugment(MixupBlending(3))])
def test_what_is_given_is_left_as_it_was(blending):
    torch.manual_seed(0)
    inputs, samples = batch_of(3)
    before = inputs.clone()
    _, soft = blending(inputs, samples)
    assert torch.equal(inputs, before)
    assert [sample.gt_label.tolist() for sample in samples] == [[0], [1], [2]]
    assert [sample.place for sample in soft] == [0, 1, 2], "the metainfo goes along"


def test_soft_and_multiple_labels_are_mixed_as_they_are():
    torch.manual_seed(1)
    samples = [ActionDataSample().set_gt_label(torch.tensor(row)) for row in ([1.0, 1.0, 0.0], [0.0, 0.5, 0.5])]
    inputs = torch.stack([torch.zeros(1), torch.ones(1)])
    mixed, soft = MixupBlending(3, alpha=1.0)(inputs, samples)
    weight = float(mixed[0])
    assert 0 < weight < 1
    assert torch.allclose(
        labels_of(soft)[0], (1 - weight) * torch.tensor([1, 1, 0.0]) + weight * torch.tensor([0, 0.5, 0.5])
    )


def test_bytes_are_mixed_to_floats():
    torch.manual_seed(1)
    inputs = torch.tensor([[0], [255]], dtype=torch.uint8)
    mixed, soft = MixupBlending(2, alpha=1.0)(inputs, batch_of(2, (1,))[1])
    assert mixed.is_floating_point()
    assert torch.allclose(mixed[:, 0] / 255, labels_of(soft)[:, 1])


class Marking:
    def __init__(self, mark):
        self.mark = mark

    def __call__(self, inputs, data_samples):
        return inputs + self.mark, data_samples


@pytest.mark.parametrize(
    ("probs", "shares"), [(None, {1: 0.5, 2: 0.5}), ([0.2, 0.5], {0: 0.3, 1: 0.2, 2: 0.5}), ([0, 1.0], {2: 1.0})]
)
def test_one_blending_a_batch_is_drawn_by_its_probability(probs, shares):
    torch.manual_seed(0)
    chooser = RandomBatchAugment([Marking(1), Marking(2)], probs)
    drawn = [int(chooser(torch.zeros(1), [])[0]) for _ in range(1000)]
    for mark in range(3):
        assert drawn.count(mark) / 1000 == pytest.approx(shares.get(mark, 0), abs=0.05)


def test_a_single_blending_may_have_a_probability():
    torch.manual_seed(0)
    chooser = RandomBatchAugment(Marking(1), 0.25)
    assert 200 < sum(float(chooser(torch.zeros(1), [])[0]) for _ in range(1000)) < 300


def test_the_callers_probabilities_are_not_changed():
    probs = [0.2, 0.3]
    RandomBatchAugment([Marking(1), Marking(2)], probs)
    assert probs == [0.2, 0.3]


RECIPE = dict(
    type="RandomBatchAugment",
    augments=[
        dict(type="MixupBlending", alpha=0.8, num_classes=5),
        dict(type="CutmixBlending", alpha=1, num_classes=5),
    ],
)


@pytest.mark.parametrize("size", [1, 3])
def test_the_blending_of_the_recipes_trains_a_head_on_several_views(size):
    torch.manual_seed(0)
    preprocessor = ActionDataPreprocessor([0.0] * 3, [1.0] * 3, format_shape="NCTHW", blending=RECIPE)
    clips = [torch.randint(0, 256, (2, 3, 4, 8, 8), dtype=torch.uint8) for _ in range(size)]
    samples = [ActionDataSample().set_gt_label(place) for place in range(size)]
    batch = preprocessor({"inputs": clips, "data_samples": samples}, training=True)
    assert batch["inputs"].shape == (size, 2, 3, 4, 8, 8)
    feats = torch.rand(2 * size, 7, 1, 1, 1, requires_grad=True)
    head = I3DHead(num_classes=5, in_channels=7, dropout_ratio=0.0, label_smooth_eps=0.1)
    losses = head.loss(feats, batch["data_samples"])
    labels = labels_of(batch["data_samples"]).repeat_interleave(2, dim=0) * 0.9 + 0.1 / 5
    slow = -(labels * F.log_softmax(head(feats), dim=1)).sum(1).mean()
    assert torch.allclose(losses["loss_cls"], slow)
    assert set(losses) == {"loss_cls"}, "a soft label is not hit or missed: no accuracy is logged"
    losses["loss_cls"].backward()
    assert feats.grad.abs().sum() > 0
    plain = preprocessor({"inputs": clips, "data_samples": samples}, training=False)
    assert plain["data_samples"][0].gt_label.tolist() == [0]


def test_soft_labels_have_the_loss_that_torch_gives_them():
    scores, labels = torch.randn(4, 5), torch.rand(4, 5).softmax(1)
    assert torch.allclose(CrossEntropyLoss()(scores, labels), F.cross_entropy(scores, labels))


def test_a_batch_without_samples_cannot_be_blended():
    preprocessor = ActionDataPreprocessor(blending=MixupBlending(2))
    with pytest.raises(ValueError, match="blending needs data_samples with gt_label, got a batch of inputs"):
        preprocessor({"inputs": [torch.zeros(1, 3, 4, 4)]}, training=True)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (3, "MixupBlending: label 3 is out of range, num_classes=3: labels go from 0"),
        (-1, "label -1 is out of range"),
        ([0, 1], r"a sample has 2 class numbers \[0, 1\]: for several labels a clip set multi_class=True"),
        (torch.zeros(4), "a label has 4 values, but num_classes=3"),
    ],
)
def test_labels_that_do_not_fit_are_named(label, message):
    with pytest.raises(ConfigError, match=message):
        MixupBlending(3)(torch.zeros(1, 2), [ActionDataSample().set_gt_label(label)])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: MixupBlending(0), ValueError, "MixupBlending: num_classes must be at least 1, got 0"),
        (lambda: CutmixBlending(2, alpha=0), ValueError, "CutmixBlending: alpha must be above 0, got 0"),
        (lambda: RandomBatchAugment([]), ValueError, "needs at least one blending"),
        (lambda: RandomBatchAugment([3]), TypeError, "a blending must be callable or a config, got 3"),
        (
            lambda: RandomBatchAugment(Marking(1), [0.1, 0.2]),
            ValueError,
            r"probs must be 1 numbers .* got \[0.1, 0.2\]",
        ),
        (lambda: RandomBatchAugment(Marking(1), 1.5), ValueError, "summing up to at most 1, got 1.5"),
        (lambda: RandomBatchAugment(Marking(1), -0.5), ValueError, "at least 0, .* got -0.5"),
        (lambda: MODELS.build(dict(type="MixupBlending")), ConfigError, "MixupBlending needs num_classes"),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_blending_of_users_overrides_do_blending() -> None:
    class Halves(MixupBlending):
        def do_blending(self, imgs, label):
            return imgs / 2, label / 2

    inputs, samples = Halves(num_classes=2)(torch.ones(1, 3), [ActionDataSample().set_gt_label(1)])
    assert inputs.tolist() == [[0.5, 0.5, 0.5]]
    assert samples[0].gt_label.tolist() == [0.0, 0.5]


def test_one_hot_labels_of_whole_numbers_are_mixed_as_they_are() -> None:
    hot = torch.nn.functional.one_hot(torch.arange(4), 5)
    samples = [ActionDataSample().set_gt_label(label) for label in hot]
    _, mixed = MixupBlending(5)(torch.rand(4, 1, 3, 4, 4), samples)
    assert all(sample.gt_label.sum() == pytest.approx(1) for sample in mixed)


def test_what_the_probabilities_leave_is_shown() -> None:
    augments = [MixupBlending(5), CutmixBlending(5)]
    blending = RandomBatchAugment(augments, probs=[0.5, 0.4])
    assert blending.probs == [0.5, 0.4, pytest.approx(0.1)]
    assert blending.augments == [*augments, None]
    assert RandomBatchAugment(augments).probs is None


def test_a_blending_of_ones_own_says_how_it_blends():
    class Darken(mixing.BatchBlending):
        def do_blending(self, imgs, label):
            return imgs / 2, label / 2

    inputs, samples = Darken(num_classes=3)(torch.ones(2, 3), [ActionDataSample().set_gt_label(1) for _ in range(2)])
    assert inputs.tolist() == [[0.5] * 3] * 2
    assert samples[0].gt_label.tolist() == [0.0, 0.5, 0.0]
    with pytest.raises(ValueError, match="Darken: num_classes must be at least 1, got 0"):
        Darken(0)
