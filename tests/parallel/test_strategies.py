import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from torch import nn
from torchrun_strategies import Block, Blocks, batch_of, begin, new_optimizer, same, train, worst_difference

from group_of_one import group_of_one
from kinema.checkpoints.unpickling import load_restricted
from kinema.errors import CheckpointError, ConfigError
from kinema.models.layers.cpu_sync_batch_norm import BatchNormXd
from kinema.openmmlab import run_files
from kinema.optim.schedules import CosineAnnealingMomentum, LinearLR, Position, apply_schedules
from kinema.parallel.choosing import choose_strategy
from kinema.parallel.shards import can_shard, units_of
from kinema.parallel.strategies import DataParallel, FullyShard, Options, SingleDevice

HERE = Path(__file__).parent
NEEDS_MORE = {"Optimizer", "LBFGS", "SparseAdam"}  # a closure, sparse gradients
ALL_OPTIMIZERS = sorted(name for name in torch.optim.__all__ if name[0].isupper() and name not in NEEDS_MORE)
needs_sharding = pytest.mark.skipif(not can_shard(torch.device("cpu")), reason="torch 2.6 shards models on GPUs only")
FSDP2 = pytest.param("fsdp2", marks=needs_sharding)
FROZEN_FSDP2 = pytest.param("frozen fsdp2", marks=needs_sharding)


def test_a_state_of_one_process_comes_back_exactly(tmp_path: Path) -> None:
    batches = [batch_of(range(4 * i, 4 * i + 4)) for i in range(6)]
    strategy, optimizer = begin("single")
    train(strategy, optimizer, batches[:3], 1)
    torch.save({"model": strategy.model_state(), "optimizer": strategy.optimizer_state(optimizer)}, tmp_path / "s.pth")
    train(strategy, optimizer, batches[3:], 1)

    state = load_restricted(tmp_path / "s.pth").content
    assert state["optimizer"]["groups"][0]["params"][:2] == ["stem.weight", "blocks.0.inner.weight"]
    other, own = begin("single")
    other.load_model_state(state["model"])
    other.load_optimizer_state(own, state["optimizer"])
    assert same(other.optimizer_state(own), state["optimizer"])
    train(other, own, batches[3:], 1)
    assert same(other.optimizer_state(own), strategy.optimizer_state(optimizer))
    assert worst_difference(other.model_state(), strategy.model_state()) == 0


def test_a_loaded_state_is_a_copy() -> None:
    strategy, optimizer = begin("single")
    train(strategy, optimizer, [batch_of(range(4))], 1)
    state = strategy.optimizer_state(optimizer)
    other, own = begin("single")
    other.load_optimizer_state(own, state)
    train(other, own, [batch_of(range(4))], 1)
    assert state["state"]["stem.weight"]["step"] == 1


def test_a_state_of_another_model_is_refused_by_name() -> None:
    strategy, _ = begin("single")
    state = strategy.model_state()
    del state["head.bias"]
    state |= {"tail.bias": torch.zeros(1), "stem.bias": torch.zeros(2)}
    message = (
        r"not that of this Blocks: missing: head\.bias; not in the model: tail\.bias; of another shape: stem\.bias$"
    )
    with pytest.raises(CheckpointError, match=message):
        strategy.load_model_state(state)


def test_an_optimizer_of_other_parameters_or_groups_is_refused() -> None:
    strategy, optimizer = begin("single")
    train(strategy, optimizer, [batch_of(range(4))], 1)
    state = strategy.optimizer_state(optimizer)
    parameters = [parameter for name, parameter in strategy.model.named_parameters() if "head" not in name]
    with pytest.raises(CheckpointError, match=r"is of other parameters: head\.bias, head\.weight; resume with"):
        strategy.load_optimizer_state(torch.optim.AdamW(parameters), state)
    with pytest.raises(CheckpointError, match="is of parameters that are grouped otherwise; resume with"):
        strategy.load_optimizer_state(torch.optim.AdamW(strategy.model.parameters()), state)
    of_sgd = [{"params": group["params"], "momentum": 0.9} for group in optimizer.param_groups]
    with pytest.raises(CheckpointError, match="another optimizer: it has amsgrad, betas, .*, this one dampening, mom"):
        strategy.load_optimizer_state(torch.optim.SGD(of_sgd, lr=0.05), state)


