import json
import logging

import pytest
import torch
from toy_run import Pack, Points, ToyModel, run_config

from kinema.datasets import pseudo_collate
from kinema.engine import Hook, Runner
from kinema.errors import ConfigError
from kinema.registry import HOOKS

pytestmark = pytest.mark.slow  # trains many small networks


def trained(work_dir, *hooks, **changes):
    runner = Runner.from_cfg(run_config(work_dir, custom_hooks=list(hooks), **changes))
    runner.train()
    return runner


def assert_same_weights(one, other):
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


class See(Hook):
    """Keeps a copy of the state after each epoch."""

    priority = "LOWEST"

    def __init__(self):
        self.states = []

    def after_train_epoch(self, runner):
        self.states.append({name: value.clone() for name, value in runner.model.state_dict().items()})


def changed(before, after, *prefixes):
    """Names that begin so and whose values differ."""
    return [name for name in before if name.startswith(prefixes) and not torch.equal(before[name], after[name])]


# ---- freezing


def initial_state(tmp_path):
    model = Runner.from_cfg(run_config(tmp_path / "initial")).model
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_frozen_modules_keep_weights_and_statistics_and_the_optimizer_leaves_them_alone(tmp_path):
    see = See()
    runner = trained(tmp_path, dict(type="FreezeHook", modules=["layers.[01]"]), see)
    initial = initial_state(tmp_path)
    assert changed(initial, see.states[-1], "layers.0", "layers.1") == []
    assert changed(initial, see.states[-1], "layers.4") == ["layers.4.weight", "layers.4.bias"]
    assert len(runner.optim_wrapper.optimizer.state) == 2
    assert sum(parameter.grad is not None for parameter in runner.model.parameters()) in (0, 2)


@pytest.mark.parametrize("settings", [{}, dict(precision="bf16"), dict(strategy="ddp")])
def test_modules_are_trained_after_the_epoch_that_the_hook_names(tmp_path, settings):
    see = See()
    hook = dict(type="FreezeHook", modules="layers.[01]", until_epoch=2)
    runner = trained(tmp_path, hook, see, epochs=3, **settings)
    initial = initial_state(tmp_path)
    assert changed(initial, see.states[1], "layers.0", "layers.1") == []
    later = changed(see.states[1], see.states[2], "layers.0", "layers.1")
    assert {"layers.0.weight", "layers.1.bias", "layers.1.running_mean"} <= set(later)
    assert runner.model.layers[1].training


def test_a_run_resumes_while_modules_are_frozen(tmp_path):
    class Leave(Hook):
        priority = "LOWEST"

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 6:
                raise KeyboardInterrupt

    hook = dict(type="FreezeHook", modules=["layers.0"], until_epoch=2)
    settings = dict(epochs=4, optim_wrapper=dict(optimizer=dict(type="AdamW", lr=0.01), clip_grad=dict(max_norm=0.5)))
    settings["default_hooks"] = dict(checkpoint=dict(interval="1steps"))
    whole = trained(tmp_path / "whole", hook, **settings)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", hook, Leave(), **settings)
    assert_same_weights(whole, trained(tmp_path / "cut", hook, resume=True, **settings))


