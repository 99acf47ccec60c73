"""A toy run some of whose samples cannot be read, for the tests of what a run does about it."""

import numpy as np
from toy_run import Pack, Points, run_config

from kinema.errors import VideoError


class Clips(Points):
    """Points that have file names."""

    def get_data_info(self, idx):
        info = super().get_data_info(idx)
        return {**info, "filename": f"{info['sample_idx']:02}.mp4"}


class Open:
    """Refuses some files; draws, as opening a real one may."""

    def __init__(self, broken=()):
        self.broken = [f"{index:02}.mp4" for index in broken]

    def __call__(self, results):
        np.random.rand()
        if results["filename"] in self.broken:
            raise VideoError(f"{results['filename']}: damaged")
        return results


def broken_config(work_dir, *, train=(), val=(), count=24, **changes):
    """Config of a toy run whose training samples `train` and validation samples `val` are broken."""
    config = run_config(work_dir, **changes)
    for name, broken, pack in (("train", train, Pack()), ("val", val, Pack(jitter=0.0))):
        dataset = config[f"{name}_dataloader"]["dataset"]
        dataset.update(type=Clips, pipeline=[Open(broken), pack])
    config["train_dataloader"]["dataset"]["count"] = count
    return config
