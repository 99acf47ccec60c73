"""`kinema bench data`: what it prints, for people and for programs. No time is asserted."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from kinema.cli.bench import bar, worker_counts
from kinema.cli.main import app
from kinema.datasets.synthetic import make_motion_dataset
from kinema.errors import ConfigError

CONFIG = """
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="VideoDataset",
        ann_file="{list}",
        data_prefix=dict(video="{clips}"),
        pipeline=[
            dict(type="OpenVideo"),
            dict(type="SampleFrames", clip_len=4),
            dict(type="DecodeVideo"),
            dict(type="Resize", scale=(-1, 16)),
            dict(type="FormatShape", input_format="NCTHW"),
            dict(type="PackActionInputs"),
        ],
    ),
)
"""

SLOW_STEP = """
import time
from kinema.registry import TRANSFORMS

@TRANSFORMS.register_module()
class Dawdle:
    def __call__(self, results):
        time.sleep(0.2)
        return results
"""


def bench_data(*arguments):
    return CliRunner().invoke(app, ["bench", "data", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    return make_motion_dataset(root, num_train=16, num_val=8, num_frames=8, size=(32, 32)).root


@pytest.fixture
def config(clips, tmp_path):
    path = tmp_path / "config.py"
    path.write_text(CONFIG.replace("{list}", f"{clips}/train.txt").replace("{clips}", str(clips)))
    return path


def test_a_folder_is_measured_as_training_would_read_it(clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = bench_data(clips, "--workers", 0, "--clips", 8)
    steps = [
        "sample list",
        "OpenVideo (open)",
        "SampleFrames",
        "DecodeVideo (decode)",
        "Resize",
        "RandomCrop",
        "collate",
    ]
    places = [shown.stdout.index(step) for step in [*steps, "all"]]
    assert places == sorted(places)
    assert "8 an epoch" in shown.stdout
    assert "clips/s" in shown.stdout
    assert "No workers: the training process reads the clips itself" in shown.stdout
    assert list(tmp_path.iterdir()) == []  # no work folder


def test_json_has_every_number(config):
    shown = bench_data(config, "--json", "--epochs", 2)
    report = json.loads(shown.stdout)
    assert (report["num_workers"], report["batch_size"], report["broken"], report["sweep"]) == (1, 4, {}, [])
    assert [epoch["num_clips"] for epoch in report["epochs"]] == [16, 16]
    for epoch in report["epochs"]:
        assert {"clips_per_second", "milliseconds", "seconds", "stages"} <= set(epoch)
        kinds = [stage["kind"] for stage in epoch["stages"]]
        assert kinds == ["list", "open", "transform", "decode", "transform", "transform", "transform", "collate"]
    assert (report["frames"]["decoded_short_side"], report["frames"]["used_short_side"]) == (32, 16)


@pytest.mark.slow
def test_a_sweep_tries_numbers_of_workers(config):
    arguments = (config, "--sweep", "--epochs", 1, "--clips", 4)
    report = json.loads(bench_data(*arguments, "--json").stdout)
    assert [tried["workers"] for tried in report["sweep"]] == worker_counts(report["cores"])
    assert "How many workers" in bench_data(*arguments).stdout


def test_broken_clips_are_counted(clips, config, tmp_path):
    (tmp_path / "broken.mp4").write_text("no video")
    names = (clips / "train.txt").read_text()
    (tmp_path / "list.txt").write_text(f"{names}{tmp_path}/broken.mp4 0\n")
    config.write_text(config.read_text().replace(f"{clips}/train.txt", f"{tmp_path}/list.txt"))
    shown = bench_data(config, "--epochs", 1)
    assert shown.exit_code == 0
    assert "16 an epoch, 1 broken" in shown.stdout
    assert "1 clip cannot be read, as" in shown.stdout


def test_wrong_use_is_told(clips, config):
    with pytest.raises(
        ConfigError, match=r"config\.py: a config says how clips are read: --model goes with clips only"
    ):
        bench_data(config, "--model", "compact3d")
    config.write_text("model = dict(type='TSN')\n")
    with pytest.raises(ConfigError, match=r"config\.py: has no 'train_dataloader' to measure"):
        bench_data(config)
    assert bench_data(clips, "--clips", 0).exit_code == 2


def test_bars_are_as_long_as_the_share():
    assert [bar(share) for share in (0, 1 / 30, 1.5 / 30, 1)] == ["", "█", "█▌", "█" * 30]


def test_numbers_of_workers_double_beyond_four():
    assert worker_counts(1) == [0, 1]
    assert worker_counts(3) == [0, 1, 2, 3]
    assert worker_counts(12) == [0, 1, 2, 3, 4, 8, 12]


@pytest.mark.slow
def test_a_step_of_the_users_own_that_sleeps_is_named(config, tmp_path):
    (tmp_path / "slow_step.py").write_text(SLOW_STEP)
    text = config.read_text().replace('dict(type="FormatShape"', 'dict(type="Dawdle"), dict(type="FormatShape"')
    config.write_text(f"{text}\ncustom_imports = dict(imports=['slow_step'])\n")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "kinema.cli", "bench", "data", str(config), "--json"]
    shown = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=900, env={**os.environ, "PYTHONPATH": path}
    )
    assert shown.returncode == 0, shown.stderr
    report = json.loads(shown.stdout)
    for epoch in report["epochs"]:
        slowest = max(epoch["stages"], key=lambda stage: stage["milliseconds"])
        assert slowest["name"] == "Dawdle"
        assert slowest["milliseconds"] >= 200
    assert any(sentence.startswith("Dawdle takes") and "it waits" in sentence for sentence in report["advice"])


@pytest.mark.slow
def test_real_clips_are_measured(shared_clips):
    folder = shared_clips / "labelled" / "surv_fight_mini"
    report = json.loads(bench_data(folder, "--clips", 8, "--epochs", 1, "--json").stdout)
    kinds = {stage["kind"]: stage["milliseconds"] for stage in report["epochs"][0]["stages"]}
    assert kinds["decode"] > 0
    assert report["frames"]["num_walked"] >= report["frames"]["num_wanted"]
