"""What code for MMEngine reads of a runner and of an optimizer wrapper, and builds with them by hand."""

import json

import pytest
import torch
from torch import nn
from toy_run import run_config

from kinema.compat.parts.hooks.scheduling import ParamSchedulerHook
from kinema.compat.parts.loggers import MMLogger
from kinema.compat.parts.optim_wrappers import AmpOptimWrapper, OptimWrapper
from kinema.compat.parts.runners import Runner
from kinema.compat.parts.schedulers import LinearLR, MultiStepLR
from kinema.config import Config
from kinema.errors import ConfigError
from kinema.hooks import Hook
from kinema.optim import wrapper
from kinema.optim.wrapper_dict import OptimWrapperDict
from kinema.registry import HOOKS, OPTIM_WRAPPERS, RUNNERS
from kinema.runs.message_hub import MessageHub


def rate(**settings):
    return torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1, **settings)


def test_a_runner_says_what_it_is_made_of_before_it_trains(tmp_path):
    config = run_config(tmp_path)
    runner = Runner.from_cfg(config)
    assert isinstance(runner.logger, MMLogger)
    assert runner.logger.instance_name == runner.experiment_name
    assert runner._val_evaluator == config["val_evaluator"]
    assert runner.max_iters == len(runner.train_dataloader) * runner.max_epochs
    assert runner._test_evaluator is None
    runner._resume = True
    assert runner.plan.resume is runner._resume is True
    assert runner.val_loop.evaluator is runner._val_evaluator


def test_a_runner_has_a_name_with_the_time_and_figures_for_analyze_logs(tmp_path, shim):
    config = Config({**run_config(tmp_path / "work", epochs=1), "default_scope": "mmengine"})
    runner = Runner.from_cfg(config)
    assert runner.experiment_name == runner.message_hub.instance_name == runner.timestamp
    runner.train()
    lines = (tmp_path / "work" / "vis_data" / "scalars.json").read_text().splitlines()
    assert "acc/top1" in json.loads(lines[-1])
    config.dump(tmp_path / "slow.py")
    runner = Runner.from_cfg(Config.fromfile(tmp_path / "slow.py"))
    assert runner.experiment_name == f"slow_{runner.timestamp}"
    config.experiment_name = "mine"
    assert Runner.from_cfg(config).experiment_name.startswith("mine_2")


def test_the_config_is_beside_what_a_run_will_write(tmp_path):
    config = Config(run_config(tmp_path / "work"))
    runner = Runner.from_cfg(config)
    assert Config.fromfile(tmp_path / "work" / f"{runner.timestamp}.py") == config
    config.dump(tmp_path / "mine.py")
    Runner.from_cfg(Config.fromfile(tmp_path / "mine.py"))
    assert Config.fromfile(tmp_path / "work" / "mine.py") == config


def test_rates_are_not_scaled_behind_the_schedules(tmp_path):
    runner = Runner.from_cfg({**run_config(tmp_path), "param_scheduler": {"type": "LinearLR"}})
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    scaling = {"enable": True, "base_batch_size": 1}
    runner.scale_lr(runner.optim_wrapper, scaling)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    with pytest.raises(ConfigError, match="scale_lr: the schedules are built already, with the rates of now"):
        runner.scale_lr(runner.optim_wrapper, scaling)


def test_a_part_of_a_training_is_refused_before_anything_is_built(tmp_path):
    config = run_config(tmp_path)
    del config["optim_wrapper"]
    with pytest.raises(ValueError, match="optim_wrapper missing: train_dataloader, train_cfg, optim_wrapper are given"):
        Runner.from_cfg(config)
    with pytest.raises(ValueError, match="param_scheduler is given, but no optim_wrapper"):
        Runner(config["model"], tmp_path, param_scheduler=dict(type="StepLR", step_size=1))


def test_hooks_of_a_runner_are_registered_as_there(tmp_path):
    runner = Runner.from_cfg(run_config(tmp_path))
    runner._hooks = []
    runner.register_hooks(dict(timer=None), [Hook()])
    assert len(runner._hooks) == 6
    assert "StopSignalHook" not in runner.get_hooks_info()


def test_schedulers_are_built_of_several_optimizers_by_name(tmp_path):
    runner = Runner.from_cfg(run_config(tmp_path))
    config = [dict(type="StepLR", step_size=1)]
    with pytest.raises(ConfigError, match="the optimizer is not built yet, see build_optim_wrapper"):
        runner.build_param_scheduler(config)
    runner.optim_wrapper = OptimWrapperDict(a=OptimWrapper(rate()), b=OptimWrapper(rate(), accumulative_counts=2))
    assert {name: len(built) for name, built in runner.build_param_scheduler(config).items()} == {"a": 1, "b": 1}
    assert list(runner.build_param_scheduler(dict(a=config, b=config))) == ["a", "b"]
    runner.scale_lr(runner.optim_wrapper, dict(enable=True, base_batch_size=runner.train_dataloader.batch_size * 2))
    assert runner.optim_wrapper.get_lr() == {"a.lr": [pytest.approx(0.05)], "b.lr": [pytest.approx(0.05)]}


