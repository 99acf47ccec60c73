import pytest

from kinema.datasets.annotations.known_sets import KNOWN_SETS, class_names_of_set, find_known_set


@pytest.mark.parametrize("known", [one for one in KNOWN_SETS if one.file], ids=lambda one: one.title)
def test_every_set_has_a_name_a_class(known):
    names = class_names_of_set(known.title)
    assert len(names) == len(set(names)) == known.num_classes
    assert all(name == name.strip() and name for name in names)
    assert list(names) == sorted(names), "the published order is alphabetical"


def test_names_stand_at_their_class_index():
    kinetics = class_names_of_set("Kinetics-400")
    assert {index: kinetics[index] for index in (0, 5, 6, 80, 399)} == {
        0: "abseiling",
        5: "archery",
        6: "arm wrestling",
        80: "curling hair",
        399: "zumba",
    }
    assert (class_names_of_set("Kinetics-700")[0], class_names_of_set("Kinetics-700")[699]) == ("abseiling", "zumba")
    something = class_names_of_set("Something-Something V2")
    assert something[0] == "Approaching something with your camera"
    assert something[173] == "Wiping something off of something"
    assert (class_names_of_set("UCF101")[0], class_names_of_set("UCF101")[100]) == ("ApplyEyeMakeup", "YoYo")
    assert (class_names_of_set("HMDB51")[0], class_names_of_set("HMDB51")[50]) == ("brush_hair", "wave")
    assert class_names_of_set("Kinetics-600") == ()
    with pytest.raises(KeyError, match="Kinetics: expected one of Kinetics-400, "):
        class_names_of_set("Kinetics")


@pytest.mark.parametrize(
    ("text", "num_classes", "title"),
    [
        ("data/kinetics400/kinetics400_train_list_videos.txt", 400, "Kinetics-400"),
        ("slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb_20220901-e7b65fad.pth", 400, "Kinetics-400"),
        ("/mnt/K400/train.csv", 400, "Kinetics-400"),
        ("data/kinetics400/train.txt", 399, None),
        ("data/sthv2/sthv2_train_list_videos.txt", 174, "Something-Something V2"),
        ("data/sthv1/sthv1_train_list.txt", 174, "Something-Something V1"),
        ("data/something/train.txt", 174, None),
        ("data/ucf101/split_1.txt", 101, "UCF101"),
        ("data/hmdb51_videos", 51, "HMDB51"),
        ("data/mine/train.txt", 400, None),
        ("data/mink400/train.txt", 400, None),
    ],
)
def test_a_set_is_known_by_what_its_files_are_called_and_its_size(text, num_classes, title):
    known = find_known_set([text, "work"], num_classes)
    assert (known and known.title) == title


def test_texts_of_two_sets_are_of_none():
    assert find_known_set(["data/sthv1", "data/sthv2"], 174) is None
    assert find_known_set(["data/kinetics400", "data/kinetics600"], 400) is None
