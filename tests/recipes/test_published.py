"""The facts of the published recipes, against a second copy that was written by hand from the published configs."""

import re
from math import prod
from typing import Any

import pytest

from kinema.errors import ConfigError
from kinema.models import zoo
from kinema.recipes.published import RECIPES, find_recipe, model_of_recipe
from kinema.recipes.published_transformers import TRANSFORMERS

# Recipe -> lr, weight decay, clips a step, clip_grad, epochs, epochs of drops, warm-up epochs, of the config it names.
PUBLISHED = {
    "tsn": (0.01, 1e-4, 8 * 32, 40, 100, (40, 80), 0),
    "tsm": (0.02, 1e-4, 8 * 16, 20, 50, (25, 45), 5),
    "tsm-something": (0.02, 5e-4, 8 * 16, 20, 50, (25, 45), 5),
    "tsm-mobilenet": (0.02, 2e-5, 8 * 16, 20, 100, (40, 80), 0),
    "tsm-mobileone": (0.02, 2e-5, 8 * 16, 20, 50, (25, 45), 5),
    "tin": (0.01, 1e-4, 8 * 6, 40, 50, (20, 40), 0),
    "tanet": (0.01, 1e-4, 8 * 8, 20, 100, (50, 75, 90), 0),
    "tanet-something": (0.0075, 1e-3, 8 * 6, 20, 50, (30, 40, 45), 0),
    "trn": (0.002, 5e-4, 8 * 16, 20, 50, (30, 45), 0),
    "tpn-tsm": (0.01, 5e-4, 8 * 8, 20, 150, (75, 125), 0),
    "tpn-slowonly": (0.01, 1e-4, 8 * 8, 40, 150, (75, 125), 0),
    "c2d": (0.01, 1e-4, 8 * 32, 40, 100, (40, 80), 0),
    "c3d": (0.001, 5e-4, 8 * 30, 40, 45, (20, 40), 0),
    "i3d": (0.01, 1e-4, 8 * 8, 40, 100, (40, 80), 0),
    "slowonly": (0.2, 1e-4, 8 * 16, 40, 256, (), 34),
    "slowonly-r101": (0.2, 1e-4, 8 * 16, 40, 196, (), 34),
    "slowonly-imagenet": (0.02, 1e-4, 8 * 16, 40, 150, (90, 130), 10),
    "slowonly-nonlocal": (0.01, 1e-4, 8 * 16, 40, 256, (90, 130), 10),
    "slowfast": (0.1, 1e-4, 8 * 8, 40, 256, (), 34),
    "r2plus1d": (0.01, 1e-4, 8 * 8, 40, 180, (), 0),
    "csn": (5e-4, 1e-4, 8 * 12, 40, 58, (32, 48), 16),
    "timesformer": (0.005, 1e-4, 8 * 8, 40, 15, (5, 10), 0),
    "swin": (1e-3, 0.02, 8 * 8, None, 30, (), 2.5),
    "swin-large": (1e-3, 0.05, 8 * 8, None, 30, (), 2.5),
    "swin-kinetics700": (2e-3, 0.05, 16 * 8, None, 30, (), 2.5),
    "swin-kinetics710": (2e-3, 0.02, 32 * 4, None, 30, (), 2.5),
    "mvit": (1.6e-3, 0.05, 32 * 8, 1, 200, (), 30),
    "mvit-maskfeat": (9.6e-3, 0.05, 256, 5, 100, (), 20),
    "mvit-large": (1.6e-3, 1e-7, 64, 1, 30, (), 0),
    "mvit-something": (1.6e-3, 0.05, 16 * 16, None, 100, (), 30),
    "uniformerv2": (1e-5, 0.05, 8 * 32, 20, 55, (), 5),
    "uniformerv2-kinetics710": (1e-5, 0.05, 256, 20, 55, (), 5),
    "uniformerv2-moments": (2e-5, 0.05, 16 * 32, 20, 24, (), 5),
    "uniformerv2-tuned": (2e-6, 0.05, 8 * 32, 20, 5, (), 1),
    # The papers of UniFormer, VideoMAE and V-JEPA 2.
    "uniformer": (1e-4, 0.05, 32, 1, 110, (), 10),
    "videomae": (1e-3, 0.05, 256, None, 75, (), 5),
    "videomae-small": (1e-3, 0.05, 256, None, 150, (), 5),
    "videomae-large": (1e-3, 0.05, 256, None, 50, (), 5),
    "videomae-something": (5e-4, 0.05, 256, None, 30, (), 5),
    "vjepa-probe": (1e-3, 0.1, 256, None, 20, (), 0),
    # X3D, Feichtenhofer 2020: 1.6 for 1024 clips a step, 8k of 60k steps of warm-up, half a cosine.
    "x3d": (1.6, 5e-5, 128 * 8, None, 256, (), 34),
}
CROPS = {
    **dict.fromkeys(("tsn", "tin", "c2d"), "multi-scale"),
    **dict.fromkeys(
        ("tsm", "tsm-something", "tsm-mobilenet", "tsm-mobileone", "tanet", "tanet-something", "trn"), "multi-scale 13"
    ),
    **dict.fromkeys(("tpn-tsm", "tpn-slowonly"), "jittered"),
    **dict.fromkeys(("slowonly", "slowonly-r101", "slowonly-imagenet", "slowonly-nonlocal"), "resized crop"),
    **dict.fromkeys(("slowfast", "r2plus1d", "csn"), "resized crop"),
    **{"c3d": "crop", "i3d": "two scales", "x3d": "rescaled", "timesformer": "rescaled"},
    **dict.fromkeys((recipe.name for recipe in TRANSFORMERS[1:]), "resized crop"),
}
WITH_RECIPE = {
    *("c2d", "c3d", "compact3d", "i3d", "ipcsn", "ircsn", "r2plus1d", "slowfast", "slowonly"),
    *("tanet", "tin", "tpn", "trn", "tsm", "tsn", "x3d"),
    *("timesformer", "swin", "mvit", "uniformer", "uniformerv2", "videomae", "videomaev2", "vjepa2"),
}
# Those without a published recipe for clips of video files.
WITHOUT = {"videomaev2_vit_giant"} | {
    name for name in zoo.names() if "_flow" in name or name.partition("_")[0] not in WITH_RECIPE
}


