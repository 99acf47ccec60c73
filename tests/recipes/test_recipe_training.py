"""From a recipe to a config: optimizer, schedule, crops, labels of mirrored clips; and to a run that trains."""

import json
from pathlib import Path
from typing import Any

import pytest

from kinema.config import Config
from kinema.datasets.synthetic import MotionDataset, make_motion_dataset
from kinema.engine import Runner
from kinema.errors import ConfigError
from kinema.models import zoo
from kinema.recipes import classification
from kinema.recipes.published import RECIPES
from kinema.recipes.training import mirrored_labels, model_of_training, repeated, schedules, training_settings
from kinema.runs.settings_file import as_data


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> MotionDataset:
    root = tmp_path_factory.mktemp("clips")
    return make_motion_dataset(root, num_train=8, num_val=8, num_frames=12, size=(64, 48))


def types(config: Config, part: str = "train") -> list[str]:
    return [step.type for step in config[f"{part}_dataloader"].dataset.pipeline]


# ---- numbers


def test_a_config_has_the_published_numbers() -> None:
    settings = training_settings(RECIPES["tsm"], 50)
    assert settings == {
        "optim_wrapper": {
            "optimizer": {"type": "SGD", "lr": 0.02, "momentum": 0.9, "weight_decay": 1e-4},
            "clip_grad": {"max_norm": 20, "norm_type": 2},
            "constructor": "TSMOptimWrapperConstructor",
            "paramwise_cfg": {"fc_lr5": True},
        },
        "auto_scale_lr": {"enable": True, "base_batch_size": 128},
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.1, "begin": 0, "end": 5, "convert_to_iter_based": True},
            {"type": "MultiStepLR", "milestones": [25, 45], "gamma": 0.1},
        ],
    }
    assert training_settings(RECIPES["tpn-tsm"], 150)["optim_wrapper"]["optimizer"]["nesterov"] is True
    assert "clip_grad" not in training_settings(RECIPES["x3d"], 256)["optim_wrapper"]


def test_drops_and_warm_up_keep_their_share_of_the_epochs() -> None:
    def drops(name: str, epochs: int) -> list[int]:
        return schedules(RECIPES[name], epochs)[-1]["milestones"]

    assert drops("tsn", 100) == [40, 80]
    assert drops("tsn", 10) == [4, 8]
    assert drops("tsn", 1) == [1, 1]
    warmup, cosine = schedules(RECIPES["slowonly"], 256)
    assert (warmup["end"], cosine["begin"], cosine["end"]) == (34, 34, 256)
    warmup, cosine = schedules(RECIPES["slowfast"], 128)
    assert (warmup["end"], cosine["begin"], cosine["end"]) == (17, 0, 128)  # at the same time
    assert [part["type"] for part in schedules(RECIPES["slowonly"], 1)] == ["CosineAnnealingLR"]
    assert [part["type"] for part in schedules(RECIPES["r2plus1d"], 180)] == ["CosineAnnealingLR"]


# ---- the way of clips


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("tsn", ["Resize", "MultiScaleCrop", "Resize", "Flip"]),
        ("i3d", ["Resize", "MultiScaleCrop", "Resize", "Flip"]),
        ("slowfast", ["Resize", "RandomResizedCrop", "Resize", "Flip"]),
        ("tpn-tsm", ["RandomResizedCrop", "Resize", "Flip", "ColorJitter"]),
        ("c3d", ["Resize", "RandomCrop", "Flip"]),
        ("x3d", ["RandomRescale", "RandomCrop", "Flip"]),
        ("compact3d", ["Resize", "RandomCrop"]),
    ],
)
def test_crops_and_colours_are_those_of_the_recipe(
    clips: MotionDataset, tmp_path: Path, name: str, steps: list[str]
) -> None:
    config = classification(clips.root, recipe=name, work_dir=tmp_path, workers=0)
    names = types(config)
    assert names[:3] == ["OpenVideo", "SampleFrames", "DecodeVideo"]
    assert names[-2:] == ["FormatShape", "PackActionInputs"]
    assert names[3:-2] == steps