def test_schedules_of_a_run_say_where_they_are_as_schedulers_do(tmp_path):
    class Look(Hook):
        priority = "LOWEST"

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            warm_up, later, by_epoch = runner.param_schedulers
            seen.append((warm_up.last_step, warm_up._global_step, later.last_step, by_epoch.last_step))
            values.append(warm_up.get_last_value()[0])

    seen, values = [], []
    config = [
        dict(type="LinearLR", start_factor=0.1, end=4, by_epoch=False),
        dict(type="ConstantMomentum", factor=0.5, begin=2, end=9, by_epoch=False),
        dict(type="StepLR", step_size=2),
    ]
    hooks = dict(custom_hooks=[Look()], default_hooks=dict(param_scheduler=ParamSchedulerHook()))
    runner = Runner.from_cfg(run_config(tmp_path, param_scheduler=config, epochs=2, **hooks))
    runner.train()
    # As MMEngine's: behind the hook of the schedulers they have taken the step of this batch.
    assert seen == [
        (1, 1, -1, 0),
        (2, 2, 0, 0),
        (3, 3, 1, 0),
        (3, 4, 2, 0),
        (3, 5, 3, 1),
        (3, 6, 4, 1),
        (3, 7, 5, 1),
        (3, 8, 6, 1),
    ]
    assert values == pytest.approx([0.04, 0.07] + [0.1] * 6)
    warm_up, later, _ = runner.param_schedulers
    assert isinstance(warm_up, LinearLR)
    assert (warm_up.base_values, later.base_values, later.param_name) == ([0.1], [0.9], "momentum")
    assert warm_up.state_dict()["last_step"] == 3
    assert warm_up.optimizer is runner.optim_wrapper


def test_a_scheduler_that_is_built_steps_in_a_run(tmp_path):
    runner = Runner.from_cfg(run_config(tmp_path))
    optim_wrapper = runner.build_optim_wrapper(dict(optimizer=dict(type="SGD", lr=0.1)))
    built = MultiStepLR(optim_wrapper, milestones=[1])
    changes = {"model": runner.model, "optim_wrapper": optim_wrapper, "param_scheduler": built}
    runner = Runner(**{**run_config(tmp_path), **changes})
    runner.train()
    assert runner.param_schedulers == [built]
    assert optim_wrapper.get_lr() == {"lr": [pytest.approx(0.01)]}


def test_an_optimizer_wrapper_counts_warns_and_notes_norms_as_there(capsys):
    hub = MessageHub.begin("wrappers")
    MMLogger.get_instance("wrappers")
    own = OptimWrapper(rate(), accumulative_counts=3, clip_grad=dict(max_norm=1))
    assert (own._accumulative_counts, own._remainder_counts, own.message_hub) == (3, -1, hub)
    assert (own.clip_func, own.grad_name) == (nn.utils.clip_grad_norm_, "grad_norm")
    own.initialize_count_status(nn.BatchNorm2d(1), 2, 100)
    shown = capsys.readouterr().out
    MMLogger._instance_dict.pop("wrappers")
    assert own._remainder_counts == 1
    assert "Resumed iteration number 2 is no multiple of 3 batches" in shown
    assert "BatchNorm sees a batch, not an update" in shown
    for parameter in own.param_groups[0]["params"]:
        parameter.grad = torch.ones_like(parameter)
    own._clip_grad()
    assert hub.get_scalar("train/grad_norm").current() == pytest.approx(3**0.5)
    own.message_hub = MessageHub("another")
    assert own.message_hub.instance_name == "another"
    own.base_param_settings = {"lr": 0.5}
    other = OptimWrapper(rate())
    other.load_state_dict(own.state_dict())
    assert other.get_lr() == {"lr": [0.1], "base_lr": [0.5]}


def test_kinemas_parts_are_instances_of_them_and_the_registries_build_them():
    assert isinstance(wrapper.OptimWrapper(rate()), OptimWrapper)
    assert not isinstance(wrapper.OptimWrapper(rate()), AmpOptimWrapper)
    assert isinstance(wrapper.AmpOptimWrapper(rate()), AmpOptimWrapper)
    assert isinstance(AmpOptimWrapper(rate()), OptimWrapper)


def test_the_registries_build_them_while_the_shim_is_installed(shim):
    assert (RUNNERS.get("Runner"), OPTIM_WRAPPERS.get("OptimWrapper")) == (Runner, OptimWrapper)
    assert HOOKS.get("EMAHook").__module__ == "kinema.compat.parts.hooks.averaging"
