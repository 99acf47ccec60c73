from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models import Recognizer2D, Recognizer3D, create_model, zoo
from kinema.models.heads import I3DHead, TSNHead
from kinema.registry import MODELS
from kinema.report.explanation import GradCam

FAMILIES = ("c2d_r50", "i3d_r50", "ircsn_r50", "r2plus1d_r34", "slowfast_r50", "slowonly_r50", "tanet_r50", "tin_r50")
LARGE = (
    *FAMILIES,
    "c3d",
    "x3d_xs",
    "tsn_r18",
    "tpn_slowonly_r50",
    "tpn_tsm_r50",
    "trn_r50",
    "tsn_r50_flow",
    "tsm_r50_nl_gaussian",
)


def clips_of(name: str, views: int = 2) -> Tensor:
    spec = zoo.card(name).input
    size = 112 if name == "c3d" else 64 if "csn" in name else 40
    frames = spec.clip_len if name == "c3d" else min(spec.clip_len, 8)
    if spec.format_shape == "NCHW":
        return torch.randn(1, views * spec.num_frames, spec.channels, size, size + 8)
    return torch.randn(1, views, spec.channels, frames, size, size + (0 if name == "c3d" else 8))


def upsampled(maps: Tensor, size: tuple[int, ...]) -> np.ndarray:
    """(V, T', H', W') -> (V, T, H, W) of the whole, with 1 for the largest and nothing below 0."""
    whole = F.interpolate(maps[:, None], size=size, mode="trilinear", align_corners=False)[:, 0].clamp(min=0)
    return (whole / whole.max()).numpy()


@pytest.fixture(scope="module")
def compact() -> Recognizer3D:
    torch.manual_seed(0)
    model = create_model("compact3d", num_classes=3)
    nn.init.normal_(model.cls_head.fc_cls.weight)
    return model


@pytest.mark.parametrize(
    "name",
    [
        *("compact3d", "tsm_mobilenetv2"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE),
    ],
)
def test_every_family_can_be_explained_and_stays_as_it_was(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=4)
    model.backbone.eval()  # a part in its own mode
    inputs = clips_of(name)
    modes = [module.training for module in model.modules()]
    state = {key: value.clone() for key, value in model.state_dict().items()}
    first = GradCam(model).explain(inputs, 2)
    views = inputs.shape[1] if inputs.dim() == 6 else 1
    assert first.maps.shape == (views, inputs.shape[-3] if inputs.dim() == 6 else inputs.shape[1], *inputs.shape[-2:])
    assert first.maps.dtype == np.float32
    assert np.isfinite(first.maps).all()
    assert first.maps.min() >= 0
    assert first.maps.max() in (0, 1)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.is_grad_enabled()
    # Neither gradients nor inference mode around it change anything; the layer can be named.
    with torch.inference_mode():
        again = GradCam(model, first.layer).explain(inputs, 2)
    assert np.array_equal(first.maps, again.maps)


def test_of_a_linear_head_the_map_is_the_score_of_each_place(compact: Recognizer3D) -> None:
    inputs = torch.randn(1, 2, 3, 8, 48, 64)
    compact.eval()
    weight, bias = compact.cls_head.fc_cls.weight, compact.cls_head.fc_cls.bias
    with torch.no_grad():
        features = compact.backbone(inputs[0])
        places = torch.einsum("vcthw,c->vthw", features, weight[1])
        scores = places.mean(dim=(1, 2, 3)) + bias[1]
    saliency = GradCam(compact).explain(inputs, 1)
    assert saliency.layer == "backbone"
    assert saliency.score == pytest.approx(float(scores.mean()), abs=1e-5)
    assert np.allclose(saliency.maps, upsampled(places, (8, 48, 64)), atol=1e-5)


def test_of_single_frames_the_map_is_the_score_of_each_place_and_frame() -> None:
    torch.manual_seed(1)
    backbone = nn.Sequential(nn.Conv2d(3, 5, 3, stride=4), nn.ReLU())
    backbone.out_channels = 5
    head = TSNHead(3, 5, init_std=1.0)
    head.init_weights()
    model = Recognizer2D(backbone, head).eval()
    inputs = torch.randn(1, 6, 3, 33, 29)
    with torch.no_grad():
        places = torch.einsum("fchw,c->fhw", backbone(inputs[0]), head.fc_cls.weight[2])
    assert np.allclose(GradCam(model).explain(inputs, 2).maps, upsampled(places[None], (6, 33, 29)), atol=1e-5)


