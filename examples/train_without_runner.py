"""Train a recognizer with Kinema's parts and no runner.

python train_without_runner.py LIST VIDEOS WORK_DIR [--resume]

LIST has lines of "path label", VIDEOS is the folder of the paths. WORK_DIR gets `metrics.jsonl` and checkpoints, from
which `--resume` continues, also in the middle of an epoch, and which `kinema.load` and `kinema predict` take.
"""

import sys

import torch

import kinema
from kinema.datasets import VideoDataset, build_dataloader
from kinema.engine import Run, TrainLoop, TrainStep, Until, resume
from kinema.logs import show_on_console
from kinema.models import zoo
from kinema.optim import CosineAnnealingLR, OptimWrapper

if len(sys.argv) < 4:
    sys.exit(__doc__)
clips, videos, work_dir = sys.argv[1:4]
torch.manual_seed(0)

pipeline = zoo.video_pipeline(zoo.card("compact3d"), train=True)
dataset = VideoDataset(clips, pipeline, data_prefix={"video": videos})
loader = build_dataloader({"dataset": dataset, "batch_size": 4, "num_workers": 2}, seed=0)
num_classes = 1 + max(dataset.get_data_info(index)["label"] for index in range(len(dataset)))
model = kinema.create_model("compact3d", num_classes=num_classes)

show_on_console()
step = TrainStep(model, OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-3)))
hooks = [{"type": "ParamSchedulerHook"}, {"type": "LoggerHook"}, {"type": "CheckpointHook", "interval": "10steps"}]
run = Run(model, work_dir, step, hooks=hooks)
run.schedules = [CosineAnnealingLR(convert_to_iter_based=True)]
run.train_loop = TrainLoop(loader, step, run.progress, Until(epochs=3), run.call_hook)
run.call_hook("before_run")
if "--resume" in sys.argv:
    resume(run)
run.train_loop.run()
