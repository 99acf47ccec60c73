"""The facts of the published recipes, against a second copy that was written by hand from the published configs."""

import re
from math import prod

import pytest

from kinema.errors import ConfigError
from kinema.models import zoo
from kinema.recipes.published import RECIPES, find_recipe, model_of_recipe

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
    **{"c3d": "crop", "i3d": "two scales", "x3d": "rescaled"},
}
WITH_RECIPE = {
    *("c2d", "c3d", "compact3d", "i3d", "ipcsn", "ircsn", "r2plus1d", "slowfast", "slowonly"),
    *("tanet", "tin", "tpn", "trn", "tsm", "tsn", "x3d"),
}
# Those without a published recipe for clips of video files.
WITHOUT = {name for name in zoo.names() if "_flow" in name or name.partition("_")[0] not in WITH_RECIPE}


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

    assert having("nesterov") == {"tpn-tsm", "tpn-slowonly"}
    assert having("tsm_groups") == {
        *("tsm", "tsm-something", "tsm-mobilenet", "tsm-mobileone", "tin", "tanet", "tanet-something", "trn"),
    }
    assert set(RECIPES) - having("fast_classifier") == {"trn"}
    assert having("dense") == {"tanet"}
    assert having("warmup_overlaps") == {"slowfast", "x3d"}
    assert having("frozen_norms") == {"csn"}
    assert set(RECIPES) - having("mirrored") == {"compact3d"}
    scratch = {"compact3d", "slowonly", "slowonly-r101", "slowfast", "r2plus1d", "x3d"}
    assert set(RECIPES) - having("start") == scratch


def test_a_config_says_its_batch_epochs_and_start_in_its_name() -> None:
    for recipe in RECIPES.values():
        if not recipe.config:
            continue
        batch = re.search(r"(\d+)xb(\d+)", recipe.config)
        if batch:
            assert recipe.batch == prod(map(int, batch.groups())), recipe.name
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
