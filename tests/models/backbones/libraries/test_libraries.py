import copy
import importlib.util
import pickle
import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError, MissingDependencyError, PartArgumentError
from kinema.models import Recognizer2D, TSNHead
from kinema.models.backbones.libraries import build_third_party

FRAMES = torch.rand(2, 3, 3, 4, 4)


class Network(nn.Module):
    """A network as those libraries have them: features, then a classifier."""

    def __init__(self, layout="NCHW", num_classes=1000, num_features=None):
        super().__init__()
        self.layout = layout
        self.num_features = num_features
        self.num_classes = num_classes
        self.features = nn.Conv2d(3, 5, 1)
        self.classifier = nn.Linear(5, 7)

    def forward_features(self, x):
        x = self.features(x)  # (B, 5, H, W)
        layouts = {
            "NHWC": x.permute(0, 2, 3, 1),
            "NLC": x.flatten(2).transpose(1, 2),
            "NC": x.mean((2, 3)),
            "NCLHW": x[:, :, None],
        }
        return layouts.get(self.layout, x)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


@pytest.fixture
def libraries(monkeypatch):
    """Stand-ins for timm and torchvision, so that the way to them is tested without them."""
    timm, vision, models = ModuleType("timm"), ModuleType("torchvision"), ModuleType("torchvision.models")
    timm.list_models = lambda: ["net"]
    timm.create_model = lambda name, **settings: Network(**settings)
    models.list_models = lambda: ["net"]
    models.net = lambda layout="NCHW": Network(layout)
    vision.models = models
    for name, module in (("timm", timm), ("torchvision", vision), ("torchvision.models", models)):
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize(
    "backbone",
    [
        {"type": "timm.net"},
        {"type": "timm.net", "layout": "NHWC", "feature_shape": "NHWC"},
        {"type": "timm.net", "layout": "NHWC", "num_features": 5},
        {"type": "timm.net", "layout": "NLC"},
        {"type": "timm.net", "layout": "NC"},
        {"type": "torchvision.net"},
    ],
)
def test_features_of_any_layout_are_pooled_and_the_weights_keep_their_names(backbone) -> None:
    model = Recognizer2D(backbone, TSNHead(4, 5, dropout_ratio=0, average_clips="score")).eval()
    assert "backbone.features.weight" in model.state_dict()
    pooled = model.backbone.features(FRAMES.flatten(0, 1)).mean((2, 3))
    assert model(FRAMES).shape == (6, 5, 1, 1)
    torch.testing.assert_close(model(FRAMES)[:, :, 0, 0], pooled)
    torch.testing.assert_close(model(FRAMES, mode="predict")[0].pred_score, model.cls_head.fc_cls(pooled[:3].mean(0)))


@pytest.mark.usefixtures("libraries")
def test_a_recognizer_on_such_a_network_is_copied_and_pickled() -> None:
    model = Recognizer2D({"type": "timm.net"}, TSNHead(4, 5)).eval()
    assert model.backbone_from == "timm"
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(FRAMES), model(FRAMES))
        assert twin.backbone is not model.backbone


@pytest.mark.usefixtures("libraries")
def test_classifiers_are_left_out() -> None:
    assert isinstance(build_third_party({"type": "torchvision.net"}).module.classifier, nn.Identity)
    assert build_third_party({"type": "timm.net"}).module.num_classes == 0


@pytest.mark.usefixtures("libraries")
def test_wrong_requests_name_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"timm has no network 'nett': did you mean net\?"):
        build_third_party({"type": "timm.nett"})
    with pytest.raises(ConfigError, match=r"torchvision has no network 'xyz'$"):
        build_third_party({"type": "torchvision.xyz"})
    with pytest.raises(PartArgumentError, match=r"torchvision\.net has no keyword 'width'; its keywords: layout"):
        build_third_party({"type": "torchvision.net", "width": 2})
    with pytest.raises(
        ConfigError, match="feature_shape of backbone timm.net must be 'NCHW', 'NHWC' or 'NLC', got 'HW'"
    ):
        build_third_party({"type": "timm.net", "feature_shape": "HW"})
    with pytest.raises(ConfigError, match=r"mmpretrain\.HRNet: of MMPretrain Kinema has MobileNetV2 and "):
        build_third_party({"type": "mmpretrain.HRNet"})
    resnext = {"type": "mmcls.ResNeXt", "depth": 101, "groups": 32, "width_per_group": 4}
    with pytest.raises(ConfigError, match=r"mmcls\.ResNeXt: timm .* dict\(type='timm\.resnext101_32x4d', pret"):
        build_third_party(resnext)
    with pytest.raises(ConfigError, match=r"mmcls\.ResNet: timm .* dict\(type='timm\.resnet18', pret"):
        build_third_party({"type": "mmcls.ResNet", "depth": 18})
    network = build_third_party({"type": "timm.net", "feature_shape": "NLC"})
    with pytest.raises(ConfigError, match=r"gives features \(6, 5, 4, 4\), which are not NLC: correct feature_shape"):
        network.features(network.module, FRAMES.flatten(0, 1))
    network = build_third_party({"type": "timm.net", "layout": "NCLHW"})
    with pytest.raises(ConfigError, match=r"gives features \(6, 5, 1, 4, 4\); 2, 3 or 4 dimensions can be pooled"):
        network.features(network.module, FRAMES.flatten(0, 1))


@pytest.mark.parametrize("library", ["timm", "torchvision", "transformers"])
def test_a_library_that_is_not_there_is_named_with_its_installation(library) -> None:
    if importlib.util.find_spec(library):
        pytest.skip(f"{library} is installed")
    wheel = r"'kinema\[transformers\]'" if library == "transformers" else library
    message = rf"backbone {library}\.resnet50 needs {library}, which cannot be imported .*: pip install {wheel}"
    with pytest.raises(MissingDependencyError, match=message):
        Recognizer2D({"type": f"{library}.resnet50"})
