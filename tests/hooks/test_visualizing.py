from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import pytest
import torch

from kinema.registry import HOOKS
from kinema.structures import ActionDataSample


def batch(count: int, *shape: int) -> tuple[dict[str, Any], list[ActionDataSample]]:
    inputs = [torch.full(shape, 40, dtype=torch.uint8) for _ in range(count)]
    samples = [ActionDataSample(metainfo={"filename": f"/clips/c{n}.mp4"}).set_gt_label(1) for n in range(count)]
    return {"inputs": inputs}, samples


def test_every_so_many_clips_are_drawn_as_the_model_sees_them(tmp_path: Path) -> None:
    hook = HOOKS.build(dict(type="VisualizationHook", enable=True, interval=3, out_dir=tmp_path))
    run = SimpleNamespace(progress=SimpleNamespace(iteration=7), work_dir=tmp_path / "work")
    for number in range(2):
        data, samples = batch(4, 5, 3, 40, 60)
        hook.after_test_iter(run, number, data, samples)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["c0.mp4_0", "c2.mp4_0", "c3.mp4_0"]
    frames = sorted((tmp_path / "c0.mp4_0" / "frames_0").iterdir())
    assert len(frames) == 5
    assert cv2.imread(str(frames[0]))[-1, -1].tolist() == [40, 40, 40]
    elsewhere = HOOKS.build(dict(type="VisualizationHook", enable=True, interval=1, out_type="video", fps=5))
    data, samples = batch(1, 2, 3, 5, 40, 60)
    elsewhere.after_val_iter(run, 0, data, samples)
    assert (tmp_path / "work" / "images" / "c0.mp4_7.mp4").is_file()
    HOOKS.build(dict(type="VisualizationHook")).after_test_iter(run, 0, data, samples)


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="interval must be at least 1 clip, got 0"):
        HOOKS.build(dict(type="VisualizationHook", interval=0))
    hook = HOOKS.build(dict(type="VisualizationHook", enable=True, interval=1, out_dir=tmp_path))
    data, samples = batch(1, 5, 2, 40, 60)
    with pytest.raises(ValueError, match=r"draws RGB frames, got inputs of shape \(5, 2, 40, 60\)"):
        hook.after_test_iter(SimpleNamespace(work_dir=tmp_path), 0, data, samples)