def test_the_numbers_are_the_published_ones() -> None:
    facts = {
        name: (
            *(recipe.lr, recipe.weight_decay, recipe.batch, recipe.clip),
            *(recipe.epochs, recipe.drops, recipe.warmup),
        )
        for name, recipe in RECIPES.items()
    }
    own = facts.pop("compact3d")
    assert facts == PUBLISHED
    assert {name: recipe.augmentation for name, recipe in RECIPES.items() if name != "compact3d"} == CROPS
    assert own == (8e-3, 0.02, 16, None, None, (), 1)


def test_what_else_differs_is_as_published() -> None:
    def having(fact: str) -> set[str]:
        return {name for name, recipe in RECIPES.items() if getattr(recipe, fact)}

    assert having("nesterov") == {"tpn-tsm", "tpn-slowonly", "timesformer"}
    assert having("tsm_groups") == {
        *("tsm", "tsm-something", "tsm-mobilenet", "tsm-mobileone", "tin", "tanet", "tanet-something", "trn"),
    }
    assert set(RECIPES) - having("fast_classifier") == {"trn"}
    assert having("dense") == {"tanet"}
    swins = {"swin", "swin-large", "swin-kinetics700", "swin-kinetics710"}
    assert having("warmup_overlaps") == {"slowfast", "x3d", *swins}
    assert having("frozen_norms") == {"csn"}
    with_directions = {"mvit-something", "videomae-something", "vjepa-probe"}
    assert set(RECIPES) - having("mirrored") == {"compact3d", *with_directions}
    scratch = {"compact3d", "slowonly", "slowonly-r101", "slowfast", "r2plus1d", "x3d", "mvit", "mvit-large"}
    assert set(RECIPES) - having("start") == scratch


