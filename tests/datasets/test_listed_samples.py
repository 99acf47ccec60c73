"""The list of clips that a dataset reads, and the one that a subclass gives."""

from kinema.datasets import RawframeDataset, VideoDataset


def test_the_list_holds_what_the_file_says(tmp_path) -> None:
    (tmp_path / "clips.txt").write_text("a.mp4 0\nb.mp4 2\n")
    dataset = VideoDataset(tmp_path / "clips.txt", [], {"video": "/videos"}, start_index=3)
    clips = dataset.load_data_list()
    assert clips == [{"filename": "/videos/a.mp4", "label": 0}, {"filename": "/videos/b.mp4", "label": 2}]
    assert clips != [{"filename": "/videos/a.mp4", "label": 0}]
    assert clips != "two clips"
    info = dataset.get_data_info(1)
    assert (info["start_index"], info["modality"], info["label"]) == (3, "RGB", 2)

    (tmp_path / "frames.txt").write_text("walk 5 127\n")
    frames = RawframeDataset(tmp_path / "frames.txt", [], {"img": "/imgs"}, modality="Flow")
    assert frames.load_data_list() == [{"frame_dir": "/imgs/walk", "total_frames": 5, "label": 127}]
    info = frames.get_data_info(0)
    assert (info["start_index"], info["modality"], info["filename_tmpl"]) == (1, "Flow", "img_{:05}.jpg")


def test_clips_that_a_subclass_lists_get_what_transforms_need() -> None:
    class Own(VideoDataset):
        def load_data_list(self):
            return [{"filename": "a.mp4", "label": 1}, {"filename": "b.mp4", "label": 0, "start_index": 7}]

    dataset = Own("", [])
    assert dataset[0] == {"filename": "a.mp4", "label": 1, "start_index": 0, "modality": "RGB", "sample_idx": 0}
    assert dataset[1]["start_index"] == 7