def test_scales_and_places_of_crops_are_as_published(clips: MotionDataset, tmp_path: Path) -> None:
    def crop(name: str, **settings: Any) -> dict[str, Any]:
        config = classification(clips.root, recipe=name, work_dir=tmp_path, workers=0, **settings)
        pipeline = config.train_dataloader.dataset.pipeline
        return next(dict(step) for step in pipeline if step.type in ("MultiScaleCrop", "RandomRescale"))

    sizes = {"type": "MultiScaleCrop", "input_size": 224, "scales": [1, 0.875, 0.75, 0.66], "max_wh_scale_gap": 1}
    assert {**crop("tsn"), "scales": list(crop("tsn")["scales"])} == sizes
    assert crop("tsm")["num_fixed_crops"] == 13
    assert (list(crop("i3d")["scales"]), crop("i3d")["max_wh_scale_gap"]) == ([1, 0.8], 0)
    assert tuple(crop("x3d")["scale_range"]) == (182, 228)
    assert tuple(crop("x3d", model="x3d_m")["scale_range"]) == (256, 320)
    assert tuple(crop("x3d", model="x3d_l")["scale_range"]) == (356, 446)


def test_frames_are_chosen_as_published(clips: MotionDataset, tmp_path: Path) -> None:
    def sampling(**settings: Any) -> list[dict[str, Any]]:
        config = classification(clips.root, work_dir=tmp_path, workers=0, **settings)
        return [config[f"{part}_dataloader"].dataset.pipeline[1] for part in ("train", "val")]

    train, val = sampling(recipe="slowfast")
    assert (train["clip_len"], train["frame_interval"], val["test_mode"]) == (32, 2, True)
    assert sampling(model="slowfast_r50")[0]["frame_interval"] == 1  # without a recipe: what spans the clips
    for dense, test_mode in zip(sampling(recipe="tanet"), (False, True), strict=True):
        assert dense == {
            **{"type": "DenseSampleFrames", "clip_len": 1, "frame_interval": 1, "num_clips": 8},
            "test_mode": test_mode,
        }
    assert sampling(recipe="compact3d") == sampling()


def test_mirrored_clips_get_the_label_of_the_mirrored_action() -> None:
    assert mirrored_labels(["jump", "run"]) == {}
    assert mirrored_labels(["turn left", "jump", "Turn Right"]) == {0: 2, 2: 0}
    assert mirrored_labels(["push_left_to_right", "push_right_to_left"]) == {0: 1, 1: 0}
    assert mirrored_labels(["spin clockwise", "spin anticlockwise"]) == {0: 1, 1: 0}
    assert mirrored_labels(["turn left", "jump"]) is None
    assert mirrored_labels(["bright", "leftover"]) == {}