@pytest.mark.parametrize(("name", "value"), [("lr", "0.1"), ("weight_decay", [0.1]), ("lr", {"a": 1})])
def test_a_setting_of_an_optimizer_that_is_no_number_is_refused(name: str, value: object) -> None:
    strategy, optimizer = begin("single")
    state = strategy.optimizer_state(optimizer)
    state["groups"] = [{**group, name: value} for group in state["groups"]]
    message = f"{name} in the state of the optimizer is no number, but {value!r}"
    with pytest.raises(CheckpointError, match=re.escape(message)):
        strategy.load_optimizer_state(optimizer, state)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("lr", -0.1, "lr in the state of the optimizer cannot be -0.1"),
        ("initial_lr", "0.1", "initial_lr in the state of the optimizer is no number, but '0.1'"),
        ("betas", (0.9, None), "betas in the state of the optimizer cannot be (0.9, None)"),
        ("amsgrad", 3, "amsgrad in the state of the optimizer cannot be 3"),
        ("eps", 10**30, "eps in the state of the optimizer is no number, but 1000"),
    ],
)
def test_a_setting_that_an_optimizer_cannot_have_is_refused(name: str, value: object, text: str) -> None:
    strategy, optimizer = begin("single")
    state = strategy.optimizer_state(optimizer)
    state["groups"] = [{**group, name: value} for group in state["groups"]]
    with pytest.raises(CheckpointError, match=re.escape(text)):
        strategy.load_optimizer_state(optimizer, state)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("exp_avg", "junk", "exp_avg of {} in the state of the optimizer cannot be 'junk'"),
        ("exp_avg_sq", None, "exp_avg_sq of {} in the state of the optimizer cannot be None"),
        ("exp_avg_sq", torch.zeros(7), "exp_avg_sq of {} in the state of the optimizer cannot be a tensor (7,)"),
        ("step", -3, "step of {} in the state of the optimizer cannot be -3"),
        ("step", torch.zeros(3), "step of {} in the state of the optimizer cannot be a tensor (3,)"),
    ],
)
def test_what_an_optimizer_cannot_keep_of_a_parameter_is_refused(key: str, value: object, text: str) -> None:
    strategy, optimizer = begin("single")
    train(strategy, optimizer, [batch_of(range(4))], 1)
    state = strategy.optimizer_state(optimizer)
    name = next(iter(state["state"]))
    state["state"] = {**state["state"], name: {**state["state"][name], key: value}}
    with pytest.raises(CheckpointError, match=re.escape(text.format(name))):
        strategy.load_optimizer_state(optimizer, state)


@pytest.mark.parametrize("switches", [{}, {"foreach": True}, {"maximize": True}])
@pytest.mark.parametrize("name", ALL_OPTIMIZERS)
def test_every_optimizer_of_torch_takes_its_own_state_back(name: str, switches: dict[str, bool]) -> None:
    if switches.keys() - inspect.signature(getattr(torch.optim, name)).parameters.keys():
        pytest.skip(f"{name} has no such switch")
    strategy = SingleDevice()
    strategy.wrap(nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False)))
    optimizer = getattr(torch.optim, name)(strategy.model.parameters(), lr=1)
    for _ in range(2):
        strategy.model(torch.ones(2, 3)).square().sum().backward()
        optimizer.step()
    state = strategy.optimizer_state(optimizer)
    other = getattr(torch.optim, name)(strategy.model.parameters(), lr=0.5, **switches)
    strategy.load_optimizer_state(other, state)
    assert same(strategy.optimizer_state(other), state)