def test_clipping_does_not_see_gradients_of_frozen_modules(tmp_path):
    norms = []

    class Norm(Hook):
        def before_train(self, runner):
            clip = runner.optim_wrapper.clip_norm
            runner.optim_wrapper.clip_norm = lambda parameters, **options: (
                norms.append(len(parameters)) or clip(parameters, **options)
            )

    hook = dict(type="FreezeHook", modules=["layers.0", "layers.1"], until_epoch=1)
    optim = dict(optimizer=dict(type="SGD", lr=0.1), clip_grad=dict(max_norm=1))
    trained(tmp_path, hook, Norm(), epochs=2, optim_wrapper=optim)
    assert norms == [2] * 4 + [6] * 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(modules=["backbone"]), "FreezeHook: 'backbone' is the name of no module of ToyModel: it has data_prepro"),
        (dict(modules=["layers"], until_epoch=0), "until_epoch must be at least 1, got 0"),
        (dict(modules=["*"]), "every parameter of ToyModel is frozen"),
    ],
)
def test_what_cannot_be_frozen_is_named(tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        trained(tmp_path, dict(type="FreezeHook", **settings))


# ---- precise batch norm


class Plain(ToyModel):
    """Without dropout, so that statistics can be computed by hand."""

    def __init__(self):
        super().__init__()
        self.layers[3] = torch.nn.Identity()


def test_statistics_are_means_over_batches_of_the_next_epoch(tmp_path):
    runner = trained(tmp_path, dict(type="PreciseBNHook", num_iters=3), epochs=2, model=dict(type=Plain))
    batches = list(runner.train_dataloader.twin().from_position(2))[:3]
    values = [runner.model.layers[0](torch.stack(batch["inputs"])) for batch in batches]
    norm = runner.model.layers[1]
    torch.testing.assert_close(norm.running_mean, torch.stack([value.mean(0) for value in values]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([value.var(0) for value in values]).mean(0))
    assert norm.momentum == 0.1


def test_the_training_does_not_see_that_statistics_were_computed(tmp_path):
    plain = trained(tmp_path / "plain")
    precise = trained(tmp_path / "precise", dict(type="PreciseBNHook", num_iters=2))
    for name, parameter in plain.model.named_parameters():
        assert torch.equal(parameter, precise.model.get_parameter(name)), name
    assert not torch.equal(plain.model.layers[1].running_mean, precise.model.layers[1].running_mean)


@pytest.mark.parametrize("interval", [1, "3steps"])
def test_statistics_resume_exactly(tmp_path, interval):
    class Leave(Hook):
        priority = "LOWEST"

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 6:
                raise KeyboardInterrupt

    hooks = [dict(type="PreciseBNHook", num_iters=2, interval=interval), dict(type="EMAHook", momentum=0.3)]
    settings = dict(epochs=3, default_hooks=dict(checkpoint=dict(interval="1steps")))
    whole = trained(tmp_path / "whole", *hooks, **settings)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", *hooks, Leave(), **settings)
    assert_same_weights(whole, trained(tmp_path / "cut", *hooks, resume=True, **settings))


def test_statistics_are_those_of_the_averaged_weights(tmp_path):
    hooks = [dict(type="PreciseBNHook", num_iters=1), dict(type="EMAHook", momentum=0.3)]
    runner = trained(tmp_path, *hooks, epochs=1, model=dict(type=Plain))
    batch = next(iter(runner.train_dataloader.twin().from_position(1)))
    with runner.evaluated_weights():
        expected = runner.model.layers[0](torch.stack(batch["inputs"])).mean(0)
    torch.testing.assert_close(runner.model.layers[1].running_mean, expected)


def test_a_model_without_batch_norms_is_left_alone(tmp_path):
    class NoNorm(ToyModel):
        def __init__(self):
            super().__init__()
            self.layers[1] = torch.nn.Identity()

    settings = dict(epochs=1, model=dict(type=NoNorm))
    hooked = trained(tmp_path / "hooked", dict(type="PreciseBNHook"), **settings)
    assert_same_weights(hooked, trained(tmp_path / "plain", **settings))


def test_what_does_not_suit_precise_statistics_is_named(tmp_path):
    with pytest.raises(ConfigError, match="PreciseBNHook: num_iters must be at least 1, got 0"):
        HOOKS.build(dict(type="PreciseBNHook", num_iters=0))
    with pytest.raises(ConfigError, match=r"PreciseBNHook\.interval: expected an interval .* got '0epochs'"):
        HOOKS.build(dict(type="PreciseBNHook", interval=0))
    loader = torch.utils.data.DataLoader(Points(pipeline=[Pack()]), batch_size=6, collate_fn=pseudo_collate)
    with pytest.raises(ConfigError, match="PreciseBNHook: train_dataloader must be a config"):
        trained(tmp_path, dict(type="PreciseBNHook"), train_dataloader=loader)


# ---- profiler and cache


def traces(folder):
    return sorted(file.name for file in folder.glob("*.json"))


def test_the_first_epoch_is_profiled_into_the_work_folder(tmp_path):
    trained(tmp_path, dict(type="ProfilerHook"), epochs=2)
    assert traces(tmp_path / "profile") == ["trace_0_4.json"]
    trace = json.loads((tmp_path / "profile" / "trace_0_4.json").read_text())
    names = {event.get("name") for event in trace["traceEvents"]}
    assert "aten::addmm" in names


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (dict(by_epoch=False, profile_times=2), ["trace_0_1.json"]),
        (dict(profile_times=99), ["trace_0_8.json"]),
        (dict(schedule=dict(wait=1, warmup=1, active=1, repeat=2)), ["trace_0_2.json", "trace_0_5.json"]),
    ],
)
def test_batches_are_profiled_by_number_or_schedule(tmp_path, settings, expected):
    trained(tmp_path, dict(type="ProfilerHook", **settings), epochs=2)
    assert traces(tmp_path / "profile") == expected


def test_a_trace_may_go_elsewhere(tmp_path, caplog):
    got = []
    with caplog.at_level(logging.INFO, logger="kinema"):
        trained(
            tmp_path,
            dict(type="ProfilerHook", on_trace_ready=got.append),
            dict(type="EmptyCacheHook", before_epoch=True, after_epoch=True, after_iter=True),
            epochs=1,
        )
        table = dict(type="log_trace", sort_by="self_cpu_time_total", row_limit=3)
        trained(tmp_path, dict(type="ProfilerHook", on_trace_ready=table), epochs=1)
    assert len(got) == 1
    assert "Self CPU" in caplog.text
    trained(tmp_path, dict(type="ProfilerHook", json_trace_path=str(tmp_path / "own" / "t.json")), epochs=1)
    assert traces(tmp_path / "own") == ["t.json"]
    handler = dict(type="tb_trace", dir_name=str(tmp_path / "tb"))
    trained(tmp_path, dict(type="ProfilerHook", on_trace_ready=handler), epochs=1)
    assert len(traces(tmp_path / "tb")) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(profile_times=0), "profile_times must be at least 1, got 0"),
        (dict(activity_with_cpu=False), "nothing to profile: set activity_with_cpu"),
        (dict(on_trace_ready="log_trace"), "on_trace_ready must be a function or a dict, got 'log_trace'"),
        (dict(schedule=2), "schedule must be a dict such as"),
        (dict(on_trace_ready=dict(type="print")), "on_trace_ready.type must be log_trace or tb_trace"),
    ],
)
def test_what_cannot_be_profiled_is_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        HOOKS.build(dict(type="ProfilerHook", **settings))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_cannot_be_profiled():
    with pytest.raises(ConfigError, match="activity_with_cuda needs a CUDA device"):
        HOOKS.build(dict(type="ProfilerHook", activity_with_cuda=True))
