import json

import pytest

from kinema.datasets import VideoDataset
from kinema.datasets.annotations import find_splits, read_annotations
from kinema.datasets.annotations.kinetics import read_kinetics
from kinema.datasets.annotations.official_splits import read_hmdb51, read_ucf101
from kinema.datasets.annotations.something_something import left_right_pairs, read_something_something
from kinema.errors import AnnotationError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


KINETICS = """label,youtube_id,time_start,time_end,split
brush hair,-aaaaaaaaaa,10,20,train
air drumming,bbbbbbbbbbb,1,11,train
zumba,ccccccccccc,0,10,train
"clean, jerk",ddddddddddd,7,17,train
"""


@pytest.fixture
def kinetics(tmp_path):
    (tmp_path / "train.csv").write_text(KINETICS)
    touch(
        tmp_path / "train",
        "brush hair/-aaaaaaaaaa_000010_000020.mp4",
        "bbbbbbbbbbb.mkv",
        "clean_jerk/ddddddddddd_000007_000017.webm",
    )
    return tmp_path


def test_kinetics_finds_its_videos_by_any_of_their_names_and_counts_those_that_are_gone(kinetics):
    found = read_annotations(kinetics / "train.csv")
    assert found.format == "kinetics"
    assert found.class_names == ("air drumming", "brush hair", "clean, jerk", "zumba")
    assert list(found) == [
        ("brush hair/-aaaaaaaaaa_000010_000020.mp4", (1,)),
        ("bbbbbbbbbbb.mkv", (0,)),
        ("clean_jerk/ddddddddddd_000007_000017.webm", (2,)),
    ]
    assert found.notes == ("1 of 4 videos are not there, the first is ccccccccccc_000000_000010 (line 4)",)
    assert found.clip_starts is None
    dataset = VideoDataset(kinetics / "train.csv", data_prefix={"video": str(kinetics / "train")})
    assert dataset[1]["filename"] == str(kinetics / "train" / "bbbbbbbbbbb.mkv")


def test_kinetics_without_labels_is_a_test_set(kinetics):
    (kinetics / "train.csv").write_text("youtube_id,time_start,time_end\nbbbbbbbbbbb,1,11\n")
    assert list(read_kinetics(kinetics / "train.csv")) == [("bbbbbbbbbbb.mkv", ())]


def test_bad_kinetics_lists_are_named(kinetics):
    with pytest.raises(AnnotationError, match=r"train\.csv: found no videos in .*nowhere: name their folder"):
        read_kinetics(kinetics / "train.csv", video_root=kinetics / "nowhere")
    touch(kinetics, "other/x.mp4")
    with pytest.raises(
        AnnotationError, match=r"none of its 4 videos is in .*: expected files such as -aaaaaaaaaa_000010_000020\.mp4"
    ):
        read_kinetics(kinetics / "train.csv", video_root=kinetics / "other")
    (kinetics / "train.csv").write_text(KINETICS.replace("1,11", "one,11"))
    with pytest.raises(
        AnnotationError, match=r"train\.csv:3: time_start and time_end must be seconds, got 'one' and '11'"
    ):
        read_kinetics(kinetics / "train.csv")
    (kinetics / "train.csv").write_text("path,label\n")
    with pytest.raises(
        AnnotationError, match=r"train\.csv:1: expected the columns youtube_id, time_start, time_end, got path, label"
    ):
        read_kinetics(kinetics / "train.csv")
    (kinetics / "train.csv").write_text(KINETICS.splitlines()[0])
    with pytest.raises(AnnotationError, match=r"train\.csv: the list is empty"):
        read_kinetics(kinetics / "train.csv")


SOMETHING = [
    {"id": "7", "label": "pushing cup from left to right", "template": "Pushing [something] from left to right"},
    {"id": "9", "label": "holding pen", "template": "Holding [something]"},
]


def test_something_something_takes_templates_as_classes(tmp_path):
    (tmp_path / "train.json").write_text(json.dumps(SOMETHING))
    touch(tmp_path, "videos/7.webm")
    found = read_annotations(tmp_path / "train.json")
    assert found.format == "something-something"
    assert list(found) == [("7.webm", (1,)), ("9.webm", (0,))]
    assert found.video_root == tmp_path / "videos"
    names = {"Pushing something from left to right": "0", "Holding something": "2", "Moving something": "1"}
    (tmp_path / "labels.json").write_text(json.dumps(names))
    assert read_something_something(tmp_path / "train.json").labels.values.tolist() == [0, 2]


def test_something_something_of_a_test_set_has_no_labels(tmp_path):
    (tmp_path / "test.json").write_text('[{"id": 3}]')
    assert list(read_annotations(tmp_path / "test.json")) == [("3.webm", ())]


def test_mirrored_classes_trade_places():
    names = [
        "Pulling a from left to right",
        "Holding a",
        "pulling a from right to left",
        "Turning the camera left while filming",
    ]
    assert left_right_pairs(names) == {0: 2, 2: 0}
    assert left_right_pairs([*names, "Turning the camera right while filming", "Bright light"]) == {
        0: 2,
        2: 0,
        3: 4,
        4: 3,
    }