class TwoPathways(nn.Module):
    """A slow and a fast pathway, as SlowFast has them."""

    out_channels = (4, 2)

    def __init__(self) -> None:
        super().__init__()
        self.slow = nn.Conv3d(3, 4, 3, stride=(4, 8, 8))
        self.fast = nn.Conv3d(3, 2, 3, stride=(1, 8, 8), padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.slow(x).relu(), self.fast(x).relu()


def test_pathways_add_up_as_they_do_in_the_score() -> None:
    torch.manual_seed(2)
    head = MODELS.build(dict(type="SlowFastHead", num_classes=3, in_channels=6, init_std=1.0))
    head.init_weights()
    model = Recognizer3D(TwoPathways(), head).eval()
    inputs = torch.randn(1, 1, 3, 8, 32, 40)
    with torch.no_grad():
        slow, fast = model.backbone(inputs[0])
        weights = head.fc_cls.weight[0].split((2, 4))[::-1]  # those of the fast pathway come first
        parts = [torch.einsum("vcthw,c->vthw", *pair) for pair in zip((slow, fast), weights, strict=True)]
        whole = sum(F.interpolate(part[:, None], (8, 32, 40), mode="trilinear")[:, 0] for part in parts).clamp(min=0)
    assert np.allclose(GradCam(model).explain(inputs, 0).maps, (whole / whole.max()).numpy(), atol=1e-5)


def test_the_weight_of_a_channel_is_what_the_score_gains_where_it_is_raised(compact: Recognizer3D) -> None:
    """Computed by differences, for a layer with a network behind it."""
    model = compact.double().eval()
    try:
        inputs, step = torch.randn(1, 1, 3, 8, 48, 48, dtype=torch.double), 1e-6
        layer = model.get_submodule("backbone.refine")
        values: list[Tensor] = []
        handle = layer.register_forward_hook(lambda _module, _args, output: values.append(output.detach().clone()))
        with torch.no_grad():
            before = model.cls_head(model.backbone(inputs[0]))[0, 2]
            handle.remove()
            weights = []
            for channel in range(values[0].shape[1]):
                raised = values[0].clone()
                raised[:, channel] += step
                replace = layer.register_forward_hook(lambda _module, _args, _output, raised=raised: raised)
                weights.append((model.cls_head(model.backbone(inputs[0]))[0, 2] - before) / step)
                replace.remove()
            maps = torch.einsum("vcthw,c->vthw", values[0], torch.stack(weights))
        assert np.allclose(
            GradCam(model, "backbone.refine").explain(inputs, 2).maps, upsampled(maps, (8, 48, 48)), atol=1e-3
        )
    finally:
        compact.float()


def test_a_network_points_at_the_place_and_the_time_that_show_the_class() -> None:
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU())
    backbone.out_channels = 8
    model = Recognizer2D(backbone, TSNHead(2, 8, dropout_ratio=0, init_std=0.1))
    model.init_weights()

    def batch(count: int) -> tuple[Tensor, Tensor, list[tuple[int, int, int]]]:
        """Grey noise; for four of eight frames one corner is red (class 0) or green (class 1)."""
        clips, labels = 0.3 * torch.randn(count, 8, 3, 32, 32), torch.arange(count) % 2
        spots = [(4 * int(a), 16 * int(b), 16 * int(c)) for a, b, c in torch.randint(2, (count, 3))]
        for clip, label, (start, top, left) in zip(clips, labels, spots, strict=True):
            clip[start : start + 4, int(label), top + 2 : top + 14, left + 2 : left + 14] += 2
        return clips, labels, spots

    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(40):
        clips, labels, _spots = batch(8)
        loss = F.cross_entropy(model.cls_head(model.backbone(clips.flatten(0, 1)), num_segs=8), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    clips, labels, spots = batch(8)
    explainer = GradCam(model)
    for clip, label, (start, top, left) in zip(clips, labels.tolist(), spots, strict=True):
        maps = explainer.explain(clip[None], label).maps[0]
        inside = maps[start : start + 4, top : top + 16, left : left + 16].sum() / maps.sum()
        assert inside > 0.5  # an eighth of all places


def test_what_cannot_be_explained_is_named(compact: Recognizer3D) -> None:
    inputs = torch.randn(1, 1, 3, 4, 32, 32)
    cases: list[tuple[Callable[[], object], type[Exception], str]] = [
        (
            lambda: GradCam(nn.Linear(1, 1)),
            ConfigError,
            "recognizers with backbone and cls_head; Linear has no backbone",
        ),
        (
            lambda: GradCam(compact, "backbone.stage3"),
            ConfigError,
            "no layer 'backbone.stage3' .*: did you mean .*stage",
        ),
        (lambda: GradCam(compact, "xyz"), ConfigError, "no layer 'xyz' .*, whose layers model.named_modules"),
        (lambda: GradCam(compact, "cls_head").explain(inputs, 0), ConfigError, "'cls_head' gives no maps"),
        (lambda: GradCam(compact).explain(inputs[0, 0], 0), ValueError, "expected one sample, .* got"),
        (lambda: GradCam(compact).explain(inputs, 3), ValueError, "there is no class 3: the model has 3"),
        (lambda: GradCam(compact).explain(inputs, -1), ValueError, "there is no class -1"),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind, match=message):
            call()
    assert not any(module._forward_hooks for module in compact.modules())


class Shared(nn.Module):
    """Runs one layer twice, and one to no end."""

    out_channels = 3

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.unused, self.conv = nn.ReLU(), nn.Conv3d(3, 3, 1), nn.Conv3d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.unused(x)
        return self.twice(self.conv(self.twice(x)))


class Pooled(nn.Module):
    """Features without places; with `early`, behind one layer that has some."""

    out_channels = 3

    def __init__(self, *, early: bool) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 3, 3) if early else nn.Identity()
        self.rest = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
        self.is_early = early

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x) if self.is_early else x
        return self.rest(x.mean((2, 3, 4)))[:, :, None, None, None]


