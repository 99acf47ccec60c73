import csv

import pytest

from kinema.engine import Runner
from kinema.errors import ConfigError
from kinema.recipes import classification


@pytest.fixture
def clips(make_video, tmp_path):
    for name in ("a/x1", "a/y1", "a/z,1", "b/x2", "b/y2", "b/z2"):
        (tmp_path / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        make_video(tmp_path / "clips" / f"{name}.mp4", num_frames=4)
    return tmp_path / "clips"


def train(clips, work, *, epochs=1, resume=False, seed=0):
    config = classification(clips, work_dir=work, workers=0, epochs=epochs, batch_size=2, seed=seed)
    config["resume"] = resume
    Runner.from_cfg(config).train()


def listed(work, part):
    with (work / f"{part}_clips.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "label", "start", "end"]
    return rows


def test_the_work_folder_says_which_clips_were_held_out(clips, tmp_path):
    train(clips, tmp_path / "work")
    rows = [listed(tmp_path / "work", part) for part in ("train", "val")]
    assert [len(part) for part in rows] == [4, 2]
    assert sorted(row[0] for part in rows for row in part) == sorted(map(str, clips.rglob("*.mp4")))
    assert {row[1] for row in rows[1]} == {"a", "b"}


def test_a_resumed_run_never_moves_clips_to_the_other_side(clips, tmp_path):
    work = tmp_path / "work"
    train(clips, work)
    before = [listed(work, part) for part in ("train", "val")]
    held = {row[0] for row in before[1]}
    seed = next(seed for seed in range(1, 99) if not held_out(clips, seed) & held)
    with pytest.raises(
        ConfigError,
        match=(
            r"the data changed since the run began: 4 clips would move between training and validation, such as"
            r" .*/clips/"
        ),
    ):
        train(clips, work, epochs=2, resume=True, seed=seed)
    assert [listed(work, part) for part in ("train", "val")] == before
    train(clips, work, epochs=2, resume=True)
    assert [listed(work, part) for part in ("train", "val")] == before


def held_out(clips, seed):
    from kinema.registry import DATASETS

    dataset = DATASETS.build(classification(clips, workers=0, seed=seed).val_dataloader.dataset)
    return {dataset.get_data_info(index)["filename"] for index in range(len(dataset))}
