import json

import numpy as np
import pytest

from kinema.datasets.annotations import read_split
from kinema.engine import Runner
from kinema.errors import AnnotationError, ConfigError
from kinema.evaluation.functional import mean_average_precision
from kinema.evaluation.intervals import precision_interval
from kinema.inference import load
from kinema.recipes import classification, evaluate, evaluation_clips
from kinema.recipes.clips import read_clips
from kinema.recipes.results import results_of
from kinema.registry import DATASETS
from kinema.video import write_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("several")
    for number in range(10):
        frames = np.random.default_rng(number).integers(0, 256, (9, 32, 48, 3), dtype=np.uint8)
        write_video(root / f"clip {number}.mp4", frames, 10)
    return root


LABELS = [(0,), (1,), (0, 1), (2,), (0, 2), (1,), (0,), (1, 2), (2,), (0, 1)]
TEXTS = {
    "list.txt": "".join(f"clip {k}.mp4 {' '.join(map(str, labels))}\n" for k, labels in enumerate(LABELS)),
    "table.csv": "path,labels\n"
    + "".join(f"clip {k}.mp4,{'|'.join('abc'[n] for n in ns)}\n" for k, ns in enumerate(LABELS)),
    "items.json": json.dumps(
        [{"path": f"clip {k}.mp4", "label": ["abc"[n] for n in ns]} for k, ns in enumerate(LABELS)]
    ),
}


def test_a_single_label_is_the_text_of_a_table_and_not_to_be_had_of_a_line_with_several(folder):
    for name in ("list.txt", "table.csv"):
        (folder / name).write_text(TEXTS[name])
    assert set(read_clips(folder / "table.csv", multi_label=False).classes) == {"a", "a|b", "a|c", "b", "b|c", "c"}
    with pytest.raises(
        AnnotationError, match=r"list\.txt: its lines have several labels: for --single-label leave one"
    ):
        read_clips(folder / "list.txt", multi_label=False)
    for name in ("list.txt", "table.csv"):
        (folder / name).unlink()


def test_folds_are_of_clips_of_one_label(folder):
    (folder / "table.csv").write_text(TEXTS["table.csv"])
    with pytest.raises(ConfigError, match=r"table\.csv: cross-validation measures accuracies, .*: leave --folds out"):
        classification(folder / "table.csv", fold=(1, 2))
    (folder / "table.csv").unlink()


@pytest.mark.parametrize("name", TEXTS)
def test_labels_say_that_there_are_several(folder, name):
    (folder / name).write_text(TEXTS[name])
    split = read_split(folder / name, multi_label=None)
    assert split.multi_label
    assert [split.annotations.labels.of(place) for place in range(10)] == LABELS
    clips = read_clips(folder / name)
    assert clips.multi_label
    assert (
        clips.doubts[0].startswith("4 of 8 training clips have several")
        or "of 10 training clips have" in clips.doubts[0]
    )
    config = classification(clips, workers=0)
    assert (config.model.cls_head.multi_class, config.model.cls_head.loss_cls.type) == (True, "BCELossWithLogits")
    assert config.default_hooks.checkpoint.save_best == "acc/mean_average_precision"
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert len(dataset.get_data_info(0)["label"]) == 3
    (folder / name).unlink()


def test_a_comma_in_a_name_and_numbers_in_file_names_are_no_several_labels(folder):
    (folder / "plain.csv").write_text('path,label\n"clip 0.mp4","pick up, put down"\n"clip 1.mp4",wave\n')
    assert not read_split(folder / "plain.csv", multi_label=None).multi_label
    (folder / "plain.txt").write_text("clip 0.mp4 0\nclip 1.mp4 1\n")
    assert not read_split(folder / "plain.txt", multi_label=None).multi_label
    single = read_split(folder / "plain.txt", multi_label=False)
    assert not single.multi_label
    assert read_split(folder / "plain.txt", multi_label=True).multi_label
    (folder / "classes").mkdir()
    (folder / "classes" / "wave").mkdir()
    (folder / "classes" / "wave" / "a.mp4").hardlink_to(folder / "clip 0.mp4")
    assert read_split(folder / "classes", multi_label=True).multi_label  # each clip has one of several


def test_the_interval_of_a_mean_average_precision_holds_it():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, (60, 3))
    scores = labels * 0.5 + generator.random((60, 3))
    low, high = precision_interval(scores, labels, range(60))
    assert low < mean_average_precision(scores, labels) < high < 1
    assert high - low < 0.4
    rounded, chosen = scores.round(1), np.random.default_rng(0).integers(60, size=60)  # with ties, drawn by hand
    by_hand = mean_average_precision(rounded[chosen], labels[chosen])
    assert precision_interval(rounded, labels, range(60), draws=1) == pytest.approx((by_hand, by_hand))
    assert np.isnan(precision_interval(scores, np.zeros((60, 3)), range(60))[0])
    with pytest.raises(ValueError, match="need one group a clip and at least one clip, got 60 clips, 2 groups"):
        precision_interval(scores, labels, ["a", "b"])


@pytest.mark.slow
def test_several_labels_train_and_are_measured(folder, tmp_path):
    (folder / "train.txt").write_text(TEXTS["list.txt"])
    runner = Runner.from_cfg(classification(folder / "train.txt", work_dir=tmp_path, epochs=2, workers=0))
    runner.train()
    summary = json.loads((tmp_path / "summary.json").read_text())
    best = summary["best"]
    held = [
        LABELS[int(line.split("clip ")[1].split(".")[0])]
        for line in (tmp_path / "val_clips.csv").read_text().splitlines()[1:]
    ]
    assert best["metric"] == "acc/mean_average_precision"
    assert best["interval"][0] <= best["value"] <= best["interval"][1] <= 1
    assert best["metrics"]["loss"] > 0

    results = results_of(tmp_path, workers=0)
    assert results is not None
    assert (results.metric, results.value) == (best["metric"], pytest.approx(best["value"]))
    assert [one.clips for one in results.classes] == [sum(n in ns for ns in held) for n in range(3)]
    assert all(one.threshold is not None for one in results.classes if one.clips)
    recognizer = load(tmp_path)
    assert recognizer.is_multi_label
    split = evaluation_clips(folder / "train.txt", recognizer.classes, multi_label=True)
    evaluation = evaluate(recognizer, split, workers=0)
    assert 0 < evaluation.numbers["acc/mean_average_precision"] <= 1
    scores = recognizer.scores(folder / "clip 0.mp4").numpy()
    assert not np.isclose(scores.sum(), 1, atol=1e-3)  # each class by itself: no softmax
    assert recognizer.predict(folder / "clip 0.mp4").score == pytest.approx(scores.max())