def test_transformers_learn_by_groups_and_see_altered_clips_as_published() -> None:
    def facts(name: str, *keys: str) -> tuple[Any, ...]:
        return tuple(getattr(RECIPES[name], key) for key in keys)

    assert facts("timesformer", "undecayed") == (("cls_token", "pos_embed", "time_embed"),)
    assert facts("swin", "backbone_rate", "rand_augment", "erasing", "repeats") == (0.1, None, 0, 1)
    altered = ("rand_augment", "erasing", "mixup", "cutmix", "label_smoothing", "repeats")
    for name in ("mvit", "uniformer", "videomae"):
        assert facts(name, *altered) == ((7, 4), 0.25, 0.8, 1.0, 0.1, 2)
    assert facts("mvit-maskfeat", *altered) == ((7, 2), 0.25, 0.8, 1.0, 0.1, 2)
    assert facts("mvit-large", *altered) == ((7, 4), 0.25, None, None, 0.1, 2)
    assert facts("mvit-something", *altered) == ((7, 4), 0.25, None, None, 0.1, 1)
    assert facts("uniformerv2", *altered) == ((7, 4), 0, None, None, 0, 1)
    decays = {name: recipe.layer_decay for name, recipe in RECIPES.items() if recipe.layer_decay}
    of_videomae = {"videomae": 0.75, "videomae-small": 0.7, "videomae-large": 0.8, "videomae-something": 0.75}
    assert decays == {"mvit-maskfeat": 0.75, **of_videomae}
    assert {name for name, recipe in RECIPES.items() if recipe.frozen} == {"vjepa-probe"}
    rates = {name: recipe.last_rate for name, recipe in RECIPES.items() if recipe.last_rate >= 0.01}
    assert rates == {
        **{"mvit": 0.01, "mvit-something": 0.01, "uniformer": 0.01},
        **{"uniformerv2": 0.1, "uniformerv2-kinetics710": 0.5, "uniformerv2-moments": 0.05, "uniformerv2-tuned": 0.5},
    }


def test_a_config_says_its_batch_epochs_and_start_in_its_name() -> None:
    for recipe in RECIPES.values():
        if not recipe.config:
            continue
        batch = re.search(r"(\d+)xb(\d+)", recipe.config)
        if batch:
            samples = recipe.batch * recipe.repeats
            # A config of MaskFeat's name says half of the samples that its learning rate is for.
            assert samples == prod(map(int, batch.groups())) * (2 if recipe.name == "mvit-maskfeat" else 1), recipe.name
        epochs = re.search(r"-(\d+)e_", recipe.config)
        if epochs and recipe.name != "slowonly-nonlocal":  # which says 150 and trains 256
            assert recipe.epochs == int(epochs[1]), recipe.name
        assert ("imagenet" in recipe.config or "in1k" in recipe.config or recipe.name == "tin") == (
            recipe.start == "ImageNet"
        ), recipe.name


def test_every_recipe_names_its_source_and_models_of_the_zoo() -> None:
    for recipe in RECIPES.values():
        assert recipe.name == "compact3d" or re.search(r"\d{4}, arXiv:\d{4}\.\d{5}|19|20", recipe.source)
        assert recipe.models[0] in zoo.names()
        for pattern in recipe.models:
            assert zoo.names(pattern), (recipe.name, pattern)


def test_every_model_of_the_zoo_has_its_recipe() -> None:
    chosen = {name: find_recipe("auto", name).name for name in zoo.names() if name not in WITHOUT}
    assert chosen["tsm_r50_sthv2"] == "tsm-something"
    assert chosen["tsm_r50"] == "tsm"
    assert chosen["slowonly_r50"] == "slowonly"
    assert chosen["slowonly_r50_8x8_nl"] == "slowonly-nonlocal"
    assert chosen["compact3d"] == "compact3d"
    assert (chosen["swin_l_k700"], chosen["mvit_s_maskfeat"]) == ("swin-kinetics700", "mvit-maskfeat")
    assert (chosen["uniformerv2_l14_u16_k700"], chosen["uniformerv2_b16_u8_k700_clip"]) == (
        *("uniformerv2-tuned", "uniformerv2"),
    )
    assert (chosen["vjepa2_1_vit_base"], chosen["videomae_vit_huge"]) == ("vjepa-probe", "videomae-large")
    assert set(chosen.values()) == set(RECIPES) - {"slowonly-imagenet"}  # a second one of slowonly_r50
    for name in WITHOUT:
        with pytest.raises(
            ConfigError, match=f"no published recipe belongs to the model '{name}': leave the recipe out"
        ):
            find_recipe("auto", name)


def test_the_recipe_of_the_small_network_is_what_it_trains_with_anyway() -> None:
    card = zoo.card("compact3d")
    optimizer = card.training["optim_wrapper"]["optimizer"]
    recipe = RECIPES["compact3d"]
    assert (optimizer["type"], optimizer["lr"], optimizer["weight_decay"]) == (
        *(recipe.optimizer, recipe.lr),
        recipe.weight_decay,
    )
    assert card.training["param_scheduler"][0]["start_factor"] == recipe.warmup_start


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no recipe is called 'slowfest': did you mean slowfast"):
        find_recipe("slowfest", "slowfast_r50")
    with pytest.raises(ConfigError, match="no recipe is called 'zzz': there are: auto, compact3d, tsn"):
        model_of_recipe("zzz")
    assert (model_of_recipe("auto"), model_of_recipe("i3d")) == (None, "i3d_r50")