def test_layers_that_tell_nothing_are_named() -> None:
    inputs = torch.randn(1, 1, 3, 4, 16, 16)
    shared = Recognizer3D(Shared(), I3DHead(2, 3))
    with pytest.raises(ConfigError, match=r"'backbone\.twice' runs 2 times in a prediction: name one that runs once"):
        GradCam(shared, "backbone.twice").explain(inputs, 0)
    with pytest.raises(ConfigError, match=r"the scores do not depend on the layer 'backbone\.unused'"):
        GradCam(shared, "backbone.unused").explain(inputs, 0)
    for early, where in ((False, "nowhere"), (True, r"only at its beginning \(backbone\.conv\)")):
        model = Recognizer3D(Pooled(early=early), I3DHead(2, 3))
        with pytest.raises(ConfigError, match=f"Grad-CAM needs feature maps .* Pooled has {where}: name a layer"):
            GradCam(model).explain(inputs, 0)
        assert model.training


class OddHead(I3DHead):
    def forward(self, x: Tensor, num_segs: int | None = None) -> Tensor:
        return super().forward(x)[:, None]

    def predict(self, feats: Tensor, data_samples: list, **options: int) -> list:
        self(feats)
        return data_samples


def test_a_head_without_scores_is_named() -> None:
    model = Recognizer3D(Shared(), OddHead(2, 3))
    with pytest.raises(ConfigError, match=r"OddHead gives no scores \(clips, classes\)"):
        GradCam(model).explain(torch.randn(1, 1, 3, 4, 16, 16), 0)


@pytest.mark.parametrize(("head", "frames"), [("TSMHead", 4), ("TSNHead", None)])
def test_frames_that_are_joined_are_explained_together(head: str, frames: int | None) -> None:
    """Two views at once give what each gives, but for the common scale; also in pieces of a few frames."""
    torch.manual_seed(3)
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(inplace=True))
    backbone.out_channels = 4
    settings = {} if frames is None else {"num_segments": frames}
    cls_head = MODELS.build(dict(type=head, num_classes=2, in_channels=4, init_std=1.0, **settings))
    cls_head.init_weights()
    inputs = torch.randn(1, 8, 3, 24, 24)
    whole = GradCam(Recognizer2D(backbone, cls_head)).explain(inputs, 1).maps[0]
    pieces = GradCam(Recognizer2D(backbone, cls_head, test_cfg=dict(max_testing_views=4))).explain(inputs, 1).maps[0]
    assert np.allclose(whole, pieces, atol=1e-6)
    for part in (slice(0, 4), slice(4, 8)):
        alone = GradCam(Recognizer2D(backbone, cls_head)).explain(inputs[:, part], 1).maps[0]
        assert np.allclose(alone, whole[part] / whole[part].max(), atol=1e-5)
