"""The stream that tests/datasets/test_stream_determinism.py hashes, alone or in every process of a torchrun."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch

from kinema import distributed
from kinema.datasets import VideoDataset, build_dataloader

SEED, EPOCHS, GLOBAL_BATCH = 11, 2, 4


class TorchNoise:
    """A user's transform that draws from torch's generator."""

    def __call__(self, sample):
        noise = torch.randint(0, 8, (len(sample["imgs"]), 1, 1, 1)).numpy().astype(np.uint8)
        sample["imgs"] = np.stack(list(sample["imgs"])) + noise
        return sample


def pipeline():
    return [
        dict(type="OpenVideo"),
        dict(type="SampleFrames", clip_len=4, frame_interval=2, num_clips=1, temporal_jitter=True),
        dict(type="DecodeVideo"),
        dict(type="Resize", scale=(-1, 40)),
        dict(type="RandomResizedCrop"),
        dict(type="Resize", scale=(32, 32), keep_ratio=False),
        dict(type="Flip", flip_ratio=0.5),
        dict(type="RandomErasing", mode="rand"),
        TorchNoise(),
        dict(type="FormatShape", input_format="NCTHW"),
        dict(type="PackActionInputs", meta_keys=("sample_idx",)),
    ]


def stream(folder, *, epochs=range(EPOCHS), **options):
    """For every epoch and batch of this process, [index, hash] of each sample."""
    dataset = VideoDataset(Path(folder) / "train.txt", pipeline(), {"video": str(folder)})
    settings = dict(
        dataset=dataset,
        batch_size=GLOBAL_BATCH // distributed.get_world_size(),
        sampler=dict(type="DefaultSampler", shuffle=True),
        **options,
    )
    loader = build_dataloader(settings, seed=SEED)
    seen = []
    for epoch in epochs:
        loader.set_epoch(epoch)
        seen.append([[hash_of(batch, i) for i in range(len(batch["inputs"]))] for batch in loader])
    return seen


def hash_of(batch, i):
    data_sample = batch["data_samples"][i]
    content = batch["inputs"][i].numpy().tobytes() + bytes(data_sample.gt_label.tolist())
    return [int(data_sample.metainfo["sample_idx"]), hashlib.sha256(content).hexdigest()]


def main():
    distributed.init_from_environment("gloo")
    seen = [stream(sys.argv[1], num_workers=int(number)) for number in sys.argv[3:]]
    Path(sys.argv[2], f"{distributed.get_rank()}.json").write_text(json.dumps(seen))
    distributed.barrier()


if __name__ == "__main__":
    main()
