import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models import BaseHead, BaseRecognizer, I3DHead, Recognizer3D
from kinema.models.recognition import Folded
from kinema.registry import MODELS
from kinema.structures import ActionDataSample


class CountingBackbone(nn.Module):
    """Doubles the clips and remembers how many it saw at once."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, x):
        self.sizes.append(len(x))
        return 2 * x


class TwoLevels(nn.Module):
    def forward(self, x):
        return x, 3 * x


class SumNeck(nn.Module):
    """Joins two levels, with a loss of its own where there are labels."""

    def forward(self, feats, data_samples):
        losses = {} if data_samples is None else {"loss_aux": feats[0].sum()}
        return feats[0] + feats[1], losses


def head(**settings) -> I3DHead:
    return I3DHead(4, 3, dropout_ratio=0, average_clips="prob", **settings)


def labelled(*labels) -> list[ActionDataSample]:
    return [ActionDataSample().set_gt_label(label) for label in labels]


CLIPS = torch.rand(2, 5, 3, 4, 6, 6)


def test_tensor_mode_gives_the_features_of_all_views() -> None:
    model = Recognizer3D(CountingBackbone(), head())
    assert torch.equal(model(CLIPS), 2 * CLIPS.flatten(0, 1))
    features, options = model.extract_feat(CLIPS)
    assert torch.equal(features, model(CLIPS))
    assert options == {}


def test_a_recognizer_stacks_clips_where_no_preprocessor_is_given() -> None:
    model = Recognizer3D(CountingBackbone(), head())
    samples = model.val_step({"inputs": [clip.mul(255).byte() for clip in CLIPS], "data_samples": labelled(0, 3)})
    assert [sample.pred_score.shape for sample in samples] == [(4,), (4,)]
    assert model.backbone_from == "mmaction2"


def test_features_are_given_of_each_stage_with_what_the_head_gets() -> None:
    model = Recognizer3D(TwoLevels(), head(), neck=SumNeck()).eval()
    levels, options = model.extract_feat(CLIPS, stage="backbone")
    assert (len(levels), options) == (2, {})
    joined, options = model.extract_feat(CLIPS, data_samples=labelled(0, 3))
    assert list(options) == ["loss_aux"]
    assert torch.equal(joined, model(CLIPS))
    scores, _ = model.extract_feat(CLIPS, stage="head", test_mode=True)
    assert torch.equal(scores, model.cls_head(joined))
    assert (model.with_neck, model.with_cls_head) == (True, True)
    with pytest.raises(ValueError, match="stage must be one of backbone, neck, head, got 'tail'"):
        model.extract_feat(CLIPS, stage="tail")


def test_an_own_extraction_may_give_a_pair_or_the_features_alone() -> None:
    class Pair(Recognizer3D):
        def extract_feat(self, inputs: torch.Tensor, **keywords: object) -> tuple:
            features, options = super().extract_feat(inputs, **keywords)
            return 2 * features, options

    class Alone(Recognizer3D):
        def extract_feat(self, inputs: torch.Tensor, **keywords: object) -> torch.Tensor:
            return 2 * super().extract_feat(inputs, **keywords)[0]

    parts = CountingBackbone(), head()
    expected = Recognizer3D(*parts)(2 * CLIPS, mode="predict")
    for kind in (Pair, Alone):
        model = kind(*parts)
        assert torch.equal(model(CLIPS), 4 * CLIPS.flatten(0, 1))
        torch.testing.assert_close(model(CLIPS, mode="predict")[0].pred_score, expected[0].pred_score)
        assert "loss_cls" in model(CLIPS, labelled(0, 3), mode="loss")


def test_loss_mode_trains_head_and_neck() -> None:
    model = Recognizer3D(TwoLevels(), head(), neck=SumNeck())
    losses = model(CLIPS, labelled(0, 3), mode="loss")
    assert list(losses) == ["top1_acc", "loss_cls", "loss_aux"]
    losses["loss_cls"].backward()
    assert model.cls_head.fc_cls.weight.grad.abs().sum() > 0


def test_predict_mode_averages_the_views_of_each_sample() -> None:
    model = Recognizer3D(CountingBackbone(), head())
    given = labelled(0, 1)
    result = model(CLIPS, given, mode="predict")
    scores = model.cls_head(2 * CLIPS.flatten(0, 1)).softmax(-1)
    torch.testing.assert_close(result[1].pred_score, scores[5:].mean(0))
    assert result[0] is given[0]
    assert model(CLIPS, mode="predict")[1].pred_label.shape == (1,), "samples are made when there are none"


@pytest.mark.parametrize("backbone", [CountingBackbone, TwoLevels])
def test_max_testing_views_bounds_the_views_at_once_and_changes_no_score(backbone) -> None:
    neck = SumNeck() if backbone is TwoLevels else None
    whole = Recognizer3D(backbone(), head(), neck=neck)
    parts = Recognizer3D(backbone(), whole.cls_head, neck=neck, test_cfg={"max_testing_views": 4})
    for one, other in zip(whole(CLIPS, mode="predict"), parts(CLIPS, mode="predict"), strict=True):
        torch.testing.assert_close(one.pred_score, other.pred_score)
    if backbone is CountingBackbone:
        assert parts.backbone.sizes == [4, 4, 2]


def test_a_recognizer_builds_from_configs_and_trains_on_a_loaders_batch() -> None:
    model = MODELS.build(
        {
            "type": "Recognizer3D",
            "backbone": nn.Sequential(nn.Conv3d(3, 3, 1)),
            "cls_head": {"type": "I3DHead", "num_classes": 4, "in_channels": 3},
            "data_preprocessor": {
                "type": "ActionDataPreprocessor",
                "mean": [1, 2, 3],
                "std": [1, 1, 1],
                "format_shape": "NCTHW",
            },
        }
    )
    batch = {"inputs": [torch.randint(0, 256, (1, 3, 4, 6, 6), dtype=torch.uint8)] * 2, "data_samples": labelled(0, 3)}
    assert model.train_step(batch)["loss_cls"].requires_grad
    assert model.val_step(batch)[0].pred_score.shape == (4,)
    assert list(model.state_dict()) == [
        "backbone.0.weight",
        "backbone.0.bias",
        "cls_head.fc_cls.weight",
        "cls_head.fc_cls.bias",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test_cfg": {"max_views": 2}}, "has no key 'max_views'; its keys: fcn_test, max_testing_views"),
        ({"train_cfg": {"aux": 1}}, "train_cfg of Recognizer3D has no key 'aux'; its keys: none"),
        (
            {"test_cfg": {"fcn_test": True}},
            r"fcn_test=True, but the head \(NoneType\) cannot classify as a convolution",
        ),
        ({"test_cfg": {"max_testing_views": 0}}, "max_testing_views of test_cfg must be at least 1, got 0"),
    ],
)
def test_wrong_settings_are_refused(arguments, message) -> None:
    with pytest.raises(ConfigError, match=message):
        Recognizer3D(CountingBackbone(), **arguments)


BACKBONES = [
    ({"type": "ResNet3d", "depth": 18}, "I3DHead", 2048, "512"),
    ({"type": "ResNet3dSlowOnly", "depth": 50}, "I3DHead", 512, "2048"),
    ({"type": "X3D", "gamma_b": 2.25}, "X3DHead", 192, "432"),
    ({"type": "ResNet3dSlowFast"}, "SlowFastHead", 2048, "2304"),
    ({"type": "C3D", "out_dim": 512}, "I3DHead", 512, "4096"),
]


@pytest.mark.parametrize(("backbone", "kind", "channels", "given"), BACKBONES)
def test_a_head_for_other_channels_is_refused_when_the_recognizer_is_built(backbone, kind, channels, given) -> None:
    cls_head = {"type": kind, "num_classes": 4, "in_channels": channels}
    message = (
        rf"the backbone \({backbone['type']}\) gives {given} channels, but {kind} .* in_channels={channels}: set in_ch"
    )
    with torch.device("meta"), pytest.raises(ConfigError, match=message):
        Recognizer3D(backbone, cls_head)
    with torch.device("meta"):
        Recognizer3D(backbone, {**cls_head, "in_channels": int(given)})


def test_a_head_for_other_features_is_refused_when_the_recognizer_is_built() -> None:
    backbone = {"type": "ResNet3d", "depth": 18}
    flat = {"type": "I3DHead", "num_classes": 4, "in_channels": 3 * 512, "spatial_type": None}
    with torch.device("meta"):
        Recognizer3D(backbone, flat)
        with pytest.raises(ConfigError, match=r"gives 512 channels, but I3DHead .* in_channels=1000"):
            Recognizer3D(backbone, {**flat, "in_channels": 1000})
        with pytest.raises(ConfigError, match="SlowFastHead takes the features of two pathways"):
            Recognizer3D(backbone, {"type": "SlowFastHead", "num_classes": 4, "in_channels": 512})


def test_several_stages_give_features_but_no_scores() -> None:
    backbone = {"type": "ResNet3d", "depth": 18, "base_channels": 8, "out_indices": (2, 3)}
    model = Recognizer3D(backbone, I3DHead(4, 64)).eval()
    clips = torch.zeros(1, 1, 3, 2, 32, 32)
    assert [level.shape[1] for level in model(clips)] == [32, 64]
    with pytest.raises(ConfigError, match="the backbone gives 2 features, but I3DHead takes one: set out_indices"):
        model(clips, mode="predict")


def test_a_head_of_ones_own_may_do_with_features_what_it_likes() -> None:
    class Own(BaseHead):
        def forward(self, x):
            return x[:, : self.num_classes].mean((2, 3, 4))

    model = Recognizer3D({"type": "ResNet3d", "depth": 18, "base_channels": 8}, Own(4, 1)).eval()
    assert model(torch.zeros(1, 1, 3, 2, 32, 32), mode="predict")[0].pred_score.shape == (4,)


def test_a_pyramid_of_clips_is_classified_as_a_convolution() -> None:
    neck = {
        "type": "TPN",
        "in_channels": (128, 256),
        "out_channels": 64,
        "spatial_modulation_cfg": {"in_channels": (128, 256), "out_channels": 256},
        "temporal_modulation_cfg": {"downsample_scales": (2, 2)},
        "upsample_cfg": {"scale_factor": (1, 1, 1)},
        "downsample_cfg": {"downsample_scale": (1, 1, 1)},
        "level_fusion_cfg": {"in_channels": (64, 64), "mid_channels": (64, 64), "out_channels": 64},
    }
    cfg = {
        "type": "Recognizer3D",
        "backbone": {"type": "ResNet3dSlowOnly", "depth": 50, "base_channels": 8, "out_indices": (2, 3)},
        "neck": neck,
        "cls_head": {"type": "TPNHead", "num_classes": 4, "in_channels": 2048, "average_clips": "score"},
    }
    with pytest.raises(ConfigError, match=r"the neck \(TPN\) gives 2048 channels, but TPNHead .* in_channels=64"):
        MODELS.build({**cfg, "cls_head": {**cfg["cls_head"], "in_channels": 64}})
    plain, convolved = MODELS.build(cfg).eval(), MODELS.build({**cfg, "test_cfg": {"fcn_test": True}}).eval()
    convolved.load_state_dict(plain.state_dict())
    further = [name for name in convolved.state_dict() if name not in plain.state_dict()]
    assert further == ["cls_head.new_cls.weight", "cls_head.new_cls.bias"]
    clips = torch.rand(1, 2, 3, 2, 32, 32)
    ours, same = (model(clips, mode="predict")[0].pred_score for model in (plain, convolved))
    torch.testing.assert_close(ours, same)


def test_wrong_calls_say_what_is_wrong() -> None:
    model = Recognizer3D(CountingBackbone(), head())
    with pytest.raises(
        ValueError, match=r"shape \(batch, views, .*got \(5, 3, 4, 6, 6\): .*'NCTHW'.* inputs\.unsqueeze\(1\)"
    ):
        model(CLIPS[0])
    with pytest.raises(ValueError, match="mode must be 'tensor', 'loss' or 'predict', got 'train'"):
        model(CLIPS, mode="train")
    with pytest.raises(ValueError, match="mode 'loss' needs data_samples with gt_label"):
        model(CLIPS, mode="loss")
    with pytest.raises(ConfigError, match="the recognizer has no cls_head: it gives features"):
        Recognizer3D(CountingBackbone())(CLIPS, mode="predict")


def test_a_kind_of_recognizer_is_how_it_folds_its_inputs() -> None:
    class OfOneView(BaseRecognizer):
        def fold(self, inputs: torch.Tensor) -> Folded:
            return Folded(inputs)

    model = OfOneView(CountingBackbone(), head())
    assert torch.equal(model(CLIPS[:, 0]), 2 * CLIPS[:, 0])
    assert "loss_cls" in model(CLIPS[:, 0], labelled(0, 3), mode="loss")
    expected = Recognizer3D(CountingBackbone(), model.cls_head)(CLIPS[:, :1], mode="predict")
    torch.testing.assert_close(model(CLIPS[:, 0], mode="predict")[1].pred_score, expected[1].pred_score)


def test_a_recognizer_may_define_the_three_modes_itself() -> None:
    class Own(BaseRecognizer):
        def extract_feat(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs + 1

        def loss(self, inputs: torch.Tensor, data_samples: list) -> dict:
            return {"loss": inputs.sum()}

        def predict(self, inputs: torch.Tensor, data_samples: list | None = None) -> list:
            return [3]

    model = Own(nn.Identity())
    assert torch.equal(model(CLIPS), CLIPS + 1)
    assert list(model(CLIPS, [], mode="loss")) == ["loss"]
    assert model(CLIPS, mode="predict") == [3]


def test_a_recognizer_that_defines_nothing_says_what_it_must_define() -> None:
    class Empty(BaseRecognizer):
        pass

    with pytest.raises(NotImplementedError, match="Empty must define fold, or extract_feat, loss and predict"):
        Empty(nn.Identity())(CLIPS)


def test_average_clips_in_test_cfg_is_named_and_has_no_effect(caplog) -> None:
    with caplog.at_level("WARNING", logger="kinema"):
        model = Recognizer3D(CountingBackbone(), head(), test_cfg={"average_clips": "score"})
    assert "test_cfg of Recognizer3D: average_clips has no effect here" in caplog.text
    assert model.cls_head.average_clips == "prob"
    assert model.test_cfg == {"average_clips": "score"}