def test_settings_that_a_loaded_optimizer_keeps_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    strategy, optimizer = begin("single")
    train(strategy, optimizer, [batch_of(range(4))], 1)
    schedules = [LinearLR(0.1, end=5, by_epoch=False), CosineAnnealingMomentum(T_max=5, by_epoch=False)]
    apply_schedules(schedules, optimizer, Position(epoch=0, step=2, steps_per_epoch=10))
    state = strategy.optimizer_state(optimizer)
    other, own = begin("single")
    other.load_optimizer_state(own, state)
    assert not caplog.messages  # what schedules changed is no setting
    other, own = begin("single")
    own.param_groups[0]["lr"] = 0.5
    other.load_optimizer_state(own, state)
    (message,) = caplog.messages
    assert message.startswith("the optimizer resumes with its settings of the checkpoint: lr 0.01, not 0.5; for others")


def test_a_parameter_without_a_name_is_an_error() -> None:
    strategy, _ = begin("single")
    with pytest.raises(ValueError, match=r"a tensor of shape \(3,\) that is no parameter of the model"):
        strategy.optimizer_state(torch.optim.SGD([nn.Parameter(torch.zeros(3))]))


def test_code_for_openmmlab_may_update_tensors_outside_of_the_model(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run_files, "also_pth", True)
    strategy, optimizer = begin("single")
    outside = nn.Parameter(torch.ones(3))
    optimizer.add_param_group({"params": [outside]})
    outside.sum().backward()
    optimizer.step()
    assert strategy.names_in_groups(optimizer)[-1] == [f"outside.{len(strategy.parameters)}"]
    state, own = strategy.optimizer_state(optimizer), optimizer.state[outside]
    optimizer.state.clear()
    strategy.load_optimizer_state(optimizer, state)
    assert own
    assert same(optimizer.state[outside], own)
    (message,) = caplog.messages
    assert message.endswith(
        "(3,) that is no parameter of the model: checkpoints do not have it, so a resumed run begins with another"
    )


def test_a_model_of_frozen_parameters_has_nothing_to_train() -> None:
    model = Blocks().requires_grad_(False)
    with pytest.raises(ConfigError, match="every parameter of Blocks is frozen: there is nothing to train"):
        SingleDevice().wrap(model)
    model.head.weight.requires_grad_(True)
    SingleDevice().wrap(model)
    assert len(new_optimizer(model).param_groups[0]["params"]) == 1


def test_one_process_has_nothing_to_distribute(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "kinema"):
        assert [choose_strategy(name).name for name in ("auto", "single", "ddp")] == ["single"] * 3
    assert caplog.messages == ["one process: the strategy 'ddp' has nothing to distribute"]


@pytest.fixture
def process_group(tmp_path):
    with group_of_one(tmp_path):
        yield


@needs_sharding
def test_a_strategy_is_chosen_by_name(process_group, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(choose_strategy("auto", 1), SingleDevice)
    assert isinstance(choose_strategy("auto", 2), DataParallel)
    assert isinstance(choose_strategy("fsdp2", 2), FullyShard)
    chosen = choose_strategy("ddp", 2, find_unused_parameters=True, static_graph=True, broadcast_buffers=False)
    assert isinstance(chosen, DataParallel)
    assert chosen.options == Options(broadcast_buffers=False, find_unused_parameters=True, static_graph=True)
    monkeypatch.delattr(torch.cpu.Stream, "record_event", raising=False)
    with pytest.raises(ConfigError, match="strategy='fsdp2' on a CPU needs a newer torch than .*: use 'ddp'"):
        choose_strategy("fsdp2", 2)
    with pytest.raises(ConfigError, match="strategy must be one of auto, single, ddp, fsdp2, got 'fsdp'"):
        choose_strategy("fsdp", 2)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="strategy='single' trains in one process, but there are 2: use 'ddp' or"):
        choose_strategy("single", 2)
    with pytest.raises(ConfigError, match="static_graph is an option of strategy='ddp': 'fsdp2' needs nothing like it"):
        choose_strategy("fsdp2", 2, static_graph=True)


