"""scripts/train_configs.py over a folder of configs."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "train_configs.py"
MODEL = """
steps = [dict(type="DecordInit"), dict(type="SampleFrames", clip_len=1, num_clips=2), dict(type="DecordDecode"),
         dict(type="Resize", scale=(32, 32), keep_ratio=False), dict(type="FormatShape", input_format="NCHW"),
         dict(type="PackActionInputs")]
loader = dict(batch_size=8, num_workers=4, persistent_workers=True,
              dataset=dict(type="VideoDataset", ann_file="absent", data_prefix=dict(video="absent"), pipeline=steps))
model = dict(type="Recognizer2D", backbone=dict(type="BACKBONE", depth=18, pretrained="https://absent.invalid/a.pth"),
             cls_head=dict(type="TSNHead", num_classes=4, in_channels=512),
             data_preprocessor=dict(type="ActionDataPreprocessor", mean=[0], std=[1], format_shape="NCHW"))
"""
CONFIG = f"""{MODEL}
train_dataloader, val_dataloader, val_evaluator = loader, loader, dict(type="AccMetric")
train_cfg, val_cfg = dict(type="EpochBasedTrainLoop", max_epochs=5), dict(type="ValLoop")
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.01))
"""


@pytest.mark.slow
def test_a_folder_of_configs_is_trained_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "tsn.py").write_text(CONFIG.replace("BACKBONE", "ResNet"))
    (tmp_path / "later.py").write_text(CONFIG.replace("BACKBONE", "STGCN"))
    (tmp_path / "none.py").write_text("work_dir = 'a'\n")
    (tmp_path / "published.py").write_text(MODEL.replace("BACKBONE", "ResNet"))
    (tmp_path / "test_only.py").write_text(
        MODEL.replace("BACKBONE", "ResNet")
        + "test_dataloader, test_evaluator, test_cfg = loader, dict(type='AccMetric'), dict(type='TestLoop')\n"
    )
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--without-weights", "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[0].startswith("good/tsn.py  trains  2 steps, loss ")
    assert "STGCN of MMAction2 is not in Kinema yet" in lines[1]
    assert lines[2:4] == ["none.py  empty  no model", "published.py  builds  Recognizer2D"]
    assert lines[4].startswith("test_only.py  tests  acc/top1 ")
    assert lines[5:] == ["builds 1, empty 1, refused 1, tests 1, trains 1"]
