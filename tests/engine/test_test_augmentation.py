"""`tta_model` and `tta_pipeline` of a config: a test that averages over versions of each clip."""

from pathlib import Path

import pytest

from kinema.compat.parts.training import build_runner_with_tta
from kinema.datasets.synthetic import MotionDataset, make_motion_dataset
from kinema.engine import Runner
from kinema.errors import ConfigError
from kinema.evaluation import read_dump
from kinema.hooks.test_augmentation import with_test_augmentation
from kinema.inference import load
from kinema.recipes import classification, evaluate, evaluation_clips


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> MotionDataset:
    root = tmp_path_factory.mktemp("clips")
    return make_motion_dataset(root, num_train=8, num_val=8, num_frames=8, size=(32, 32))


def test_flips_in_a_config_give_the_scores_of_flipped_views(clips: MotionDataset, tmp_path: Path) -> None:
    trained = classification(clips.root, work_dir=tmp_path, epochs=1, workers=0)
    Runner.from_cfg(trained).train()
    pipeline = trained.val_dataloader.dataset.pipeline
    before, after = pipeline[:-2], pipeline[-2:]
    flips = [dict(type="Flip", flip_ratio=ratio) for ratio in (0, 1)]
    config = dict(
        trained,
        test_dataloader=trained.val_dataloader,
        test_evaluator=dict(type="DumpResults", out_file_path=str(tmp_path / "scores.npz")),
        test_cfg={},
        tta_pipeline=[*before, dict(type="TestTimeAug", transforms=[flips, [after]])],
        tta_model=dict(type="MeanScoreTTA"),
        load_from=str(tmp_path / "checkpoints" / (tmp_path / "checkpoints" / "last").read_text().strip()),
    )
    runner = build_runner_with_tta({**config, "work_dir": str(tmp_path / "test"), "runner_type": "FlexibleRunner"})
    plain = runner.model
    runner.test()
    assert runner.model is plain
    recognizer = load(config["load_from"])
    expected = evaluate(recognizer, evaluation_clips(clips.root, recognizer.classes), workers=0, tta="flip")
    assert expected.clips is not None
    assert read_dump(tmp_path / "scores.npz").clips.scores == pytest.approx(expected.clips.scores, abs=1e-5)
    without = evaluate(recognizer, evaluation_clips(clips.root, recognizer.classes), workers=0)
    assert without.clips is not None
    assert without.clips.scores != pytest.approx(expected.clips.scores, abs=1e-5)


@pytest.mark.parametrize(
    ("config", "lacks"),
    [
        ({}, "tta_model and tta_pipeline"),
        ({"tta_model": {"type": "MeanScoreTTA"}}, "tta_pipeline"),
        ({"tta_model": {"type": "M"}, "tta_pipeline": [1]}, r"test_dataloader\.dataset\.pipeline"),
        (
            {
                "tta_model": {"type": "M"},
                "tta_pipeline": [1],
                "test_dataloader": {"dataset": {"type": "ConcatDataset"}},
            },
            r"test_dataloader\.dataset\.pipeline",
        ),
    ],
)
def test_a_config_that_lacks_a_part_is_named(config: dict, lacks: str) -> None:
    with pytest.raises(
        ConfigError, match=f"test-time augmentation needs tta_model, tta_pipeline .* there is no {lacks}"
    ):
        with_test_augmentation(config)
