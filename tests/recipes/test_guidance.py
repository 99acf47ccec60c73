import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from kinema.engine import Runner
from kinema.recipes import classification, guidance
from kinema.recipes.clips import read_clips
from kinema.recipes.dry_run import DryRun, Memory
from kinema.recipes.guidance import Guide, as_set, clips_to_look_at, guide, views_of, with_trial
from kinema.recipes.trial import trial_of, try_training


@pytest.fixture(autouse=True)
def _all_clips_are_looked_at(monkeypatch):
    """Also where a busy machine takes long."""
    monkeypatch.setattr(guidance, "LOOKING_SECONDS", 600.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixteen clips of two classes, one of which cannot be read."""
    from kinema.video import write_video

    root = tmp_path_factory.mktemp("guided") / "clips"
    for label, name in enumerate(("clap", "wave")):
        (root / name).mkdir(parents=True)
        for number in range(8):
            frames = np.random.default_rng(8 * label + number).integers(0, 256, (9, 32, 48, 3), dtype=np.uint8)
            write_video(root / name / f"{number}.mp4", frames, 10)
    (root / "wave" / "7.mp4").write_bytes(b"junk")
    return root


def test_a_guide_says_what_there_is_what_was_chosen_and_what_to_mind(folder, tmp_path):
    clips = read_clips(folder, seed=3)
    config = classification(clips, work_dir=tmp_path / "work", seed=3, workers=0)
    seen = []
    result = guide(clips, config, seen=lambda: seen.append(1))
    assert len(seen) == clips_to_look_at(clips) == 16
    assert result.split == "whole source videos held out at random, seed 3"
    assert [(part.name, part.num_clips) for part in result.survey.parts] == [("train", 12), ("val", 4)]
    assert (result.plan["model"], result.plan["batch_size"]) == ("compact3d", config.train_dataloader.batch_size)
    assert any("1 of" in sentence and "probed videos cannot be read" in sentence for sentence in result.warnings)
    assert sum("of the smallest class" in sentence for sentence in result.warnings) == 1  # said once
    assert result.stops is None  # a single broken clip never stops a training
    assert result.as_dict()["stops"] is None
    assert not (tmp_path / "work").exists()


def test_a_guide_is_of_the_config_as_settings_changed_it(folder, tmp_path):
    clips = read_clips(folder)
    config = classification(clips, work_dir=tmp_path / "work", model="compact3d", workers=0)
    result, before = guide(clips, config), views_of(config)
    assert as_set(result, before, config).plan == result.plan
    config.merge_from_dict(
        {
            "val_dataloader.dataset.pipeline.3.scale": (40, 24),
            "val_dataloader.dataset.pipeline.1.frame_interval": 3,
            "train_dataloader.batch_size": 7,
            "train_cfg.max_epochs": 9,
        }
    )
    plan = as_set(result, before, config).plan
    assert (plan["sees"], plan["frame"]) == ("8 frames, 3 apart", "frames of 40 x 24 pixels")
    assert (plan["batch_size"], plan["epochs"]) == (7, 9)
    noted = config.custom_hooks[0].notes.data
    assert {key: noted[key] for key in ("sees", "frame", "batch_size", "epochs")} == {
        key: plan[key] for key in ("sees", "frame", "batch_size", "epochs")
    }


def test_many_broken_clips_are_said_to_stop_the_training(tmp_path, make_video):
    for number in range(10):
        make_video(tmp_path / ("a", "b")[number % 2] / f"{number}.mp4", num_frames=4 + number)
    for number in (2, 4, 5):
        (tmp_path / ("a", "b")[number % 2] / f"{number}.mp4").write_bytes(b"junk")
    clips = read_clips(tmp_path)
    stops = guide(clips, classification(clips, workers=0)).stops
    assert stops is not None
    assert "probed videos cannot be read" in stops


RUN = DryRun(
    **dict(model="Net", device="cpu", strategy="single", world_size=1, samples=100, batch_size=10, samples_per_step=10),
    **dict(batches_per_epoch=10, steps_per_epoch=10, steps=50, parameters=1, trainable=1),
    memory=Memory(100, 100, 200, 0, 600),
    **dict(measured_samples=10, loss=1.0, step_seconds=0.2, load_seconds=1.2, epoch_seconds=3.0),
)


def test_reading_limits_where_the_workers_cannot_keep_up():
    slow = trial_of(RUN, workers=2, val_clips=50, epochs=5)
    assert (slow.limited_by, slow.read_seconds, slow.memory_bytes) == ("reading", pytest.approx(0.6), 1000)
    assert slow.epoch_seconds == pytest.approx(10 * 0.6 + 5 * 0.6)
    assert slow.total_seconds == pytest.approx(5 * slow.epoch_seconds)
    quick = trial_of(RUN, workers=8, val_clips=0, epochs=5)
    assert (quick.limited_by, quick.epoch_seconds) == ("computing", pytest.approx(2.0))
    alone = trial_of(RUN, workers=0, val_clips=0, epochs=1)
    assert alone.epoch_seconds == pytest.approx(10 * 1.4)

    empty = Guide(None, "as given", {}, ())
    said = with_trial(empty, slow).warnings
    assert len(said) == 1
    assert "take 3.0 times as long to read as to compute (`--prepare` re-encodes them once" in said[0]
    assert "--prepare" not in with_trial(Guide(None, "as given", {"prepared": "folder"}, ()), slow).warnings[0]
    tight = replace(quick, available_bytes=1050)
    assert "`--batch-size 5` needs about half" in with_trial(empty, tight).warnings[0]


@pytest.mark.slow
def test_a_trial_changes_nothing_of_the_run(folder, tmp_path):
    def trained(name, *, tried):
        config = classification(folder, work_dir=tmp_path / name, workers=0, epochs=1, batch_size=4)
        if tried:
            before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
            trial = try_training(config)
            assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
            assert (trial.batch_size, trial.epochs, trial.device) == (4, 1, "cpu")
            assert trial.memory_bytes > 4 * 200_000
            assert not (tmp_path / name).exists()
        runner = Runner.from_cfg(config)
        runner.train()
        return runner.model.state_dict()

    plain, tried = trained("plain", tried=False), trained("tried", tried=True)
    assert all(torch.equal(plain[name], tried[name]) for name in plain)