def test_bad_something_something_lists_are_named(tmp_path):
    (tmp_path / "train.json").write_text('{"id": 3}')
    with pytest.raises(AnnotationError, match=r"train\.json: expected a list of \{\"id\": "):
        read_something_something(tmp_path / "train.json")
    (tmp_path / "train.json").write_text("[]")
    with pytest.raises(AnnotationError, match=r"train\.json: the list is empty"):
        read_something_something(tmp_path / "train.json")
    (tmp_path / "train.json").write_text(json.dumps(SOMETHING))
    (tmp_path / "labels.json").write_text('{"Holding something": "0"}')
    with pytest.raises(
        AnnotationError, match=r"train\.json:1: the label 'Pushing something from left to right' is none of the 1"
    ):
        read_something_something(tmp_path / "train.json")
    (tmp_path / "labels.json").write_text('{"Holding something": "5"}')
    with pytest.raises(AnnotationError, match=r"labels\.json: expected an object such as .* counted from 0"):
        read_something_something(tmp_path / "train.json")


@pytest.fixture
def ucf(tmp_path):
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 ApplyEyeMakeup\n2 YoYo\n")
    (lists / "trainlist01.txt").write_text(
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\nYoYo/v_YoYo_g08_c01.avi 2\r\n"
    )
    (lists / "testlist01.txt").write_text("YoYo/v_YoYo_g01_c01.avi\n")
    (lists / "trainlist02.txt").write_text("YoYo/v_YoYo_g01_c01.avi 2\n")
    (lists / "testlist02.txt").write_text("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi\n")
    touch(tmp_path / "UCF-101", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", "YoYo/v_YoYo_g01_c01.avi")
    return tmp_path


def test_ucf101_counts_its_classes_from_one(ucf):
    found = read_annotations(ucf / "ucfTrainTestlist")
    assert (found.format, found.class_names, found.split_names) == (
        "ucf101",
        ("ApplyEyeMakeup", "YoYo"),
        ("train", "test"),
    )
    assert found.labels.values.tolist() == [0, 1, 1]
    assert found.video_root == ucf / "UCF-101"
    assert read_annotations(ucf / "ucfTrainTestlist", split="test")[0].path == "YoYo/v_YoYo_g01_c01.avi"
    assert read_annotations(ucf / "ucfTrainTestlist", fold=2).labels.values.tolist() == [1, 0]
    assert len(read_annotations(ucf / "ucfTrainTestlist" / "testlist01.txt")) == 1
    train, test = find_splits(ucf / "ucfTrainTestlist")
    assert (len(train.annotations), len(test.annotations), test.part) == (2, 1, "test")
    dataset = VideoDataset(**test.dataset_config())
    assert dataset[0]["filename"] == str(ucf / "UCF-101" / "YoYo/v_YoYo_g01_c01.avi")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("classInd.txt", "one ApplyEyeMakeup\n", r"classInd\.txt:1: expected 'number Name', got 'one ApplyEyeMakeup'"),
        ("classInd.txt", "0 ApplyEyeMakeup\n1 YoYo\n", r"classInd\.txt: expected the ids 1 to 2, each once"),
        (
            "trainlist01.txt",
            "YoYo/a.avi 2\nNoSuch/b.avi 3\n",
            r"trainlist01\.txt:2: expected 'Class/video\.avi' of a class",
        ),
        ("trainlist01.txt", "YoYo/a.avi 1\n", r"trainlist01\.txt:1: YoYo is class 2 in classInd\.txt, not 1"),
        ("trainlist01.txt", None, r"trainlist01\.txt: cannot be read: No such file"),
        ("trainlist01.txt", b"\xfc/a.avi 1", r"trainlist01\.txt: expected UTF-8 text"),
    ],
)
def test_bad_files_of_ucf101_are_named(ucf, file, text, message):
    path = ucf / "ucfTrainTestlist" / file
    path.unlink()
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(AnnotationError, match=message):
        read_ucf101(ucf / "ucfTrainTestlist")


@pytest.mark.parametrize("read", [read_ucf101, read_hmdb51])
def test_there_are_three_official_splits(tmp_path, read):
    with pytest.raises(ValueError, match="fold must be one of the official splits 1, 2, 3, got 4"):
        read(tmp_path, fold=4)


def test_hmdb51_leaves_out_what_is_in_neither_split(tmp_path):
    lists = tmp_path / "splits"
    touch(tmp_path / "videos", "brush_hair/a b.avi")
    lists.mkdir()
    (lists / "brush_hair_test_split1.txt").write_text("a b.avi 1 \nc.avi 2 \nd.avi 0 \n")
    (lists / "wave_test_split1.txt").write_text("e.avi 2\n")
    (lists / "wave_test_split2.txt").write_text("e.avi 1\n")
    found = read_annotations(lists)
    assert (found.format, found.class_names) == ("hmdb51", ("brush_hair", "wave"))
    assert list(found) == [("brush_hair/a b.avi", (0,)), ("brush_hair/c.avi", (0,)), ("wave/e.avi", (1,))]
    assert [path for path, _ in read_annotations(lists, split="test")] == ["brush_hair/c.avi", "wave/e.avi"]
    assert list(read_annotations(lists, fold=2)) == [("wave/e.avi", (0,))]
    assert found.video_root == tmp_path / "videos"
    (lists / "wave_test_split1.txt").write_text("e.avi 3\n")
    with pytest.raises(
        AnnotationError, match=r"wave_test_split1\.txt:1: expected 'video\.avi' and 0, 1 or 2, got 'e\.avi 3'"
    ):
        read_hmdb51(lists)
    with pytest.raises(AnnotationError, match=r"expected files such as brush_hair_test_split3\.txt, found none"):
        read_hmdb51(lists, fold=3)
