import copy

import pytest
import torch
import torch.nn.functional as F

from kinema.errors import ConfigError
from kinema.models import TPN, Recognizer2D, ResNet, TPNHead
from kinema.models.necks.tpn import DownSample
from kinema.structures import ActionDataSample

LEVELS = [torch.randn(2, 32, 4, 8, 8), torch.randn(2, 64, 4, 4, 4)]


def tpn(**changes) -> TPN:
    settings = {
        "in_channels": (32, 64),
        "out_channels": 32,
        "spatial_modulation_cfg": {"in_channels": (32, 64), "out_channels": 64},
        "temporal_modulation_cfg": {"downsample_scales": (2, 4)},
        "upsample_cfg": {"scale_factor": [2, 1, 1]},
        "downsample_cfg": {"downsample_scale": (2, 1, 1)},
        "level_fusion_cfg": {
            "in_channels": (32, 32),
            "mid_channels": (32, 64),
            "out_channels": 64,
            "downsample_scales": [[2, 1, 1], [1, 1, 1]],
        },
        "aux_head_cfg": {"out_channels": 5, "loss_weight": 0.5},
    }
    return TPN(**{**settings, **changes}).eval()


def conv_bn_relu(module, x, **settings):
    """The block by its definition, with norms as they are at first."""
    x = F.conv3d(x, module.conv.weight, module.conv.bias, **settings)
    return (x / (1 + 1e-5) ** 0.5).relu()


@pytest.mark.parametrize("flow", ["cascade", "parallel"])
@torch.no_grad()
def test_levels_are_joined_both_ways(flow) -> None:
    neck = tpn(flow_type=flow)
    first = conv_bn_relu(
        neck.spatial_modulation.spatial_modulation[0][0], LEVELS[0], stride=(1, 2, 2), padding=(0, 1, 1)
    )
    levels = []
    for level, op, scale in zip((first, LEVELS[1]), neck.temporal_modulation_ops, (2, 4), strict=True):
        level = F.conv3d(level, op.conv.conv.weight, padding=(1, 0, 0), groups=32)
        levels.append(F.max_pool3d(level, (scale, 1, 1), ceil_mode=True))

    def fuse(fusion, low, high):
        low = conv_bn_relu(fusion.downsamples[0].conv, F.max_pool3d(low, (2, 1, 1)), groups=32)
        high = conv_bn_relu(fusion.downsamples[1].conv, high, groups=32)
        return conv_bn_relu(fusion.fusion_conv, torch.cat([low, high], 1))

    low = levels[0] + levels[1].repeat_interleave(2, dim=2)
    start = low if flow == "cascade" else levels[0]
    down = F.max_pool3d(F.conv3d(start, neck.downsample_ops[0].conv.conv.weight, padding=(1, 0, 0)), (2, 1, 1))
    both = torch.cat(
        [fuse(neck.level_fusion_1, low, levels[1]), fuse(neck.level_fusion_2, start, levels[1] + down)], dim=1
    )
    result, losses = neck(LEVELS)
    torch.testing.assert_close(result, conv_bn_relu(neck.pyramid_fusion, both), atol=1e-4, rtol=1e-4)
    assert result.shape == (2, 2048, 1, 4, 4)
    assert losses == {}


@pytest.mark.parametrize(("labels", "views"), [((1, 4), 1), ((3,), 2)])
def test_the_auxiliary_head_classifies_the_last_but_one_level(labels, views) -> None:
    neck = tpn()
    samples = [ActionDataSample().set_gt_label(label) for label in labels]
    x = conv_bn_relu(neck.aux_head.conv, LEVELS[0], stride=(1, 2, 2), padding=(0, 1, 1)).mean((2, 3, 4))
    expected = 0.5 * F.cross_entropy(neck.aux_head.fc(x), torch.tensor(labels).repeat_interleave(views))
    torch.testing.assert_close(neck(LEVELS, samples)[1]["loss_aux"], expected)
    assert tpn(aux_head_cfg=None)(LEVELS, samples)[1] == {}


def test_ways_that_are_not_set_are_not_gone() -> None:
    fusion = {"in_channels": (64, 64), "mid_channels": (32, 64), "out_channels": 64}
    neck = tpn(
        upsample_cfg=None, downsample_cfg=None, temporal_modulation_cfg=None, out_channels=64, level_fusion_cfg=fusion
    )
    assert [len(neck.upsample_ops), len(neck.downsample_ops), len(neck.temporal_modulation_ops)] == [0, 0, 0]
    assert neck(LEVELS)[0].shape == (2, 2048, 4, 4, 4)


