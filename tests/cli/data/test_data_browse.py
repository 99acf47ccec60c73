"""`kinema data browse`: the page that it writes."""

import base64
import json
import re

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from kinema.cli.data.browse import class_names
from kinema.cli.main import app
from kinema.errors import ConfigError, VideoError
from kinema.video import write_video


def browse(*arguments):
    result = CliRunner().invoke(app, ["data", "browse", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture
def clips(tmp_path, make_video):
    for name in ("run", "walk & turn"):
        for index in range(6):
            make_video(tmp_path / "clips" / name / f"{index}.mp4", num_frames=40)
    return tmp_path / "clips"


CONFIG = """
train_dataloader = dict(batch_size=2, dataset=dict(type="VideoDataset", ann_file="{folder}/list.txt", data_prefix=dict(video="{folder}"),
    metainfo=dict(classes=["run", "walk"]), test_mode=True, pipeline=[
        dict(type="OpenVideo"), dict(type="SampleFrames", clip_len=4, frame_interval=1, num_clips=2, test_mode=True), dict(type="DecodeVideo"),
        dict(type="Resize", scale=(-1, 32)), {more} dict(type="FormatShape", input_format="NCTHW"), dict(type="PackActionInputs")]))
randomness = dict(seed=5)
"""


@pytest.fixture
def config(tmp_path, clips):
    (clips / "list.txt").write_text("run/0.mp4 0\nrun/gone.mp4 1\n")
    path = tmp_path / "config.py"
    path.write_text(CONFIG.format(folder=clips, more='dict(type="ThreeCrop", crop_size=32),'))
    return path


def pictures(page):
    """(H, W, 3) of every strip."""
    found = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', page)
    return [cv2.imdecode(np.frombuffer(base64.b64decode(one), np.uint8), cv2.IMREAD_COLOR) for one in found]


def test_a_folder_of_clips_becomes_one_page(clips, tmp_path):
    out = tmp_path / "pages" / "sheet.html"
    text = browse(clips, "--clips", 4, "--repeats", 2, "--out", out)
    assert text.startswith(f"{out}: 4 of 10 train clips (0.")
    page = out.read_text()
    assert page.count("<article>") == 4
    assert page.count('<span class="class">walk &amp; turn</span>') == 2
    assert "40 frames, 64x48 pixels, label 1" in page
    assert "input 1x3x8x56x56 uint8" in page
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", page)
    assert len(pictures(page)) == 4 * 2


def test_every_epoch_augments_in_another_way(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), dtype=np.uint8)
    for index in range(4):
        write_video(tmp_path / f"{index}.mp4", noise, 10)
    (tmp_path / "train.txt").write_text("".join(f"{index}.mp4 {index % 2}\n" for index in range(4)))
    browse(tmp_path / "train.txt", "--clips", 1, "--out", tmp_path / "sheet.html")
    page = (tmp_path / "sheet.html").read_text()
    after = pictures(page)[1:]  # all frames are taken every time, so the decoded ones stand there once
    assert [f"epoch {epoch}" in page for epoch in (1, 2, 3)] == [True] * 3
    assert len({one.tobytes() for one in after}) == len(after) == 3


def test_strips_show_the_decoded_frames_with_their_numbers(clips, tmp_path, grey_level):
    out = tmp_path / "sheet.html"
    browse(clips, "--split", "val", "--clips", 1, "--out", out)
    page = out.read_text()
    before, after = pictures(page)
    numbers = [int(one) for one in re.findall(r"<span>(\d+)</span>", page)]
    assert "epochs 1 to 3, all the same" in page
    assert len(numbers) == 8
    for strip in (before, after):
        width = strip.shape[1] // 8
        for place, number in enumerate(numbers):
            assert abs(strip[20, place * width + width // 2].mean() - grey_level(number)) < 5


def test_a_config_shows_its_views_and_its_broken_clips(config, tmp_path):
    value = json.loads(browse(config, "--out", tmp_path / "sheet.html", "--json"))
    assert value["seed"] == 5
    assert [one["classes"] for one in value["clips"]] == [["run"], ["walk"]]
    assert [one["error"] and one["error"].endswith("gone.mp4: no such file") for one in value["clips"]] == [None, True]
    page = (tmp_path / "sheet.html").read_text()
    assert value["bytes"] == len(page.encode())
    assert "view 6 of 6" in page
    assert "<b>broken:</b>" in page
    assert "<li>ThreeCrop(crop_size=(32, 32))</li>" in page
    rows = [re.findall(r"<span>(\d+)</span>", row) for row in page.split("<figure>")[1:]]
    assert rows[0] == rows[1] + rows[2]  # the decoded frames of both clips; then view by view
    assert rows[1] == rows[3] == rows[5] != rows[2] == rows[4] == rows[6]


def test_the_seed_chooses_clips_and_augmentation(clips, tmp_path):
    pages = []
    for seed in (1, 1, 2):
        browse(clips, "--clips", 2, "--seed", seed, "--out", tmp_path / "sheet.html")
        pages.append((tmp_path / "sheet.html").read_text())
    assert pages[0] == pages[1] != pages[2]


def test_pipelines_without_inputs_are_told(config, tmp_path):
    config.write_text(config.read_text().replace(', dict(type="PackActionInputs")', ""))
    with pytest.raises(
        VideoError,
        match=r"none of 2 train clips can be shown; the first: the pipeline gives no 'inputs' to show, but filename",
    ):
        browse(config, "--out", tmp_path / "sheet.html")


def test_what_cannot_be_shown_is_said(config, clips):
    with pytest.raises(ConfigError, match=r"config\.py: has no val_dataloader\.dataset to show"):
        browse(config, "--split", "val")
    with pytest.raises(ConfigError, match="--model goes with clips only"):
        browse(config, "--model", "compact3d")
    with pytest.raises(ConfigError, match="--split test goes with a config"):
        browse(clips, "--split", "test")


def test_labels_of_every_form_have_names():
    names = ["run", "walk"]
    assert class_names(1, names) == ["walk"]
    assert class_names([0, 1], names) == ["run", "walk"]
    assert class_names(np.array([0, 1], np.float32), names) == ["walk"]
    assert class_names(np.array([0.25, 0.75]), names) == ["run 0.25", "walk 0.75"]
    assert class_names(7, names) == ["class 7"]
    assert class_names(-1, names) == class_names(None, names) == []
