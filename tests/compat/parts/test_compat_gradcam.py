import matplotlib
import numpy as np
import pytest
import torch
from torch import nn

from kinema.compat.parts.gradcam import GradCAM
from kinema.errors import ConfigError
from kinema.models import ActionDataPreprocessor, I3DHead, Recognizer2D, Recognizer3D, TSNHead
from kinema.structures import ActionDataSample

COLOURS = matplotlib.colormaps["viridis"]


class FrameNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.layer = nn.Sequential(nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.stem(x))


class ClipNetwork(FrameNetwork):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 4, 3, padding=(1, 0, 0))


def batch(*shape: int) -> dict:
    inputs = torch.randint(0, 256, shape, dtype=torch.uint8)
    return {"inputs": [inputs, inputs.flip(0)], "data_samples": [ActionDataSample().set_gt_label(n) for n in (1, 2)]}


def pictures(model: nn.Module, data: dict, labels: torch.Tensor, relevance: torch.Tensor) -> np.ndarray:
    """By definition: behind an average over all places, a class' weights weigh the channels."""
    low, high = (getattr(relevance, name)(dim=(1, 2, 3), keepdim=True) for name in ("amin", "amax"))
    return COLOURS(((relevance - low) / (high - low)).numpy())[..., :3]


def test_maps_of_single_frames_are_those_of_the_class_that_is_explained() -> None:
    torch.manual_seed(0)
    head = TSNHead(num_classes=3, in_channels=4, average_clips="prob", init_std=1.0)
    head.init_weights()
    preprocessor = ActionDataPreprocessor(mean=[128.0] * 3, std=[64.0] * 3, format_shape="NCHW")
    model = Recognizer2D(FrameNetwork(), head, data_preprocessor=preprocessor).train()
    data = batch(5, 3, 12, 12)
    cam = GradCAM(model, "backbone/layer")
    assert cam.is_recognizer2d
    blended, scores = cam(data, use_labels=True, alpha=0.25)
    assert blended.shape == (2, 5, 12, 12, 3)
    assert model.training
    features = model.backbone(model.data_preprocessor(data)["inputs"].flatten(0, 1))
    expected_scores = head.fc_cls(features.mean(dim=(2, 3)).unflatten(0, (2, 5)).mean(dim=1))
    torch.testing.assert_close(scores, expected_scores.detach())
    weights = head.fc_cls.weight[torch.tensor([1, 2])].repeat_interleave(5, dim=0)
    relevance = torch.relu((features * weights[:, :, None, None]).sum(dim=1, keepdim=True)).detach()
    relevance = torch.nn.functional.interpolate(relevance, (12, 12), mode="bilinear").reshape(2, 5, 12, 12)
    colours = pictures(model, data, torch.tensor([1, 2]), relevance)
    frames = torch.stack(data["inputs"]).movedim(2, -1).numpy() / 255
    np.testing.assert_allclose(blended.numpy(), 0.25 * colours + 0.75 * frames, atol=0.02)
    assert (scores.argmax(dim=1) != torch.tensor([1, 2])).any()
    assert not torch.equal(cam(data)[0], cam(data, use_labels=True)[0])


def test_maps_of_clips_are_one_a_view() -> None:
    torch.manual_seed(0)
    head = I3DHead(num_classes=3, in_channels=4, average_clips="prob")
    preprocessor = ActionDataPreprocessor(mean=[128.0] * 3, std=[64.0] * 3, format_shape="NCTHW")
    model = Recognizer3D(ClipNetwork(), head, data_preprocessor=preprocessor)
    blended, scores = GradCAM(model, "backbone.layer", colormap="jet")(batch(2, 3, 4, 10, 10))
    assert blended.shape == (4, 4, 10, 10, 3)
    assert scores.shape == (2, 3)
    assert float(blended.min()) >= 0
    assert float(blended.max()) <= 1


def test_what_cannot_be_explained_is_said() -> None:
    head = I3DHead(num_classes=3, in_channels=4)
    model = Recognizer3D(ClipNetwork(), head, data_preprocessor=ActionDataPreprocessor(format_shape="NCTHW"))
    with pytest.raises(ConfigError, match=r"no layer 'backbone\.layr' in Recognizer3D: did you mean"):
        GradCAM(model, "backbone/layr")
    with pytest.raises(ValueError, match="there is no colormap 'none'"):
        GradCAM(model, "backbone/layer", colormap="none")
    with pytest.raises(ConfigError, match="the layer 'cls_head' gives no maps"):
        GradCAM(model, "cls_head")(batch(2, 3, 4, 10, 10))

    class Aside(ClipNetwork):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.layer(x)
            return self.stem(x)

    model.backbone = Aside()
    with pytest.raises(ConfigError, match=r"the scores do not depend on the layer 'backbone\.layer'"):
        GradCAM(model, "backbone/layer")(batch(2, 3, 4, 10, 10))
