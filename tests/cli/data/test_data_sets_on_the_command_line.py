import json

import pytest
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.datasets import ShardDataset
from kinema.errors import AnnotationError


@pytest.fixture
def clips(tmp_path, make_video):
    """Two classes of four source videos with two clips each."""
    for label, name in enumerate(("run", "walk")):
        for index in range(8):
            path = tmp_path / "clips" / name / f"v_{name}_g{index // 2:02}_c{index % 2:02}.mp4"
            make_video(path, num_frames=3 + index, size=(64 + 2 * ((index + label) % 2), 48))  # no two are the same
    return tmp_path / "clips"


def call(*arguments):
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_info_describes_a_data_set_and_draws_its_classes(clips, tmp_path):
    text = call("info", clips, "--plot", tmp_path / "plots" / "classes.png")
    assert "class-folders" in text
    assert "no problems found" in text
    assert (tmp_path / "plots" / "classes.png").read_bytes().startswith(b"\x89PNG")
    survey = json.loads(call("info", clips, "--json"))
    assert survey["counts"] == {"all": [8, 8]}


def test_info_names_the_problems(clips):
    (clips / "run" / "v_run_g00_c00.mp4").write_bytes(b"junk")
    text = call("info", clips)
    assert "1 of 16 probed videos cannot be read" in text


def test_split_keeps_source_videos_on_one_side(clips, tmp_path):
    facts = json.loads(call("split", clips, tmp_path / "lists", "--fractions", "0.75,0.25", "--json"))
    assert (facts["train"]["clips"], facts["val"]["clips"], facts["val"]["groups"]) == (12, 4, 2)
    assert (tmp_path / "lists" / "classes.txt").read_text() == "run\nwalk\n"
    assert "no problems found" in call("info", tmp_path / "lists")
    with pytest.raises(AnnotationError, match=r"train\.txt: is there already: name another folder"):
        call("split", clips, tmp_path / "lists")
    with pytest.raises(AnnotationError, match="nothing is left for val: no class has clips of 2 groups .--no-group"):
        call("split", clips, tmp_path / "other", "--by", "^(run|walk)/")


def test_split_parts_in_three_anew_and_warns_of_absent_classes(clips, tmp_path, make_video):
    call("split", clips, tmp_path / "lists")
    make_video(tmp_path / "clips" / "alone" / "v_alone_g00_c00.mp4", num_frames=3)
    result = CliRunner().invoke(
        app, ["data", "split", str(clips), "--out", f"{tmp_path}/three", "--fractions", "2,1,1"]
    )
    assert result.exit_code == 0, result.exception
    assert "warning: 1 of 3 classes have no clip in val (alone): too few source videos" in result.stderr
    assert [line.split() for line in result.stdout.splitlines() if line.strip().startswith(("run", "walk"))] == [
        ["run", "4", "2", "2", "4"],
        ["walk", "4", "2", "2", "4"],
    ]
    again = json.loads(call("split", tmp_path / "lists", tmp_path / "again", "--json"))
    assert again["train"]["clips"] + again["val"]["clips"] == 16
    assert again["classes"]["run"] == {"train": 6, "val": 2}


def test_split_can_keep_together_what_a_column_says(clips, tmp_path):
    rows = [
        f"{path.relative_to(clips)},{path.parent.name},p{index % 8 // 2}"
        for index, path in enumerate(sorted(clips.rglob("*.mp4")))
    ]
    (clips / "all.csv").write_text("\n".join(["path,label,person", *rows]))
    facts = json.loads(
        call("split", clips / "all.csv", tmp_path / "lists", "--group-column", "person", "--fractions", "3,1", "--json")
    )
    assert (facts["val"]["clips"], facts["val"]["groups"], facts["train"]["groups"]) == (4, 1, 3)


def test_split_can_part_clips_one_by_one(clips, tmp_path):
    facts = json.loads(call("split", clips, tmp_path / "lists", "--no-group", "--json"))
    assert facts["val"]["groups"] == facts["val"]["clips"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["DST", "--fractions", "1"], "expected two or three numbers above 0"),
        (["DST", "--fractions", "a,b"], "got 'a,b'"),
        (["DST", "--group", "("], "expected a regular expression, got '('"),
        (["DST", "--group", "x", "--no-group"], "choose one of --no-group, --group, --group-column and --by-time"),
        ([], "name one folder for the lists"),
        (["DST", "--out", "OTHER"], "name one folder for the lists"),
    ],
)
def test_split_says_what_is_wrong_with_its_arguments(clips, arguments, message):
    result = CliRunner().invoke(app, ["data", "split", str(clips), *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert message in result.stderr


def test_shard_packs_both_parts(clips, tmp_path):
    call("split", clips, tmp_path / "lists", "--fractions", "0.75,0.25")
    facts = json.loads(call("shard", tmp_path / "lists", tmp_path / "shards", "--json"))
    assert [(one["num_shards"], one["num_clips"]) for one in facts] == [(1, 12), (1, 4)]
    dataset = ShardDataset(tmp_path / "shards" / "val")
    assert (len(dataset), dataset.metainfo["classes"]) == (4, ["run", "walk"])
    assert "shards/val" in call("shard", tmp_path / "lists", tmp_path / "again").replace("again", "shards")
