from dataclasses import replace

import pytest

from kinema.errors import ConfigError
from kinema.models import zoo
from kinema.recipes import classification
from kinema.recipes.presets import PRESETS, ClipSetFacts, Machine, choose, has_cached_weights, this_machine

FEW, MANY = ClipSetFacts(76, 2), ClipSetFacts(20_000, 50)
LAPTOP, SERVER = Machine("cpu", 4, 8 << 30), Machine("cuda", 16, 80 << 30)


def pick(preset, facts, machine, *, cached=False):
    return choose(preset, facts, machine, lambda model: cached and zoo.card(model).weights is not None)


@pytest.mark.parametrize("machine", [LAPTOP, SERVER])
def test_presets_grow_and_fit_the_machine(machine):
    choices = [pick(preset, FEW, machine) for preset in PRESETS]
    costs = [zoo.card(choice.model).gflops for choice in choices]
    assert costs == sorted(costs)
    assert len(set(costs)) == 3
    assert (choices[0].model, choices[0].epochs, choices[0].batch_size) == ("compact3d", None, None)
    for choice in choices[1:]:
        assert 2 <= choice.batch_size <= 76 // 8
        assert 30 <= choice.epochs <= 200


def test_a_batch_fits_the_memory_and_epochs_the_clips():
    assert pick("best", MANY, SERVER).batch_size == 32
    assert pick("best", MANY, replace(SERVER, memory_bytes=16 << 30)).batch_size == 4
    assert pick("balanced", MANY, replace(LAPTOP, memory_bytes=None)).batch_size == 8
    assert pick("balanced", MANY, replace(LAPTOP, memory_bytes=1 << 20)).batch_size == 2
    assert (pick("balanced", MANY, SERVER).epochs, pick("balanced", FEW, SERVER).epochs) == (30, 100)


def test_weights_that_are_there_are_used_and_else_what_they_would_give_is_said():
    scratch, trained = (pick("best", FEW, SERVER, cached=cached) for cached in (False, True))
    assert (scratch.pretrained, trained.pretrained) == (None, "published")
    assert trained.epochs < scratch.epochs
    assert "published weights, which reach 75.55 % on Kinetics-400, are not in the cache" in scratch.why[1]
    assert "76 clips are few for it, and fast may do as well" in scratch.why[1]
    assert "are few" not in pick("best", MANY, SERVER).why[1]
    assert "nobody published weights of it" in pick("balanced", FEW, LAPTOP).why[1]


def test_the_cache_is_looked_into_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert not has_cached_weights("x3d_s")
    assert not has_cached_weights("compact3d")
    assert this_machine("cpu").device == "cpu"
    assert this_machine("cpu").memory_bytes > 1 << 28


def test_a_preset_is_in_the_config_and_other_options_win(tmp_path, make_video, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    for number in range(8):
        make_video(tmp_path / "clips" / ("a", "b")[number % 2] / f"{number}.mp4", num_frames=8 + number)
    config = classification(tmp_path / "clips", preset="balanced", device="cpu", epochs=3, workers=0)
    assert config.model.backbone.type == "X3D"
    assert (config.train_cfg.max_epochs, config.train_dataloader.batch_size) == (3, 2)
    for options, message in (
        (dict(preset="great"), r"--preset: expected fast, balanced, best, got 'great'"),
        (dict(preset="best", model="x3d_m"), "--preset chooses the model and how it is trained: leave --model or"),
        (dict(preset="best", recipe="tsn"), "leave --recipe or --preset out"),
    ):
        with pytest.raises(ConfigError, match=message):
            classification(tmp_path / "clips", **options)
    with pytest.raises(ConfigError, match="--preset: expected fast, balanced, best, got 'great'"):
        choose("great", FEW, LAPTOP)
