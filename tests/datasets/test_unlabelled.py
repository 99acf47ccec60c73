from collections.abc import Callable
from pathlib import Path

import pytest

from kinema.datasets import ClassBalancedSampler, UnlabelledVideos
from kinema.errors import AnnotationError

MakeVideo = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files named like videos at several depths; listing opens none of them."""
    names = ["a.mp4", "deep/b.mkv", "deep/deeper/c.avi", "deep/notes.txt", ".hidden/d.mp4"]
    for name in names:
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).touch()
    return tmp_path / "videos"


def names_of(videos: UnlabelledVideos, folder: Path) -> list[str]:
    return [Path(videos.get_data_info(i)["filename"]).relative_to(folder).as_posix() for i in range(len(videos))]


def test_videos_of_all_depths_are_listed_without_labels(folder: Path) -> None:
    videos = UnlabelledVideos(folder)
    assert names_of(videos, folder) == ["a.mp4", "deep/b.mkv", "deep/deeper/c.avi"]
    assert videos.get_data_info(1) == {
        "filename": str(folder / "deep/b.mkv"),
        "start_index": 0,
        "modality": "RGB",
        "sample_idx": 1,
    }
    assert videos.notes == ("1 file skipped, no videos by their names: .txt (1)",)


def test_a_table_may_name_parts_of_videos_and_its_labels_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("path,label,start,end\nx.mp4,run,1.5,4\ny.mp4,jump,0,2\n")
    videos = UnlabelledVideos(tmp_path / "clips.csv")
    info = videos.get_data_info(0)
    assert (info["filename"], info["start_seconds"], info["end_seconds"]) == (str(tmp_path / "x.mp4"), 1.5, 4)
    assert "label" not in info


def test_a_list_of_paths_needs_no_labels(tmp_path: Path) -> None:
    (tmp_path / "clips.txt").write_text("x.mp4\ny.mp4\n")
    assert len(UnlabelledVideos(tmp_path / "clips.txt")) == 2


def test_the_two_sides_of_a_hold_out_share_nothing_and_hardly_move(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.mp4").touch()
    sides = [UnlabelledVideos(tmp_path, part=part, seed=3) for part in ("train", "val")]
    train, val = (set(names_of(side, tmp_path)) for side in sides)
    assert (len(train), len(val)) == (36, 4)
    assert not train & val
    assert names_of(UnlabelledVideos(tmp_path, part="val", seed=3), tmp_path) == names_of(sides[1], tmp_path)
    assert set(names_of(UnlabelledVideos(tmp_path, part="val", seed=4), tmp_path)) != val
    (tmp_path / "one_more.mp4").touch()
    assert len(val & set(names_of(UnlabelledVideos(tmp_path, part="val", seed=3), tmp_path))) >= 3


def test_what_holds_no_videos_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(AnnotationError, match="nowhere: there is no such file or folder: expected a folder of videos"):
        UnlabelledVideos(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnnotationError, match="empty: there is no video in it, nor in its folders"):
        UnlabelledVideos(tmp_path / "empty")
    (tmp_path / "clip_a").mkdir()
    (tmp_path / "frames.txt").write_text("clip_a 30 0\nclip_b 40 1\n")
    with pytest.raises(
        AnnotationError, match=r"frames\.txt: expected a list of video files, it lists folders of frames"
    ):
        UnlabelledVideos(tmp_path / "frames.txt")
    with pytest.raises(AnnotationError, match=r"of 3 videos a share of 0\.1 cannot be held out"):
        UnlabelledVideos(folder, part="val")


def test_wrong_arguments_are_named(folder: Path) -> None:
    with pytest.raises(ValueError, match="part must be 'train', 'val' or None, got 'test'"):
        UnlabelledVideos(folder, part="test")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"held_out must be a share between 0 and 1, got 1\.5"):
        UnlabelledVideos(folder, held_out=1.5)


def test_classes_of_videos_without_labels_are_not_counted(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"UnlabelledVideos: sample 0 has no label: what counts classes, such as Cl"):
        ClassBalancedSampler(UnlabelledVideos(folder))
