import json

import pytest

from kinema.cli.data.ledger import LEDGER_NAME
from kinema.errors import VideoError
from kinema.transforms import OpenVideo
from kinema.transforms.prepared_files import PREPARED_LIST, PreparedFiles


def test_a_prepared_video_is_read_in_place_of_its_original(tmp_path, make_video, monkeypatch):
    original = make_video(tmp_path / "clips" / "a.mp4", num_frames=5, size=(128, 96))
    other = make_video(tmp_path / "clips" / "b.mp4", num_frames=5, size=(128, 96))
    folder = tmp_path / "prepared"
    make_video(folder / "a.mp4", num_frames=5, size=(64, 48))
    entry = {"source": str(original), "target": "a.mp4"}
    (folder / PREPARED_LIST).write_text(json.dumps(entry) + '\n{"source": 3\nnull\n{"sou')
    assert LEDGER_NAME == PREPARED_LIST  # what `kinema data prepare` writes
    assert PreparedFiles(folder).path_of(original) == folder / "a.mp4"
    assert PreparedFiles(tmp_path / "absent").path_of(original) == original
    opening = OpenVideo(prepared=folder)
    sample = opening({"filename": str(original)})
    assert (sample["filename"], sample["video_reader"].width, sample["total_frames"]) == (str(original), 64, 5)
    assert opening({"filename": str(other)})["video_reader"].width == 128
    monkeypatch.chdir(tmp_path / "clips")
    assert opening({"filename": "a.mp4"})["video_reader"].width == 64
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        opening({"filename": str(tmp_path / "gone.mp4")})
