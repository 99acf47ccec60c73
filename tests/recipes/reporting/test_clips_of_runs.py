"""Which clips a run was trained and validated on, and how the clips of a report are shown."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinema.datasets.annotations import Split, read_annotations, read_split
from kinema.errors import AnnotationError
from kinema.recipes.reporting import Measured
from kinema.recipes.reporting.clips import animation, shown_path, span_of
from kinema.recipes.reporting.run_files import RunFiles, clips_of_run, run_files, shown_command, training_clips
from kinema.recipes.reporting.sections import clips_section


def run_with(dataset: dict[str, Any], folder: Path) -> RunFiles:
    """A run whose config has this validation dataset."""
    return RunFiles(folder, {"folder": str(folder), "config": {"val_dataloader": {"dataset": dataset}}})


def test_the_part_of_a_hold_out_is_found_again(small_run: Path, tmp_path: Path) -> None:
    clips = small_run.parent / "data"
    hold_out = {"part": "val", "fraction": 0.5, "by": "source", "seed": 0}
    dataset = {"type": "VideoDataset", "ann_file": "val.txt", "data_root": "data", "hold_out": hold_out}
    shutil.copytree(clips, tmp_path / "data")
    split = clips_of_run(run_with({"type": "RepeatDataset", "dataset": dataset}, tmp_path), "val")
    assert 0 < len(split.annotations) < 16
    assert split.dataset_config()["hold_out"] == hold_out
    assert all((split.video_root / path).is_file() for path in split.annotations.paths)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({}, "names no validation clips that can be found again: name labelled clips"),
        ({"type": "MyDataset", "ann_file": "val.txt"}, "names no validation clips that can be found again"),
        (
            {"type": "VideoDataset", "ann_file": "gone.txt"},
            "gone.txt: the validation clips of .* are not there any more",
        ),
        ({"type": "VideoDataset", "ann_file": "val.txt", "hold_out": {"part": "x"}}, "cannot be read again: hold_out"),
    ],
)
def test_clips_that_cannot_be_found_again_are_an_error(tmp_path: Path, dataset: dict[str, Any], message: str) -> None:
    (tmp_path / "val.txt").write_text("a.mp4 0\n")
    with pytest.raises(AnnotationError, match=message):
        clips_of_run(run_with(dataset, tmp_path), "val")


def test_of_a_checkpoint_without_a_run_nothing_is_known(tmp_path: Path) -> None:
    run = run_files(str(tmp_path / "model.pth"))
    assert (run.folder, run.config, list(run.history), training_clips(run)) == (None, {}, [], None)
    assert shown_command(run) == ""
    assert training_clips(run_with({}, tmp_path)) is None


@pytest.fixture
def part(tmp_path: Path, make_video: Callable[..., Path]) -> Measured:
    """Clips of one video of 2 seconds: from 0.5 to 1.2 s, and from 1.5 s to the end."""
    make_video(tmp_path / "a.mp4")
    (tmp_path / "clips.csv").write_text("path,label,start,end\na.mp4,0,0.5,1.2\na.mp4,1,1.5,\n")
    split = read_split(tmp_path / "clips.csv")
    return Measured("a", ("x", "y"), split, np.arange(2), np.array([0, 1]), np.eye(2))


def test_of_a_part_of_a_video_only_that_is_shown(part: Measured) -> None:
    with part.split.open_video(0) as reader:
        assert [span_of(part, place, reader) for place in range(2)] == [(5, 12), (15, 20)]
    assert [shown_path(part, place) for place in range(2)] == ["a.mp4 [0.5 to 1.2 s]", "a.mp4 [1.5 to its end]"]
    picture = animation(part, 0)
    assert (picture.error, picture.animation[8:12]) == ("", b"WEBP")


def test_a_clip_that_is_gone_is_shown_as_its_error(part: Measured, tmp_path: Path) -> None:
    gone = Measured(
        "a", part.classes, replace(part.split, video_root=tmp_path / "gone"), part.places, part.labels, part.scores
    )
    assert "a.mp4" in animation(gone, 0).error


@pytest.mark.parametrize(
    ("names", "root", "files"),
    [
        (("a.mp4", "b.mp4"), "ROOT", "Files"),
        (("a.mp4", "ROOT/b.mp4"), "ROOT", "Files"),
        (("a.mp4", "/elsewhere/b.mp4"), "ROOT", "Relative paths"),
        (("/elsewhere/a.mp4", "/elsewhere/b.mp4"), "", "Relative paths"),
    ],
)
def test_the_folder_of_the_clips_is_that_of_their_paths(
    tmp_path: Path, names: tuple[str, ...], root: str, files: str
) -> None:
    lines = [f"{name.replace('ROOT', str(tmp_path))} {label}\n" for label, name in enumerate(names)]
    (tmp_path / "list.txt").write_text("".join(lines))
    split = Split(read_annotations(tmp_path / "list.txt"), tmp_path)
    section = clips_section(Measured("a", ("x", "y"), split, np.arange(2), np.array([0, 1]), np.eye(2)), 1)
    assert section is not None
    assert (section.values["root"], section.values["files"]) == (root.replace("ROOT", str(tmp_path)), files)
