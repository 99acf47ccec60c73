import gc
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.errors import CheckpointError, VideoError
from kinema.inference import FailedInput, Prediction, VideoRecognizer
from kinema.inference.batches import Read, default_batch_size, in_batches, read_ahead
from kinema.models import create_model
from kinema.video import write_video

PIPELINE = [
    dict(type="OpenVideo"),
    dict(type="SampleFrames", clip_len=4, frame_interval=2, test_mode=True),
    dict(type="DecodeVideo"),
    dict(type="Resize", scale=(-1, 32)),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs"),
]
CLASSES = ("jump", "run", "sit")


@pytest.fixture(scope="module")
def recognizer():
    torch.manual_seed(0)
    return VideoRecognizer(create_model("compact3d", num_classes=3), CLASSES, PIPELINE)


@pytest.fixture(scope="module")
def several():
    """A recognizer of several labels a clip."""
    torch.manual_seed(0)
    model = create_model("compact3d", num_classes=3)
    model.cls_head.multi_class = True
    return VideoRecognizer(model, CLASSES, PIPELINE)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Nine clips of two shapes of picture, in turns of three."""
    folder = tmp_path_factory.mktemp("clips")
    random = np.random.default_rng(0)
    for place in range(9):
        size = (32, 48) if place // 3 % 2 else (32, 32)
        frames = random.integers(0, 255, (8 + place, *size, 3), dtype=np.uint8)
        write_video(folder / f"{place}.mp4", frames, 10)
    return folder


def paths(clips):
    return sorted(map(str, clips.glob("*.mp4")))


def test_batches_of_read_ahead_clips_give_the_scores_of_single_ones(recognizer, clips):
    expected = torch.stack([recognizer.scores(path) for path in paths(clips)]).numpy()
    for batch_size, readers in ((1, 1), (2, 3), (8, 2)):
        predictions = list(recognizer.predict_many(paths(clips), batch_size=batch_size, readers=readers))
        assert [one.source for one in predictions] == paths(clips)
        np.testing.assert_allclose([one.probabilities for one in predictions], expected, rtol=0, atol=1e-6)
    assert [one.end_seconds for one in predictions] == pytest.approx([0.8 + 0.1 * place for place in range(9)])


def test_folders_patterns_iterators_and_odd_inputs_are_many_videos(recognizer, clips):
    names = paths(clips)
    for given in (clips, str(clips), f"{clips}/*.mp4", names):
        assert [one.source for one in recognizer.predict(given)] == names
        assert [one.source for one in recognizer.predict_many(given)] == names
    with Path(names[0]).open("rb") as file:
        given = (one for one in (file, file, io.BytesIO(file.read()), np.zeros((6, 32, 32, 3), np.uint8)))
        first, second, third, black = recognizer.predict_many(given, batch_size=2)
    assert first.source == second.source == names[0]
    assert first == second
    assert third.scores == pytest.approx(first.scores, abs=1e-6)
    assert (black.source, black.end_seconds) == ("frames of shape (6, 32, 32, 3)", None)
    assert list(recognizer.predict_many(iter(()))) == []


def test_what_cannot_be_read_is_reported_in_its_place_or_raised_behind_the_others(recognizer, clips, tmp_path):
    (tmp_path / "empty.mp4").touch()
    names = [*paths(clips)[:2], str(tmp_path / "empty.mp4"), str(tmp_path / "absent.mp4"), b"", paths(clips)[2]]
    results = list(recognizer.predict_many(names, on_error="report", batch_size=4))
    assert [type(one) for one in results] == [Prediction] * 2 + [FailedInput] * 3 + [Prediction]
    assert results[2] == FailedInput(names[2], f"{names[2]}: is empty (0 bytes)")
    assert (results[3].source, results[4].source) == (names[3], "0 bytes of a video")
    many = recognizer.predict_many(names, batch_size=4)
    assert [next(many).source, next(many).source] == names[:2]
    with pytest.raises(VideoError, match="empty.mp4: is empty"):
        next(many)
    only = list(recognizer.predict_many(names[2:4], on_error="report"))
    assert [type(one) for one in only] == [FailedInput] * 2
    with pytest.raises(TypeError, match="got NoneType"):
        list(recognizer.predict_many([names[0], None], on_error="report"))


def test_no_more_is_read_than_a_batch_and_the_readers_ahead():
    taken = []
    release = threading.Event()

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    reads = read_ahead(items(), lambda number: number, readers=2, ahead=5)
    assert [next(reads).result for _ in range(3)] == [0, 1, 2]
    assert len(taken) == 7
    reads.close()
    assert len(taken) == 7

    def slow(number):
        release.wait(10)
        return number

    reads = read_ahead(iter(range(4)), slow, readers=1, ahead=3)
    release.set()
    assert [read.result for read in reads] == [0, 1, 2, 3]
    assert not [one for one in threading.enumerate() if one.name.startswith("kinema-reader")]


def test_neighbours_of_one_shape_share_a_batch_and_failures_keep_their_place():
    def reads():
        for shape, error in (("a", None), ("a", None), (None, "x"), ("a", None), ("b", None), ("b", None), (None, "y")):
            yield Read(shape, shape, None if error is None else VideoError(error))

    def shown(size, alone=False):
        batches = in_batches(reads(), lambda shape: None if alone else shape, size)
        return ["".join(read.item or str(read.error) for read in batch) for batch in batches]

    assert shown(2) == ["aax", "a", "bby"]
    assert shown(8) == ["aaxa", "bby"]
    assert shown(8, alone=True) == ["a", "ax", "a", "b", "by"]


def test_models_of_several_labels_name_all_classes_above_their_thresholds(several, clips):
    path = paths(clips)[0]
    scores = several.scores(path)
    by_name = dict(zip(CLASSES, scores.tolist(), strict=True))
    (prediction,) = several.predict_many([path], 1)
    assert prediction.present == tuple(
        one for one in sorted(by_name, key=lambda name: -by_name[name]) if by_name[one] >= 0.5
    )
    assert several.predict(path).present == prediction.present
    (prediction,) = several.predict_many([path], 1, thresholds={"run": 0.0, "jump": 1.0, "sit": 1.0})
    assert (prediction.present, len(prediction.labels)) == (("run",), 1)
    (prediction,) = several.predict_many([path], thresholds=0.0)
    assert set(prediction.present) == set(CLASSES)
    assert prediction.to_dict()["present"] == list(prediction.present)
    assert "present: " in repr(prediction)


def test_wrong_options_of_many_videos_are_named_at_the_call(recognizer, several):
    for options, message in (
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"readers": 0}, "readers must be at least 1, got 0"),
        ({"on_error": "skip"}, "on_error must be 'raise' or 'report', got 'skip'"),
        ({"views": "0x0"}, "views must be clips x crops"),
        ({"tta": "turn"}, "tta must be one of flip"),
        ({"thresholds": 0.4}, "is a model of one label a clip"),
    ):
        with pytest.raises(ValueError, match=message):
            recognizer.predict_many(["a.mp4"], **options)
    with pytest.raises(ValueError, match="there is no class 'fly' to have a threshold; there are: jump, run, sit"):
        several.predict_many(["a.mp4"], thresholds={"fly": 0.5})
    with pytest.raises(ValueError, match="no videos were given"):
        recognizer.predict_many([])
    with pytest.raises(VideoError, match=r"absent/\*\.mp4: no file matches this pattern"):
        recognizer.predict_many("absent/*.mp4")
    assert [default_batch_size(views) for views in (None, "1x1", "5x3", "10x3")] == [8, 8, 1, 1]


def test_scores_of_a_batch_that_are_no_numbers_name_the_video(clips):
    model = create_model("compact3d", num_classes=3)
    with torch.no_grad():
        model.cls_head.fc_cls.bias[0] = float("nan")
    broken = VideoRecognizer(model, CLASSES, PIPELINE)
    with pytest.raises(CheckpointError, match=r"not numbers .* for .*0\.mp4"):
        list(broken.predict_many(paths(clips)[:2]))


def test_warming_up_changes_no_score(recognizer, clips):
    path = paths(clips)[0]
    expected = recognizer.scores(path)
    recognizer.warm_up()
    recognizer.warm_up(views="1x3", tta="flip", batch_size=2)
    assert torch.equal(recognizer.scores(path), expected)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        recognizer.warm_up(batch_size=0)


def test_threads_with_a_recognizer_get_the_scores_of_one_after_the_other(recognizer, clips):
    names = paths(clips)
    expected = {name: recognizer.predict(name) for name in names}

    def work(turn):
        if turn % 2:
            return list(recognizer.predict_many(names[turn:] + names[:turn], batch_size=3, readers=2))
        return [recognizer.predict(name) for name in names[turn:] + names[:turn]]

    with ThreadPoolExecutor(4) as pool:
        for predictions in pool.map(work, range(4)):
            for one in predictions:
                np.testing.assert_allclose(one.probabilities, expected[one.source].probabilities, rtol=0, atol=1e-6)


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.slow
def test_a_thousand_predictions_in_a_loop_take_no_more_memory_than_two_hundred(recognizer, clips):
    names = paths(clips)
    figures = {}
    for number in range(1, 1001):
        recognizer.predict(names[number % 9])
        if number in (200, 600, 1000):
            gc.collect()
            figures[number] = (resident_bytes(), len(gc.get_objects()), threading.active_count())
    (early, objects, threads), (late, later_objects, later_threads) = figures[200], figures[1000]
    assert late - early < 8 << 20, figures
    assert later_objects - objects < 200, figures
    assert later_threads == threads
