import logging

import pytest
import torch
from toy_run import ToyModel, run_config

from kinema.engine import Hook, OptimWrapper, Runner
from kinema.errors import ConfigError, RegistryError
from kinema.optim import DefaultOptimWrapperConstructor
from kinema.optim.building import build_optim_wrapper
from kinema.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS


class Rates(Hook):
    """Writes down rate and decay of the group of each parameter, at every batch."""

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        names = {id(parameter): name for name, parameter in runner.model.named_parameters()}
        self.seen.append(
            {
                names[id(parameter)]: (group["lr"], group["weight_decay"])
                for group in runner.optim_wrapper.param_groups
                for parameter in group["params"]
            }
        )


def trained(tmp_path, optim_wrapper, **changes):
    rates = Rates()
    settings = dict(epochs=1, optim_wrapper=optim_wrapper, custom_hooks=[rates], param_scheduler=None, **changes)
    runner = Runner.from_cfg(run_config(tmp_path, **settings))
    runner.train()
    return runner, rates.seen


SGD = dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=0.01)


def test_parameterwise_rules_reach_the_optimizer_of_a_run(tmp_path):
    rules = dict(norm_decay_mult=0.0, bias_lr_mult=2.0, custom_keys={"layers.4": dict(lr_mult=10.0)})
    _, seen = trained(tmp_path, dict(optimizer=SGD, paramwise_cfg=rules))
    expected = {
        "layers.0.weight": (0.1, 0.01),
        "layers.0.bias": (0.2, 0.01),
        "layers.1.weight": (0.1, 0.0),
        "layers.1.bias": (0.1, 0.0),
        "layers.4.weight": (1.0, 0.01),
        "layers.4.bias": (1.0, 0.01),
    }
    assert seen[0].keys() == expected.keys()
    for name, pair in expected.items():
        assert seen[0][name] == pytest.approx(pair), name


def test_schedules_keep_the_ratio_of_the_groups(tmp_path):
    rates = Rates()
    wrapper = dict(optimizer=SGD, paramwise_cfg=dict(custom_keys={"layers.4": dict(lr_mult=10.0)}))
    Runner.from_cfg(run_config(tmp_path, epochs=2, optim_wrapper=wrapper, custom_hooks=[rates])).train()
    assert len({step["layers.0.weight"][0] for step in rates.seen}) == 8  # it falls at each batch
    for step in rates.seen:
        assert step["layers.4.weight"][0] == pytest.approx(10 * step["layers.0.weight"][0])


def test_a_constructor_by_name_keeps_the_precision_of_the_run(tmp_path):
    runner, seen = trained(
        tmp_path,
        dict(type="OptimWrapper", optimizer=SGD, constructor="TSMOptimWrapperConstructor", paramwise_cfg={}),
        precision="bf16",
        model=dict(type=ToyModel),
    )
    assert runner.optim_wrapper.precision.name == "bf16"
    assert seen[0]["layers.1.weight"][1] == 0  # no decay of norms


def test_a_constructor_of_the_users_own_builds_the_wrapper(tmp_path):
    @OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
    class HeadFirst(DefaultOptimWrapperConstructor):
        def add_params(self, params, module, prefix="", is_dcn_module=None):
            for name, parameter in module.named_parameters():
                factor = self.paramwise_cfg["head_mult"] if name.startswith("layers.4") else 1.0
                params.append(dict(params=[parameter], lr=self.base_lr * factor))

    runner, seen = trained(
        tmp_path,
        dict(optimizer=SGD, constructor="HeadFirst", paramwise_cfg=dict(head_mult=5), clip_grad={"max_norm": 1}),
    )
    assert seen[0]["layers.4.bias"][0] == 0.5
    assert runner.optim_wrapper.clip_grad_kwargs == {"max_norm": 1}


def test_a_wrapper_class_of_the_users_own_gets_the_precision_of_the_run():
    @OPTIM_WRAPPERS.register_module(force=True)
    class CountingWrapper(OptimWrapper):
        def __init__(self, optimizer, accumulative_counts=1):
            super().__init__(optimizer, accumulative_counts)

    from kinema.optim import Precision

    precision = Precision("bf16")
    for rules in (None, {"bias_lr_mult": 2.0}):
        wrapper = build_optim_wrapper(
            ToyModel(), dict(type="CountingWrapper", optimizer=SGD, paramwise_cfg=rules), precision
        )
        assert isinstance(wrapper, CountingWrapper)
        assert wrapper.precision is precision


