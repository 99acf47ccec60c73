"""A generator and a discriminator, each with an optimizer of its own, trained in turns.

Usage: adversarial_run.py WORK_DIR OUT_FILE STOP [KEY=VALUE ...]; the process ends without warning
in the batch number STOP, 0: it trains to the end and writes weights and optimizer.
"""

import os
import sys
from pathlib import Path

import torch
from torch import nn
from toy_run import Pack, Points

from kinema.engine import Hook, OptimWrapper, Runner
from kinema.models import BaseModel
from kinema.models.wrappers import MMSeparateDistributedDataParallel
from kinema.optim.wrapper_dict import OptimWrapperDict
from kinema.registry import MODEL_WRAPPERS

RATES = {"gen": 0.01, "dis": 0.05}
LENGTH = 6  # batches of an epoch


class Adversaries(BaseModel):
    """Each `per_update`-th batch also trains the generator, whose loss leaves gradients in the discriminator."""

    def __init__(self, per_update=2):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 4))
        self.discriminator = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
        self.per_update = per_update
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(self, inputs, data_samples=None, mode="tensor"):
        return self.generator(torch.stack(inputs))

    def losses_of_discriminator(self, real):
        return soft(-self.discriminator(real)) + soft(self.discriminator(self.generator(real.flip(0)).detach()))

    def loss_of_generator(self, real):
        return soft(-self.discriminator(self.generator(real.flip(0))))

    def train_step(self, data, optim_wrapper):
        real = torch.stack(self.data_preprocessor(data, True)["inputs"])
        gen, dis = optim_wrapper["gen"], optim_wrapper["dis"]
        with dis.optim_context(self.discriminator):
            loss_dis = self.losses_of_discriminator(real)
        dis.update_params(loss_dis)
        logs = {"loss_dis": loss_dis.detach()}
        self.batches += 1
        if self.batches % self.per_update == 0:
            with gen.optim_context(self.generator):
                loss_gen = self.loss_of_generator(real)
            gen.update_params(loss_gen)
            logs["loss_gen"] = loss_gen.detach()
        return logs


@MODEL_WRAPPERS.register_module()
class UsersWrapper(MMSeparateDistributedDataParallel):
    """Counts its steps."""

    steps = 0

    def train_step(self, data, optim_wrapper):
        self.steps += 1
        return super().train_step(data, optim_wrapper)


def soft(scores):
    return nn.functional.softplus(scores).mean()


class EndsInBatch(Hook):
    """The process is gone, as after `kill -9`."""

    priority = "LOWEST"

    def __init__(self, number):
        self.number = number

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.number:
            os._exit(9)


def optimizers_of(model):
    gen = torch.optim.Adam(model.generator.parameters(), lr=RATES["gen"], betas=(0.5, 0.99))
    dis = torch.optim.SGD(model.discriminator.parameters(), lr=RATES["dis"], momentum=0.9)
    return OptimWrapperDict(
        gen=OptimWrapper(gen, clip_grad=dict(max_norm=0.5)),
        dis=OptimWrapper(dis, accumulative_counts=4, clip_grad=dict(max_norm=0.3)),
    )


def adversarial_run(work_dir, model=None, stop=0, **changes):
    """A `Runner` over the toy points: 6 batches an epoch, a checkpoint behind every second one."""
    torch.manual_seed(0)
    model = model or Adversaries()
    config = dict(
        model=model,
        work_dir=work_dir,
        train_dataloader=dict(
            dataset=dict(type=Points, pipeline=[dict(type=Pack)]),
            batch_size=24 // LENGTH // int(os.environ.get("WORLD_SIZE", "1")),
            sampler=dict(type="DefaultSampler", shuffle=True),
        ),
        train_cfg=dict(max_epochs=3),
        optim_wrapper=optimizers_of(model),
        param_scheduler=dict(
            gen=[dict(type="LinearLR", start_factor=0.1, end=7, by_epoch=False)],
            dis=[
                dict(type="MultiStepLR", milestones=[1, 2], gamma=0.5),
                dict(type="LinearMomentum", start_factor=0.5, end=9, by_epoch=False),
            ],
        ),
        default_hooks=dict(logger=dict(interval=1), checkpoint=dict(interval="2steps")),
        custom_hooks=[EndsInBatch(stop)],
        randomness=dict(seed=3),
    )
    return Runner(**{**config, **changes})


def main():
    work_dir, out, stop = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    changes = {name: eval(value) for name, value in (entry.split("=", 1) for entry in sys.argv[4:])}  # of this test
    runner = adversarial_run(work_dir, stop=stop, **changes)
    runner.train()
    wrapper = runner.train_step.strategy.module
    assert not isinstance(wrapper, UsersWrapper) or wrapper.steps
    strategy, wrappers = runner.train_step.strategy, runner.optim_wrapper.items()
    state = {"model": strategy.model_state(), "optim": {k: strategy.optimizer_state(w.optimizer) for k, w in wrappers}}
    if runner.rank == 0:
        torch.save(state, out)


if __name__ == "__main__":
    main()
