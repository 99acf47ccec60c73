import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from kinema.checkpoints.saving import save_pretrained
from kinema.cli.main import app
from kinema.models import create_model, zoo
from kinema.video import VideoReader, write_video

SAMPLING = [dict(type="SampleFrames", clip_len=4, frame_interval=1, num_clips=1, test_mode=True)]
PREPROCESSING = [
    dict(type="Resize", scale=(32, 32), keep_ratio=False),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model in `model`, and `videos` of which one is broken and two have one name."""
    folder = tmp_path_factory.mktemp("explain")
    torch.manual_seed(0)
    model = create_model("compact3d", num_classes=3)
    torch.nn.init.uniform_(model.cls_head.fc_cls.weight)
    config = {
        "model": zoo.model_config("compact3d", 3),
        "classes": ["jump", "run", "sit"],
        "sampling": SAMPLING,
        "preprocessing": PREPROCESSING,
    }
    save_pretrained(model, folder / "model", config=config)
    frames = np.random.default_rng(0).integers(0, 255, (8, 32, 64, 3), dtype=np.uint8)
    for name in ("a", "more/a"):
        write_video(folder / "videos" / f"{name}.mp4", frames, 10)
    (folder / "videos" / "broken.mp4").write_bytes(b"no video")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


def test_each_video_gets_an_animation_and_what_is_broken_an_exit_status(folder, tmp_path):
    result = run(folder / "model", folder / "videos", "--out", tmp_path / "out")
    assert result.exit_code == 1
    rows = [line.split() for line in result.stdout.splitlines() if ".mp4" in line]
    assert [row[0].rpartition("/")[2] for row in rows] == ["a.mp4", "a.mp4"]
    assert rows[0][1:3] == rows[1][1:3]
    assert rows[0][1] in ("jump", "run", "sit")
    assert "broken.mp4" in result.stderr
    assert "broken.mp4" not in result.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.mp4", "a_2.mp4"]
    with VideoReader(tmp_path / "out" / "a.mp4") as reader:
        assert len(reader) == 4
        assert (reader.width, reader.height) == (960, 280)  # the frame in its own shape, twice, over a bar
        assert reader.fps == pytest.approx(2)  # slower than the video: four frames in two seconds


def test_one_class_of_one_video_is_explained_into_one_file(folder, tmp_path):
    video, out = folder / "videos" / "a.mp4", tmp_path / "new" / "sit.webp"
    arguments = [folder / "model", video, "--class", "sit", "--out", out, "--layer", "backbone.stage1", "--json"]
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    (value,) = json.loads(result.stdout)
    assert (value["path"], value["label"], value["layer"]) == (str(video), "sit", "backbone.stage1")
    assert value["animation"] == str(out)
    assert np.sum(value["over_time"]) == pytest.approx(1, abs=1e-4)
    assert value["seconds"] == [[number / 10 for number in value["frames"][0]]]
    assert {"start_seconds", "end_seconds", "share"} == set(value["moments"][0])
    with Image.open(out) as image:
        assert image.n_frames == 4
        assert image.size == (960, 280)
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_what_cannot_be_done_is_said_before_any_video_is_read(folder, tmp_path):
    video = folder / "videos" / "a.mp4"
    result = run(folder / "model", folder / "videos", "--out", tmp_path / "all.gif")
    assert result.exit_code == 2
    assert "3 videos do not fit one file" in result.output
    for name in ("a.avi", "a.PNG"):
        result = run(folder / "model", video, "--out", tmp_path / name)
        assert result.exit_code == 2
        assert "an animation is a .mp4, .webm, .gif, .webp" in " ".join(result.output.replace("│", "").split())
    (tmp_path / "file.txt").touch()
    result = run(folder / "model", video, "--out", tmp_path / "file.txt")
    assert result.exit_code == 2
    assert "name a folder" in result.output
    for arguments, message in (
        (["--class", "runs"], r"has no class 'runs': did you mean run\?"),
        (["--layer", "backbone.stage3"], "no layer 'backbone.stage3' in Recognizer3D: did you mean"),
    ):
        result = run(folder / "model", tmp_path / "absent.mp4", *arguments)
        assert result.exit_code == 1
        with pytest.raises(type(result.exception), match=message):
            raise result.exception
    swapped = run(video, folder / "model")
    assert "the order is kinema explain CHECKPOINT VIDEO..." in str(swapped.exception)


def test_a_class_that_nothing_speaks_for_is_said(folder, tmp_path):
    model = create_model("compact3d", num_classes=3)
    torch.nn.init.constant_(model.cls_head.fc_cls.weight, -1.0)
    config = {"model": zoo.model_config("compact3d", 3), "classes": ["jump", "run", "sit"]}
    save_pretrained(model, tmp_path / "m", config={**config, "sampling": SAMPLING, "preprocessing": PREPROCESSING})
    result = run(tmp_path / "m", folder / "videos" / "a.mp4", "--class", "run", "--out", tmp_path / "a.mp4")
    assert result.exit_code == 0
    assert "nothing spoke for run" in result.stdout