def test_a_parallel_step_does_not_need_the_models_own(process_group) -> None:
    class Own(Blocks):
        def train_step(self, data, optim_wrapper):
            raise AssertionError("gradients would not be averaged")

    strategy = DataParallel()
    strategy.wrap(Own())
    assert strategy.losses(batch_of(range(4)))["loss"] > 0


def test_units_are_blocks_of_lists_that_are_large_and_share_nothing() -> None:
    model = Blocks()
    assert units_of(model) == [*model.blocks]
    assert units_of(model, least=10**7) == []
    outer = nn.Sequential(model, nn.Linear(2, 2))
    assert units_of(outer, least=1000) == [*model.blocks, model]  # inner first; a plain layer is none
    model.blocks[1].inner.weight = model.blocks[0].inner.weight
    assert units_of(model) == []
    assert units_of(nn.Sequential(nn.ModuleDict({"a": Block(256)})))[0].inner.in_features == 256


# ---- two processes


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What two processes saw, by rank; all workers of the tests share it."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    folder = tmp_path_factory.getbasetemp().parent / "strategies" if is_worker else tmp_path_factory.mktemp("s")
    files = [folder / f"{rank}.json" for rank in range(2)]
    with FileLock(f"{folder}.lock"):
        if not all(file.exists() for file in files):
            folder.mkdir(exist_ok=True)
            command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
            command += [str(HERE / "torchrun_strategies.py"), str(folder)]
            run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
            assert run.returncode == 0, run.stderr
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.slow
@pytest.mark.parametrize("length", [8, 10])
@pytest.mark.parametrize("counts", [1, 3, 4])
@pytest.mark.parametrize("name", ["ddp", FSDP2])
def test_two_processes_train_as_one_with_the_large_batch(
    reports: list[dict], name: str, counts: int, length: int
) -> None:
    for report in reports:
        seen = report[f"{name} {counts} {length}"]
        assert seen["equal on both"]
        assert seen["difference"] < 1e-6
        assert seen["norms"] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("loader", ["ddp", FSDP2, "single"])
@pytest.mark.parametrize("saver", ["ddp", FSDP2])
def test_each_strategy_loads_what_each_saved(reports: list[dict], saver: str, loader: str) -> None:
    seen = reports[0][f"{saver} to {loader}"]
    assert seen["same state"]
    assert seen["difference"] < (1e-12 if saver == loader else 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unused", "static", "frozen ddp", FROZEN_FSDP2])
def test_two_processes_stay_equal_whatever_is_trained(reports: list[dict], kind: str) -> None:
    assert all(report[kind]["equal on both"] for report in reports)
    moved = reports[0][kind]["moved"]
    every = [name for name, _ in Blocks(spare=kind == "unused").named_parameters()]
    assert moved == (["head.weight", "head.bias"] if kind.startswith("frozen") else every)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ddp", FSDP2])
def test_synchronised_batch_norms_are_those_of_one_process_with_the_large_batch(reports: list[dict], name: str) -> None:
    assert reports[0][f"sync {name}"] < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("broadcast", [True, False])
@pytest.mark.parametrize("name", ["ddp", FSDP2])
def test_aligned_buffers_are_those_of_the_first_process_or_the_mean(
    reports: list[dict], name: str, broadcast: bool
) -> None:
    assert max(report[f"buffers {name} {broadcast}"] for report in reports) < 1e-6


@needs_sharding
@pytest.mark.slow
def test_an_evaluation_leaves_a_sharded_model_sharded(reports: list[dict]) -> None:
    for report in reports:
        assert report["evaluation fsdp2"]["same parameters"]
        assert report["evaluation fsdp2"]["scores"] == pytest.approx(report["evaluation ddp"]["scores"], rel=1e-4)


def test_one_process_trains_with_plain_batch_norms() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.SyncBatchNorm(2))
    weight = model[1].weight
    SingleDevice().wrap(model)
    assert type(model[1]) is BatchNormXd
    assert model[1].weight is weight
