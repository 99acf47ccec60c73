import pytest
import torch

from kinema.errors import ConfigError
from kinema.models import OmniHead, OmniResNet, RecognizerOmni
from kinema.structures import ActionDataSample


@pytest.fixture(scope="module")
def model() -> RecognizerOmni:
    return RecognizerOmni(
        OmniResNet((1, 1, 1, 1)),
        OmniHead(3, 9, 2048, average_clips="prob"),
        {"type": "ActionDataPreprocessor", "mean": [1.0] * 3, "std": [2.0] * 3, "format_shape": "MIX2d3d"},
    )


def batch(*shape, label) -> dict:
    return {
        "inputs": [torch.randint(0, 255, shape, dtype=torch.uint8)] * 2,
        "data_samples": [ActionDataSample().set_gt_label(label) for _ in range(2)],
    }


def test_images_and_clips_train_one_network(model) -> None:
    losses = model.train().train_step((batch(1, 3, 2, 32, 32, label=8), batch(3, 32, 32, label=2)))
    assert {"loss_cls_0", "top1_acc_0", "top5_acc_0", "loss_cls_1", "top1_acc_1"} == set(losses)
    sum(losses[f"loss_cls_{number}"] for number in (0, 1)).backward()
    assert all(values.grad is not None for values in model.parameters())


def test_running_statistics_of_the_network_are_of_clips_alone(model) -> None:
    norms = [module for module in model.backbone.modules() if isinstance(module, torch.nn.BatchNorm3d)]
    before = [norm.running_var.clone() for norm in norms]
    model.train().train_step((batch(3, 32, 32, label=2),))
    assert all(torch.equal(norm.running_var, value) for norm, value in zip(norms, before, strict=True))
    model.train_step((batch(1, 3, 2, 32, 32, label=8),))
    assert not any(torch.equal(norm.running_var, value) for norm, value in zip(norms, before, strict=True))


def test_each_kind_has_its_own_classes(model) -> None:
    model.eval()
    for shape, classes in (((2, 3, 2, 32, 32), 9), ((3, 32, 32), 3)):
        scores = model.test_step(batch(*shape, label=0))[0].pred_score
        assert scores.shape == (classes,)
        assert scores.sum().item() == pytest.approx(1)


def test_an_image_is_a_clip_that_stands_still(model) -> None:
    network = model.backbone.eval()
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        clip = network(image[:, :, None].expand(-1, -1, 9, -1, -1))
        torch.testing.assert_close(network(image), clip[:, :, 4])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda model: model({"inputs": 0}, mode="predict"), ValueError, "several batches for mode='loss' only"),
        (lambda model: model(torch.rand(1, 1, 3, 8, 8)), ValueError, "RecognizerOmni takes images"),
        (lambda model: model.backbone(torch.rand(1, 4, 8, 8)), ConfigError, r"OmniResNet takes images .* got \(1, 4"),
        (lambda model: model.cls_head(torch.rand(2, 2048)), ConfigError, "OmniHead takes features of images or clips"),
        (lambda model: OmniResNet((3, 4)), ConfigError, r"blocks of four stages, got \(3, 4\)"),
        (
            lambda model: model.cls_head.loss(torch.rand(2, 2048, 1, 1), batch(label=5)["data_samples"]),
            ConfigError,
            "label 5 is out of range: the head has num_classes=3",
        ),
    ],
)
def test_what_it_cannot_take_is_refused(model, call, error, message) -> None:
    with pytest.raises(error, match=message):
        call(model)
