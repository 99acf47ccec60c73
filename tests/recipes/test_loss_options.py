import numpy as np
import pytest
import torch

from kinema.errors import ConfigError
from kinema.models import zoo
from kinema.recipes.loss_options import balanced_weights, describe_loss_options, with_loss_options
from kinema.registry import MODELS
from kinema.structures import ActionDataSample

MODEL = zoo.model_config("compact3d", num_classes=3)
COUNTS = np.array([30, 10, 20])


def test_weights_let_all_classes_count_alike():
    assert balanced_weights(COUNTS) == [0.6667, 2.0, 1.0]
    assert np.allclose(np.array(balanced_weights(COUNTS)) * COUNTS, 20, atol=0.01)
    assert balanced_weights(np.array([1000, 1, 0])) == [0.5005, 10.0, 1.0]  # one clip decides no step


def test_each_option_is_in_the_model_that_is_built():
    assert with_loss_options(MODEL, COUNTS) == MODEL
    changed = with_loss_options(MODEL, COUNTS, class_weights="auto", label_smoothing=0.1, mixup=0.2)
    model = MODELS.build(changed)
    assert model.cls_head.loss_cls.class_weight.tolist() == pytest.approx([0.6667, 2.0, 1.0])
    assert model.cls_head.label_smooth_eps == 0.1
    assert (model.data_preprocessor.blending.num_classes, model.data_preprocessor.blending.alpha) == (3, 0.2)
    clips = [torch.randint(0, 256, (1, 3, 8, 56, 56), dtype=torch.uint8) for _ in range(2)]
    losses = model.train_step({"inputs": clips, "data_samples": [ActionDataSample().set_gt_label(k) for k in (0, 2)]})
    assert float(losses["loss_cls"].detach()) > 0
    several = MODELS.build(with_loss_options(MODEL, COUNTS, multi_label=True))
    assert (several.cls_head.multi_class, type(several.cls_head.loss_cls).__name__) == (True, "BCELossWithLogits")


def test_options_that_do_not_go_together_are_one_line():
    cases = [
        (dict(class_weights="maybe"), r"--class-weights: expected auto or none, got 'maybe'"),
        (dict(label_smoothing=1.0), r"--label-smoothing: expected a share from 0 to below 1, got 1"),
        (dict(mixup=0.0), r"--mixup: expected an alpha above 0, such as 0\.2, got 0"),
        (dict(multi_label=True, label_smoothing=0.1), r"clips here have several labels: leave it out"),
    ]
    for options, message in cases:
        with pytest.raises(ConfigError, match=message):
            with_loss_options(MODEL, COUNTS, **options)


def test_options_are_described():
    assert describe_loss_options(multi_label=False, class_weights="none", label_smoothing=0.0, mixup=None) == []
    words = describe_loss_options(multi_label=True, class_weights="auto", label_smoothing=None, mixup=0.3)
    assert words[1:] == ["small classes count more", "mixup 0.3"]
