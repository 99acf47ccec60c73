import pytest

from kinema.datasets.annotations import group_by_pattern, read_list, split_by_fractions, split_by_group
from kinema.datasets.annotations.delimited import read_csv
from kinema.datasets.annotations.grouping import group_by_column, source_video_of
from kinema.errors import AnnotationError


def clips(tmp_path, *lines):
    (tmp_path / "all.txt").write_text("".join(f"{line}\n" for line in lines))
    return read_list(tmp_path / "all.txt", multi_label=True)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("YoYo/v_YoYo_g07_c02.avi", "v_YoYo_g07"),
        ("x/-abc_DEF-12_000010_000020.mp4", "-abc_DEF-12"),
        ("talk-Scene-012.mp4", "talk"),
        ("a/talk7_clip3.mp4", "talk7"),
        ("talk7-part12.mp4", "talk7"),
        ("clip3.mp4", "clip3.mp4"),
        ("clips/my_clip_3.mp4", "clips/my_clip_3.mp4"),
        ("a/000012.mp4", "a/000012.mp4"),
    ],
)
def test_names_tell_the_source_video(path, source):
    assert source_video_of(path) == source


def test_no_source_video_lies_on_both_sides(tmp_path):
    lines = [
        f"v_{name}_g{g:02}_c{c:02}.avi {label}"
        for label, name in enumerate("AB")
        for g in range(10)
        for c in range(1 + g % 4)
    ]
    found = clips(tmp_path, *lines)
    for seed in range(5):
        train, held = split_by_group(found, 0.25, seed)
        assert len(train) + len(held) == len(found)
        assert not {source_video_of(path) for path in train.paths} & {source_video_of(path) for path in held.paths}
        for label in (0, 1):
            assert 2 <= (held.labels.values == label).sum() <= 9
    assert list(split_by_group(found, seed=3)[1]) == list(split_by_group(found, seed=3)[1])


def test_the_order_of_lines_does_not_matter(tmp_path):
    lines = [f"{index}.mp4 {index % 3}" for index in range(30)]
    one = {path for path, _ in split_by_group(clips(tmp_path, *lines))[1]}
    assert one == {path for path, _ in split_by_group(clips(tmp_path, *reversed(lines)))[1]}


def test_a_class_is_never_held_out_whole(tmp_path):
    train, held = split_by_group(clips(tmp_path, "v_A_g01_c01.avi 0", "v_A_g01_c02.avi 0", "b.mp4 1", "c.mp4 1"), 0.5)
    assert sorted(train.labels.values.tolist()) == [0, 0, 1]
    assert len(held) == 1


def test_a_class_of_large_groups_gives_one_of_them(tmp_path):
    lines = [f"v_A_g{g:02}_c{c:02}.avi 0" for g in range(3) for c in range(6 - g)]
    _, held = split_by_group(clips(tmp_path, *lines), 0.1)
    assert {source_video_of(path) for path in held.paths} == {"v_A_g02"}


def test_clips_of_several_classes_and_of_none_are_parted_too(tmp_path):
    train, held = split_by_group(
        clips(tmp_path, *(f"{index}.mp4 {index % 2} {2 + index % 3}" for index in range(24))), 0.25
    )
    assert len(train) + len(held) == 24
    assert 5 <= len(held) <= 8
    assert len(split_by_group(clips(tmp_path, "a.mp4", "b.mp4"))[1]) == 0


def test_a_pattern_may_tell_the_group(tmp_path):
    lines = [f"{person}/{clip}.mp4 {clip}" for person in ("ann", "bob", "cyd", "dan") for clip in range(3)]
    _, held = split_by_group(clips(tmp_path, *lines), 0.25, group_of=group_by_pattern(r"^(\w+)/"))
    assert len({path.partition("/")[0] for path in held.paths}) == 1
    assert len(held) == 3
    assert group_by_pattern("p[0-9]")("x_p7_y.mp4") == "p7"
    assert group_by_pattern("nowhere")("x.mp4") == "x.mp4"
    with pytest.raises(ValueError, match=r"expected a regular expression, got '\(': missing"):
        group_by_pattern("(")


def test_three_parts_share_no_group_and_hold_their_fractions(tmp_path):
    lines = [
        f"v_{label}_g{group:02}_c{clip:02}.avi {label}"
        for label in range(5)
        for group in range(25)
        for clip in range(4 + group % 4)
    ]
    found = clips(tmp_path, *lines)
    parts = split_by_fractions(found, (0.8, 0.1, 0.1), seed=4)
    groups = [set(map(source_video_of, part.paths)) for part in parts]
    assert sum(map(len, parts)) == len(found)
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    for label in range(5):
        shares = [(part.labels.values == label).sum() / (found.labels.values == label).sum() for part in parts]
        assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.04)
    assert [list(part) for part in split_by_fractions(found, (8, 1, 1), seed=4)] == [list(part) for part in parts]
    assert list(split_by_fractions(found, (0.9, 0.1), seed=4)[1]) == list(parts[1])


def test_fractions_must_be_two_or_more_above_0(tmp_path):
    found = clips(tmp_path, "a.mp4 0", "b.mp4 0")
    for fractions in ((1,), (1, 0), (0.5, -0.5), (1, float("nan"))):
        with pytest.raises(
            ValueError, match=r"expected two or more fractions above 0, such as 0\.8, 0\.1, 0\.1, got \["
        ):
            split_by_fractions(found, fractions)


def test_a_column_may_tell_the_group(tmp_path):
    (tmp_path / "all.csv").write_text(
        "# people\npath;label;person\na.mp4;0;ann\n\nb.mp4;1;bob\nc.mp4;0;ann\nd.mp4;1;\n"
    )
    group_of = group_by_column(read_csv(tmp_path / "all.csv"), "person")
    assert [group_of(f"{name}.mp4") for name in "abcd"] == ["ann", "bob", "ann", "d.mp4"]
    with pytest.raises(
        AnnotationError, match=r"all\.csv: there is no column 'actor': the columns are 'path', 'label', 'person'"
    ):
        group_by_column(read_csv(tmp_path / "all.csv"), "actor")
    with pytest.raises(AnnotationError, match=r"all\.txt: has no column 'person': expected a table with a header"):
        group_by_column(clips(tmp_path, "a.mp4 0"), "person")
