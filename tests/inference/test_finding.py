import pytest

from kinema.errors import VideoError
from kinema.inference.finding import find_videos, has_frames, is_pattern, stands_for_several


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("clips/b.mp4", "clips/deep/a.avi", "frames/img_00001.jpg", "frames/img_00002.jpg", "empty/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_patterns_and_addresses_are_videos(tree):
    assert find_videos(["clips"]) == ["clips/b.mp4", "clips/deep/a.avi"]
    assert find_videos(["clips/*.mp4", "frames"]) == ["clips/b.mp4", "frames"]
    assert find_videos(["clips/**/*.avi"]) == ["clips/deep/a.avi"]
    assert find_videos(["absent.mp4", "https://a.b/c.mp4"]) == ["absent.mp4", "https://a.b/c.mp4"]
    assert has_frames(tree / "frames")
    assert not has_frames(tree / "clips")


def test_what_holds_no_video_is_named(tree):
    with pytest.raises(VideoError, match="empty: is a folder without videos, and without numbered images"):
        find_videos(["empty"])
    with pytest.raises(VideoError, match=r"clips/\*\.mov: no file matches this pattern"):
        find_videos(["clips/*.mov"])
    with pytest.raises(VideoError, match=r"there is clips/b\.mp4: leave the quotes and spaces around it out"):
        find_videos(["'clips/b.mp4'"])


def test_what_stands_for_several_videos_is_known(tree):
    (tree / "odd[1].mp4").touch()
    assert stands_for_several("clips")
    assert stands_for_several(tree / "clips")
    assert stands_for_several("clips/*.mp4")
    assert is_pattern("clips/?.mp4")
    for one in ("frames", "empty", "clips/b.mp4", "odd[1].mp4", "https://a.b/c.mp4?d=*", b"bytes", b"clips", 3):
        assert not stands_for_several(one), one
    assert find_videos(["odd[1].mp4"]) == ["odd[1].mp4"]


def test_a_list_stands_for_its_videos_each_once(tree):
    (tree / "list.txt").write_text("clips/b.mp4 0\nclips/deep/a.avi 1\nclips/b.mp4 1\n")
    (tree / "bare.csv").write_text("path\nclips/b.mp4\n")
    assert find_videos(["list.txt", "bare.csv"]) == ["clips/b.mp4", "clips/deep/a.avi", "clips/b.mp4"]
    assert stands_for_several("bare.csv")
    (tree / "parts.csv").write_text("path,start,end,label\nclips/b.mp4,0,1,run\n")
    with pytest.raises(VideoError, match=r"parts\.csv: names parts of videos: `kinema test` measures a model on them"):
        find_videos(["parts.csv"])