def test_what_a_mirror_would_change_is_not_mirrored(
    make_video: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kinema")

    def config_of(*classes: str) -> Config:
        folder = tmp_path / "-".join(classes)
        for name in classes:
            for number in (1, 2):
                make_video(folder / name / f"{number}.mp4", num_frames=4)
        return classification(folder, recipe="tsn", work_dir=tmp_path / "work", workers=0)

    assert "Flip" not in types(config_of("left", "up"))
    assert "no clip is mirrored: a class says a direction, and there is none of the other one" in caplog.text
    flip = config_of("left", "right").train_dataloader.dataset.pipeline[6]
    assert (flip.type, flip.flip_label_map) == ("Flip", {0: 1, 1: 0})
    assert "half of the clips are mirrored; 2 classes swap their labels then" in caplog.text
    assert "Flip" not in types(config_of("left", "right"), "val")


# ---- the config as a whole


def test_a_recipe_chooses_model_epochs_and_patience(clips: MotionDataset, tmp_path: Path) -> None:
    config = classification(clips.root, recipe="slowfast", work_dir=tmp_path / "work", workers=0, batch_size=4)
    assert config.model.backbone.type == "ResNet3dSlowFast"
    assert (config.train_cfg.max_epochs, config.train_cfg.patience) == (256, None)
    assert config.optim_wrapper.optimizer.lr == 0.1
    assert config.auto_scale_lr.base_batch_size == 64
    auto = classification(clips.root, recipe="auto", model="tsm_r50_sthv2", work_dir=tmp_path, epochs=5, patience=3)
    assert auto.optim_wrapper.optimizer.weight_decay == 5e-4
    assert (auto.train_cfg.max_epochs, auto.train_cfg.patience) == (5, 3)
    assert auto.custom_hooks[0].notes["data"]["recipe"] == "tsm-something"
    assert not (tmp_path / "work").exists()  # a recipe writes nothing


def test_the_small_network_trains_alike_with_and_without_its_recipe(clips: MotionDataset, tmp_path: Path) -> None:
    plain, named = (
        classification(clips.root, recipe=recipe, work_dir=tmp_path, workers=0, batch_size=16)
        for recipe in (None, "auto")
    )
    for config in (plain, named):
        del config["custom_hooks"]
    end = named.train_cfg.max_epochs
    assert named.pop("auto_scale_lr").base_batch_size == 16
    assert named.param_scheduler.pop() == {**plain.param_scheduler.pop(), "end": end}
    assert named == plain


def test_an_unknown_recipe_is_named_before_the_clips_are_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recipe is called 'tsmm': did you mean tsm"):
        classification(tmp_path / "absent", recipe="tsmm", work_dir=tmp_path)


def test_weights_of_the_recipe_are_taken_when_asked_for(
    clips: MotionDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def backbone(recipe: str, **settings: Any) -> Any:
        settings = {"pretrained": "recipe", **settings}
        config = classification(clips.root, recipe=recipe, work_dir=tmp_path, workers=0, **settings)
        assert "load_from" not in config
        return config.model.backbone

    assert backbone("tsn", model="tsn_r101").pretrained == "torchvision://resnet101"
    assert backbone("slowonly-imagenet").pretrained == "torchvision://resnet50"
    assert backbone("tsm-mobilenet").pretrained == "mmcls://mobilenet_v2"
    csn = backbone("csn", model="ircsn_r152")
    assert csn.pretrained.endswith("/csn/ircsn_from_scratch_r152_ig65m_20200807-771c4135.pth")
    assert (csn.norm_eval, csn.bn_frozen) == (True, True)
    assert "this run from scratch" not in caplog.text
    assert "pretrained" not in backbone("tsn", pretrained=None)
    assert "the recipe tsn starts from ImageNet weights, this run from scratch: --pretrained recipe" in caplog.text
    assert classification(clips.root, recipe="tsn", pretrained="a.pth", work_dir=tmp_path)["load_from"] == "a.pth"
    with pytest.raises(ConfigError, match="the recipe 'slowfast' starts from scratch: leave pretrained out"):
        backbone("slowfast")
    with pytest.raises(ConfigError, match="'tsn' starts from ImageNet weights, of which there are none for compact3d"):
        backbone("tsn", model="compact3d")
    with pytest.raises(ConfigError, match="pretrained 'recipe' are the weights that a recipe starts from: name one"):
        classification(clips.root, pretrained="recipe", work_dir=tmp_path)


@pytest.mark.parametrize("name", RECIPES)
def test_weights_of_every_recipe_have_an_address(clips: MotionDataset, tmp_path: Path, name: str) -> None:
    recipe = RECIPES[name]
    for model in recipe.models if recipe.start else ():
        for entry in zoo.names(model):
            make = dict(recipe=name, model=entry, pretrained="recipe", work_dir=tmp_path, workers=0)
            if name in ("uniformer", *(other for other in RECIPES if other.startswith("videomae"))):
                with pytest.raises(
                    ConfigError, match=f"weights, of which there are none for {entry}: name weights, or"
                ):
                    classification(clips.root, **make)
                continue
            config = classification(clips.root, **make)
            address = config.get("load_from") or config.model.backbone.pretrained
            assert "://" in address or address.startswith("ViT-")


def test_a_recipe_of_transformers_changes_clips_and_loss(
    clips: MotionDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    num_classes = 8

    def config_of(recipe: str, **settings: Any) -> Config:
        return classification(clips.root, recipe=recipe, work_dir=tmp_path, workers=0, **settings)

    config = config_of("videomae")
    assert "starts from masked pretraining weights, this run from scratch: name a file of them by --pre" in caplog.text
    steps = config.train_dataloader.dataset.pipeline
    altered = ["Resize", "RandAugment", "RandomResizedCrop", "Resize", "Flip", "RandomErasing"]
    assert [step.type for step in steps[3:-2]] == altered
    assert (steps[3].scale, steps[4].magnitude, steps[4].num_layers) == ((-1, 256), 7, 4)
    assert (steps[8].erase_prob, steps[8]["mode"]) == (0.25, "rand")
    dataset = config.train_dataloader.dataset
    assert (dataset.type, dataset.num_repeats, config.val_dataloader.dataset.type) == (
        *("RepeatAugDataset", 2),
        "VideoDataset",
    )
    assert (config.model.backbone.drop_path_rate, config.model.cls_head.label_smooth_eps) == (0.1, 0.1)
    blending = config.model.data_preprocessor.blending
    assert [(part.type, part.alpha, part.num_classes) for part in blending.augments] == [
        *(("MixupBlending", 0.8, num_classes), ("CutmixBlending", 1.0, num_classes)),
    ]
    own = config_of("videomae", mixup=0.2, label_smoothing=0.3)
    assert own.model.data_preprocessor.blending == {
        "type": "MixupBlending",
        "num_classes": num_classes,
        "alpha": 0.2,
    }
    assert own.model.cls_head.label_smooth_eps == 0.3
    assert "hardly learns by it" not in caplog.text
    config_of("uniformerv2-tuned")
    assert "recipe uniformerv2-tuned: its learning rate is for classes that the weights it starts from" in caplog.text
    swin = config_of("swin")
    assert (swin.train_dataloader.dataset.type, "blending" in swin.model.data_preprocessor) == ("VideoDataset", False)


def test_groups_of_parameters_are_those_of_the_recipe() -> None:
    def wrapper(name: str) -> dict[str, Any]:
        return training_settings(RECIPES[name], RECIPES[name].epochs or 1)["optim_wrapper"]

    assert wrapper("swin")["constructor"] == "SwinOptimWrapperConstructor"
    assert wrapper("swin")["paramwise_cfg"] == {
        **{name: {"decay_mult": 0.0} for name in ("relative_position_bias_table", "norm")},
        "backbone": {"lr_mult": 0.1},
    }
    assert wrapper("mvit-maskfeat")["paramwise_cfg"] == {"decay_rate": 0.75, "decay_type": "layer_wise"}
    assert wrapper("mvit")["paramwise_cfg"] == {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0}
    names = ("cls_token", "pos_embed", "time_embed")
    assert wrapper("timesformer")["paramwise_cfg"] == {"custom_keys": {name: {"decay_mult": 0.0} for name in names}}
    warmup, cosine = schedules(RECIPES["swin"], 30)
    assert (warmup["end"], cosine["begin"], "eta_min_ratio" in cosine) == (2.5, 0, False)
    assert schedules(RECIPES["swin"], 12)[0]["end"] == 1
    assert schedules(RECIPES["uniformerv2"], 55)[1]["eta_min_ratio"] == 0.1


def test_what_a_recipe_needs_of_clips_and_model_is_said() -> None:
    with pytest.raises(
        ConfigError, match="'mvit' takes 2 samples of a decoded video, which shards cannot give: train on"
    ):
        repeated({"type": "ShardDataset"}, RECIPES["mvit"])
    model = zoo.model_config("slowfast_r50", 2)
    with pytest.raises(
        ConfigError, match="trains a head over an encoder that stays as it is, for which ResNet3dSlowFast"
    ):
        model_of_training(model, RECIPES["vjepa-probe"], 2)
    with pytest.raises(
        ConfigError, match="'videomae' sets learning rates that fall from block to block of a .* ResNet3dSl"
    ):
        model_of_training(model, RECIPES["videomae"], 2)
    with pytest.raises(
        ConfigError, match="'tsm' sets learning rates of convolutions and their norms, which SwinTransf"
    ):
        model_of_training(zoo.model_config("swin_t", 2), RECIPES["tsm"], 2)
    several = model_of_training(zoo.model_config("mvit_s", 2), RECIPES["mvit"], 2, multi_label=True)
    assert several["cls_head"]["label_smooth_eps"] == 0


def test_resuming_with_another_seed_holds_out_the_same_clips(clips: MotionDataset, tmp_path: Path) -> None:
    make = dict(recipe="tsn", work_dir=tmp_path, workers=0)
    first = classification(clips.root / "train.txt", val=None, fold=(1, 2), seed=0, **make)
    resumed = classification(clips.root / "train.txt", fold=(1, 2), seed=1, resumed=as_data(first), **make)
    for part in ("train_dataloader", "val_dataloader"):
        assert resumed[part].dataset.hold_out == first[part].dataset.hold_out
    assert resumed.randomness.seed == 1
    assert list(tmp_path.iterdir()) == []


# ---- training


def shrunk(value: Any, size: int) -> Any:
    """A config with crops of 64 pixels: the networks are convolutions, and the test is of the training."""
    if isinstance(value, dict):
        return {key: shrunk(entry, size) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(shrunk(entry, size) for entry in value)
    return round(value * 64 / size) if type(value) is int and value >= 100 else value


FAST = ("compact3d",)
# Recipes that differ from another one in numbers alone.
OTHER_NUMBERS = (
    *("swin-large", "swin-kinetics700", "swin-kinetics710", "mvit-large", "mvit-something", "uniformerv2-kinetics710"),
    *("uniformerv2-moments", "uniformerv2-tuned", "videomae-small", "videomae-large", "videomae-something"),
)
_MVIT = {"arch": {"embed_dims": 24, "num_layers": 4, "num_heads": 1, "downscale_indices": [1, 2, 3]}}
_NARROW = ({"depth": 18, "base_channels": 8}, 64)
# Recipe -> settings of a small network of its kind, and its channels.
SMALL: dict[str, tuple[dict[str, Any], int]] = {
    **dict.fromkeys(("slowonly", "slowonly-r101", "slowonly-imagenet", "r2plus1d"), _NARROW),
    **dict.fromkeys(("tsn", "tsm", "tsm-something", "trn", "c2d"), ({"depth": 18}, 512)),
    "timesformer": ({"img_size": 64, "embed_dims": 48, "num_heads": 2, "num_transformer_layers": 1}, 48),
    "swin": ({"arch": {"embed_dims": 24, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 2]}}, 192),
    "mvit": ({**_MVIT, "spatial_size": 64}, 192),
    "mvit-maskfeat": ({**_MVIT, "spatial_size": 64}, 192),
    "uniformerv2": (
        {
            **{"input_resolution": 64, "width": 48, "layers": 2, "heads": 2, "return_list": [1], "n_layers": 1},
            **{"n_dim": 48, "n_head": 2, "mlp_dropout": [0.5]},
        },
        48,
    ),
    "uniformer": ({"depth": [1, 1, 1, 1], "embed_dim": [16, 32, 48, 64], "head_dim": 16}, 64),
    "videomae": ({"img_size": 64, "embed_dims": 48, "depth": 2, "num_heads": 2}, 48),
    "vjepa-probe": ({"embed_dims": 48, "depth": 2, "num_heads": 3}, 48),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow])
        for name in RECIPES
        if name not in OTHER_NUMBERS
    ],
)
def test_every_recipe_trains(clips: MotionDataset, tmp_path: Path, name: str) -> None:
    config = classification(clips.root, recipe=name, work_dir=tmp_path, workers=0, batch_size=2, epochs=1)
    size = zoo.card(RECIPES[name].models[0]).input.size
    if name not in ("compact3d", "c3d"):  # a small one already, and one of a fixed size
        for part in ("train_dataloader", "val_dataloader"):
            dataset = config[part].dataset
            dataset.pipeline = shrunk(dataset.to_dict()["pipeline"], size)
    for part in ("train_dataloader", "val_dataloader"):
        config[part].dataset.indices = 4
    if name in SMALL:
        settings, channels = SMALL[name]
        config.model.backbone.update(settings)
        config.model.cls_head["in_channels"] = channels
        if RECIPES[name].frozen:
            config.model.backbone["frozen_stages"] = settings["depth"]
    config.device = "cpu"
    Runner.from_cfg(config).train()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    lr = RECIPES[name].lr * 2 / RECIPES[name].batch  # of two clips an update
    assert all(row["lr"] <= lr * (1 + 1e-9) for row in rows if row["split"] == "train")
    losses = [row["loss"] for row in rows if row["split"] == "train"]
    assert losses
    assert all(0 < loss < 100 for loss in losses)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["epochs"] == 1
