"""Loops over several loaders at once, and epochs of only some batches."""

import pytest
import torch
from toy_run import Pack, Points, ToyModel, run_config, same

from kinema.engine import Runner
from kinema.errors import ConfigError

CLIPS = dict(batch_size=4, sampler=dict(type="DefaultSampler", shuffle=True))


class ModelOfTwo(ToyModel):
    """Adds up the losses of the batches that it gets at once, and keeps their sizes."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def train_step(self, data, optim_wrapper):
        self.sizes.append([len(batch["inputs"]) for batch in data])
        losses = [self(**self.data_preprocessor(batch, True), mode="loss")["loss_cls"] for batch in data]
        optim_wrapper.update_params(torch.stack(losses).sum())
        return {"loss": losses[0]}


def config_of_two(work_dir, **changes):
    other = dict(**CLIPS, dataset=dict(type=Points, count=12, pipeline=[dict(type=Pack)]))
    loop = dict(type="MultiLoaderEpochBasedTrainLoop", other_loaders=[other], max_epochs=2, val_interval=2)
    return run_config(work_dir, model=dict(type=ModelOfTwo), train_cfg=loop, **changes)


def test_a_pass_over_several_loaders_gives_tuples_and_ends_with_the_shortest(tmp_path):
    model = Runner.from_cfg(config_of_two(tmp_path)).train()
    assert model.sizes == [[6, 4]] * 6  # two passes of three batches, where the first loader has four


def test_a_run_over_several_loaders_resumes_to_the_same_weights(tmp_path):
    whole = Runner.from_cfg(config_of_two(tmp_path / "whole")).train()
    config = config_of_two(tmp_path / "cut")
    config["train_cfg"]["max_epochs"] = 1
    Runner.from_cfg(config).train()
    resumed = Runner.from_cfg(config_of_two(tmp_path / "cut", resume=True)).train()
    assert same(dict(whole.state_dict()), dict(resumed.state_dict()))


def test_an_epoch_may_have_only_some_batches(tmp_path):
    config = run_config(tmp_path, epochs=2)
    config["train_dataloader"]["num_batch_per_epoch"] = 2
    runner = Runner.from_cfg(config)
    runner.train()
    assert (runner.iter, len(runner.train_dataloader.dataset)) == (4, 12)
    config["train_dataloader"]["num_batch_per_epoch"] = 0
    with pytest.raises(ConfigError, match="num_batch_per_epoch must be a whole number of at least 1, got 0"):
        Runner.from_cfg(config).train()