def test_groups_by_rules_resume_to_the_same_weights(tmp_path):
    wrapper = dict(optimizer=dict(type="AdamW", lr=0.01), paramwise_cfg=dict(bias_decay_mult=0.0, norm_decay_mult=0.0))
    whole = Runner.from_cfg(run_config(tmp_path / "whole", epochs=4, optim_wrapper=wrapper)).train()
    Runner.from_cfg(run_config(tmp_path / "cut", epochs=2, optim_wrapper=wrapper)).train()
    resumed = Runner.from_cfg(run_config(tmp_path / "cut", epochs=4, optim_wrapper=wrapper, resume=True)).train()
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(
    ("wrapper", "kind", "message"),
    [
        (dict(optimizer=SGD, paramwise_cfg=dict(norm_decay=0)), ConfigError, "no key 'norm_decay' .*norm_decay_mult"),
        (dict(optimizer=SGD, constructor="Nobody"), RegistryError, "Nobody is not in the optim wrapper constructor"),
        (dict(optimizer=SGD, type="NoWrapper"), RegistryError, "NoWrapper is not in the optim wrapper registry"),
        (
            dict(optimizer=torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))]), paramwise_cfg={}),
            ConfigError,
            "paramwise_cfg and constructor need the config of an optimizer",
        ),
    ],
)
def test_rules_that_do_not_fit_are_named(wrapper, kind, message):
    with pytest.raises(kind, match=message):
        build_optim_wrapper(ToyModel(), wrapper)


# ---- auto_scale_lr


@pytest.mark.parametrize(("accumulate", "expected"), [(1, 0.1 * 6 / 24), (3, 0.1 * 18 / 24)])
def test_the_rate_is_scaled_to_the_samples_of_an_update(tmp_path, caplog, accumulate, expected):
    with caplog.at_level(logging.INFO, logger="kinema"):
        _, seen = trained(
            tmp_path,
            dict(optimizer=SGD, accumulative_counts=accumulate, paramwise_cfg=dict(bias_lr_mult=2.0)),
            auto_scale_lr=dict(enable=True, base_batch_size=24),
        )
    assert seen[0]["layers.0.weight"][0] == pytest.approx(expected)
    assert seen[0]["layers.0.bias"][0] == pytest.approx(2 * expected)
    assert f"auto_scale_lr: {6 * accumulate} samples an update, not 24" in caplog.text


def test_a_resumed_run_scales_its_rate_once(tmp_path):
    settings = dict(auto_scale_lr=dict(enable=True, base_batch_size=24))
    whole = Runner.from_cfg(run_config(tmp_path / "whole", epochs=3, **settings)).train()
    Runner.from_cfg(run_config(tmp_path / "cut", epochs=1, **settings)).train()
    resumed = Runner.from_cfg(run_config(tmp_path / "cut", epochs=3, resume=True, **settings)).train()
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )


def test_a_scaling_that_is_not_enabled_changes_nothing(tmp_path):
    _, seen = trained(tmp_path, dict(optimizer=SGD), auto_scale_lr=dict(enable=False, base_batch_size=24))
    assert seen[0]["layers.0.weight"][0] == 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(auto_scale_lr=dict(enable=True)), "base_batch_size must be a whole number of at least 1, got None"),
        (dict(auto_scale_lr=dict(enable=True, base_batch_size=0)), "at least 1, got 0"),
        (dict(auto_scale_lr=dict(enabled=True)), "auto_scale_lr has no 'enabled': did you mean enable"),
        (dict(auto_scale_lr=256), "auto_scale_lr must be a dict such as"),
        (dict(env_cfg=dict(cudnn_bench=True)), "env_cfg has no 'cudnn_bench': did you mean cudnn_benchmark"),
        (dict(env_cfg=True), "env_cfg must be a dict"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_built(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        Runner.from_cfg(run_config(tmp_path, **change))


def test_a_loader_without_a_batch_size_cannot_scale(tmp_path):
    from toy_run import Pack, Points

    from kinema.datasets import pseudo_collate

    data = Points(pipeline=[Pack()])
    loader = torch.utils.data.DataLoader(data, batch_sampler=[[0, 1], [2, 3]], collate_fn=pseudo_collate)
    settings = dict(train_dataloader=loader, auto_scale_lr=dict(enable=True, base_batch_size=8))
    with pytest.raises(ConfigError, match=r"auto_scale_lr needs train_dataloader\.batch_size"):
        Runner.from_cfg(run_config(tmp_path, **settings)).train()


def test_cudnn_may_try_its_algorithms_unless_the_run_is_deterministic(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    env = dict(cudnn_benchmark=True, mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0), dist_cfg={})
    assert not Runner.from_cfg(run_config(tmp_path)).plan.cudnn_benchmark
    with caplog.at_level(logging.INFO, logger="kinema"):
        Runner.from_cfg(run_config(tmp_path, env_cfg=env))
    assert torch.backends.cudnn.benchmark
    assert (
        caplog.messages.count("env_cfg: without effect: mp_cfg (the loaders set up their processes and threads)") == 1
    )
    from kinema.engine import plan_of

    assert not plan_of(run_config(tmp_path, env_cfg=env, randomness=dict(deterministic=True))).cudnn_benchmark