def test_weights_are_initialised_as_in_the_original() -> None:
    neck = tpn()
    neck.init_weights()
    weight = neck.pyramid_fusion.conv.weight
    assert weight.abs().max().item() == pytest.approx((6 / (2048 + 128)) ** 0.5, rel=0.01)
    assert neck.aux_head.fc.weight.std().item() == pytest.approx(0.01, rel=0.2)


def test_a_recognizer_of_frames_trains_and_tests_with_it() -> None:
    neck = tpn(
        in_channels=(256, 512),
        out_channels=512,
        spatial_modulation_cfg={"in_channels": (256, 512), "out_channels": 512},
        temporal_modulation_cfg={"downsample_scales": (2, 2)},
        upsample_cfg={"scale_factor": (1, 1, 1)},
        downsample_cfg={"downsample_scale": (1, 1, 1)},
        level_fusion_cfg={"in_channels": (512, 512), "mid_channels": (512, 512), "out_channels": 64},
    )
    head = TPNHead(5, 2048, average_clips="score", dropout_ratio=0)
    model = Recognizer2D(ResNet(18, out_indices=(2, 3)), head, neck, test_cfg={"fcn_test": True, "num_segs": 2})
    frames = torch.rand(2, 4, 3, 32, 32)
    samples = [ActionDataSample().set_gt_label(label) for label in (1, 3)]
    losses = model.train()(frames, samples, mode="loss")
    assert {"loss_cls", "loss_aux"} < set(losses)
    model.eval()
    scores = torch.stack([one.pred_score for one in model(frames, mode="predict")])
    parts = model(frames.flatten(0, 1).unflatten(0, (4, 2)), mode="predict")
    torch.testing.assert_close(scores, torch.stack([one.pred_score for one in parts]).unflatten(0, (2, 2)).mean(1))


def test_full_convolution_adds_its_names_to_the_state_and_never_goes_stale() -> None:
    head = TPNHead(5, 8, dropout_ratio=0)
    feats = torch.rand(2, 8, 3, 2, 2)
    assert list(head.state_dict()) == ["fc_cls.weight", "fc_cls.bias"]
    head.prepare_fcn_test()
    head.prepare_fcn_test()
    state = copy.deepcopy(head).state_dict()
    assert list(state) == ["fc_cls.weight", "fc_cls.bias", "new_cls.weight", "new_cls.bias"]
    convolved = F.conv3d(feats.mean((2, 3, 4), keepdim=True), state["new_cls.weight"], state["new_cls.bias"])
    torch.testing.assert_close(head(feats, fcn_test=True), convolved.flatten(1))
    state["new_cls.weight"].zero_()
    other = TPNHead(5, 8, dropout_ratio=0)
    other.prepare_fcn_test()
    other.load_state_dict(state, strict=True)
    torch.testing.assert_close(other(feats, fcn_test=True), head(feats))
    del state["new_cls.weight"], state["new_cls.bias"]
    TPNHead(5, 8).load_state_dict(state)


def test_the_head_averages_frames_too() -> None:
    head = TPNHead(5, 8, dropout_ratio=0)
    feats = torch.rand(6, 8, 2, 2)
    expected = head.fc_cls(feats.mean((2, 3)).unflatten(0, (2, 3)).mean(1))
    torch.testing.assert_close(head(feats, num_segs=3), expected)
    torch.testing.assert_close(head(feats[:, :, None]), head.fc_cls(feats.mean((2, 3))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flow_type": "up"}, "flow_type of TPN must be 'cascade' or 'parallel', got 'up'"),
        ({"level_fusion_cfg": None}, "TPN needs spatial_modulation_cfg and level_fusion_cfg"),
        ({"in_channels": (32,)}, r"TPN joins two levels or more, got in_channels=\(32,\)"),
        ({"temporal_modulation_cfg": None}, "out_channels=32 of TPN must be that of spatial_modulation_cfg, 64, where"),
        ({"temporal_modulation_cfg": {"downsample_scales": (2,)}}, "has 1 entries for the 2 levels of in_channels"),
        ({"out_channels": 64}, r"level_fusion_cfg of TPN must be \(64, 64\), .* got \(32, 32\)"),
    ],
)
def test_wrong_settings_are_refused(changes, message) -> None:
    with pytest.raises(ConfigError, match=message):
        tpn(**changes)


def test_other_levels_than_announced_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"built with in_channels=\(32, 64\), but the backbone gives levels of \(64, 32\)"
    ):
        tpn()(LEVELS[::-1])
    with pytest.raises(ConfigError, match="but the backbone gives one level: set out_indices of the backbone"):
        tpn()(LEVELS[0])
    with pytest.raises(ConfigError, match="downsample_position of TPN must be 'before' or 'after', got 'off'"):
        DownSample(32, 32, downsample_position="off")
