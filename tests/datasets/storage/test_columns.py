import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest

from kinema.datasets import VideoDataset
from kinema.datasets.storage import columns
from kinema.datasets.storage.columns import ColumnSamples, LabelColumn, NumberColumn, PickledSamples, TextColumn


def private_mb() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def use(samples, results) -> None:
    before = private_mb()
    total = sum(len(samples[index]["filename"]) for index in range(0, len(samples), 7))
    results.put((total, private_mb() - before, private_mb()))


def used_by_worker(samples, method):
    context = multiprocessing.get_context(method)
    results = context.Queue()
    process = context.Process(target=use, args=(samples, results))
    process.start()
    answer = results.get(timeout=600)
    process.join()
    return answer


def made_samples(count: int) -> ColumnSamples:
    texts = TextColumn.from_texts(f"class_{index % 9}/{'x' * 60}{index}.mp4" for index in range(count))
    labels = LabelColumn(np.arange(count, dtype=np.int32) % 9)
    return ColumnSamples({"filename": texts, "label": labels})


def test_texts_come_back_as_they_were_and_stand_below_their_folder():
    texts = ["a b.mp4", "", "ü/ß.avi", "/absolute/c.mp4", "s3://bucket/d.mp4", "bad\udcff.mp4"]
    column = TextColumn.from_texts(texts)
    assert list(column) == texts
    assert list(column.below("root").take([2, 3, 4, 0])) == [
        "root/ü/ß.avi",
        "/absolute/c.mp4",
        "s3://bucket/d.mp4",
        "root/a b.mp4",
    ]
    assert list(pickle.loads(pickle.dumps(column))) == texts


def test_labels_may_be_none_one_or_several():
    column = LabelColumn.from_counts(np.array([4, 1, 2]), np.array([1, 0, 2]))
    assert [column.of(index) for index in range(3)] == [(4,), (), (1, 2)]
    assert [column[index] for index in range(3)] == [4, -1, 1]
    assert column.owners().tolist() == [0, 2, 2]
    assert column.as_lists()[2] == [1, 2]
    assert [column.take([2, 2, 0]).of(index) for index in range(3)] == [(1, 2), (1, 2), (4,)]


def test_numbers_are_plain_python_numbers():
    column = NumberColumn(np.array([1.5, 2.5]))
    assert (column[1], type(column[1]), column.take([1])[0]) == (2.5, float, 2.5)


def test_samples_of_any_form_are_pickled_into_one_buffer():
    samples = PickledSamples.from_dicts([{"a": 1}, {"b": [2, 3]}, {}])
    assert [samples[index] for index in range(3)] == [{"a": 1}, {"b": [2, 3]}, {}]
    assert samples.take(np.array([1, 1]))[1] == {"b": [2, 3]}
    assert len(PickledSamples.from_dicts([])) == 0


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="memory of a process is read from /proc")
@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_worker_processes_share_the_samples(method):
    samples = made_samples(200_000)  # 17 MB
    expected = sum(len(samples[index]["filename"]) for index in range(0, 200_000, 7))
    _, _, base = used_by_worker(made_samples(10), method)
    for _ in range(2):  # the second worker gets the same shared memory
        total, grown, whole = used_by_worker(samples, method)
        assert total == expected
        assert grown < 4
        assert whole - base < 6
    assert samples[199_999]["filename"].endswith("x199999.mp4")


@pytest.mark.slow
def test_a_worker_gets_a_copy_where_shared_memory_is_full(monkeypatch):
    monkeypatch.setattr(columns, "has_room", lambda num_bytes: False)
    samples = made_samples(50_000)
    total, _, _ = used_by_worker(samples, "spawn")
    assert total == sum(len(samples[index]["filename"]) for index in range(0, 50_000, 7))


def test_room_in_shared_memory_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(columns, "SHARED_MEMORY", tmp_path)
    assert columns.has_room(1000)
    assert not columns.has_room(10**18)
    monkeypatch.setattr(columns, "SHARED_MEMORY", tmp_path / "none")
    assert columns.has_room(10**18)


def test_a_dataset_of_a_subclass_gets_dicts_and_keeps_its_changes(tmp_path):
    class Shifted(VideoDataset):
        def load_data_list(self):
            samples = super().load_data_list()
            for one in samples:
                one["label"] += 1
            return samples

    class Filtered(VideoDataset):
        def filter_data(self):
            return [one for one in self.data_list if one["label"] > 0]

    (tmp_path / "a.txt").write_text("a.mp4 0\nb.mp4 1\n")
    assert [one["label"] for one in Shifted(tmp_path / "a.txt")] == [1, 2]
    assert [one["filename"] for one in Filtered(tmp_path / "a.txt")] == ["b.mp4"]
    plain = VideoDataset(tmp_path / "a.txt", serialize_data=False)
    assert plain.data_list[1] == {"filename": "b.mp4", "label": 1}
    assert [one["filename"] for one in VideoDataset(tmp_path / "a.txt", indices=[1])] == ["b.mp4"]
    assert VideoDataset(tmp_path / "a.txt", multi_class=True, num_classes=3).get_cat_ids(1) == [1]
