"""A toy run with a sample that is not finite, for tests of what is done about it."""

import math

from toy_run import Pack, Points, run_config

from kinema.transforms import BaseTransform

BAD = 5  # the sample


class Spoil(BaseTransform):
    """Make the input of sample 5 not finite."""

    def __init__(self, value=math.nan):
        self.value = value

    def transform(self, results):
        if results["sample_idx"] == BAD:
            results["inputs"][1] = self.value
        return results


class PackWithIndex(Pack):
    def transform(self, results):
        return {**super().transform(results), "sample_idx": results["sample_idx"]}


class Clean(BaseTransform):
    def transform(self, results):
        return {key: results[key] for key in ("inputs", "data_samples")}


class NamedPoints(Points):
    """Points that say which file they are of."""

    def load_data_list(self):
        return [{**info, "filename": f"clip_{place}.mp4"} for place, info in enumerate(super().load_data_list())]


def spoiled_config(work_dir, *, value=math.nan, nonfinite=None, accumulate=1, **changes):
    """Like `run_config`; `nonfinite` are settings of the hook."""
    config = run_config(work_dir, **changes)
    pipeline = [dict(type=PackWithIndex), dict(type=Spoil, value=value), dict(type=Clean)]
    config["train_dataloader"]["dataset"] = dict(type=NamedPoints, pipeline=pipeline)
    config["optim_wrapper"]["accumulative_counts"] = accumulate
    config["default_hooks"] = dict(logger=dict(interval=2), nonfinite=dict(nonfinite or {}))
    return config
