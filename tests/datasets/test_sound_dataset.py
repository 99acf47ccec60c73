"""Lists of features of sound."""

from pathlib import Path

import pytest

from kinema.datasets import AudioDataset
from kinema.errors import AnnotationError


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    (tmp_path / "list.txt").write_text("a b.npy 163 1\n\nc.npy\t122 0\n")
    (tmp_path / "several.txt").write_text("a.npy 10 1\nb.npy 10 1 2\n")
    return tmp_path


def test_a_sample_names_its_file_and_the_frames_of_its_video(listed: Path) -> None:
    dataset = AudioDataset("list.txt", data_prefix={"audio": "sound"}, data_root=listed)
    sample = {"audio_path": str(listed / "sound" / "a b.npy"), "total_frames": 163, "label": 1}
    assert dataset.get_data_info(0) == {**sample, "modality": "Audio", "start_index": 0, "sample_idx": 0}
    assert dataset.get_data_info(1)["label"] == 0


def test_several_labels_become_a_vector_or_are_refused(listed: Path) -> None:
    dataset = AudioDataset(listed / "several.txt", multi_class=True, num_classes=3)
    assert [dataset.get_data_info(i)["label"].tolist() for i in range(2)] == [[0, 1, 0], [0, 1, 1]]
    with pytest.raises(AnnotationError, match=r"several\.txt:2: 'b\.npy' has the labels \(1, 2\): set multi_class"):
        AudioDataset(listed / "several.txt")


def test_a_subclass_changes_the_samples(listed: Path) -> None:
    class Own(AudioDataset):
        def load_data_list(self):
            return [sample for sample in super().load_data_list() if sample["label"]]

    assert len(Own(listed / "list.txt")) == 1
