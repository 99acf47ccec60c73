import json
import shutil

import pytest
import torch
from toy_run import ToyModel, run_config

from kinema.engine import Hook, Runner
from kinema.errors import ConfigError


class Body(torch.nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.inner = layers

    def forward(self, x):
        return self.inner(x)


class WithBackbone(ToyModel):
    """The toy model with a part that can be compiled."""

    def __init__(self):
        super().__init__()
        self.backbone = Body(self._modules.pop("layers"))

    def layers(self, x):
        return self.backbone(x)


class Leave(Hook):
    priority = "LOWEST"

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 6:
            raise KeyboardInterrupt


def trained(work_dir, **changes):
    runner = Runner.from_cfg(run_config(work_dir, model=dict(type=WithBackbone), **changes))
    runner.train()
    return runner


@pytest.fixture(autouse=True)
def _nothing_compiled_before():
    """What an earlier test compiled, such as for batches of any size, would be used again, and rounds differently."""
    torch._dynamo.reset()


BACKENDS = [
    "eager",
    pytest.param("inductor", marks=pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler")),
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # torch's own, of what inductor imports
@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_compiled_run_learns_the_same_and_resumes_exactly(tmp_path, backend):
    calls = dict(compile=dict(backend=backend), default_hooks=dict(checkpoint=dict(interval="1steps")))
    plain, whole = trained(tmp_path / "plain"), trained(tmp_path / "whole", **calls)
    if backend == "eager":  # inductor draws other random numbers for dropout
        for name, value in plain.model.state_dict().items():
            torch.testing.assert_close(value, whole.model.state_dict()[name])
    assert list(plain.model.state_dict()) == list(whole.model.state_dict())
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", custom_hooks=[Leave()], **calls)
    torch._dynamo.reset()
    resumed = trained(tmp_path / "cut", resume=True, **calls)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_an_evaluation_runs_the_compiled_network(tmp_path):
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph

    runner = Runner.from_cfg(run_config(tmp_path, model=dict(type=WithBackbone), compile=dict(backend=count)))
    metrics = runner.val()
    assert "acc/top1" in metrics
    assert len(graphs) >= 1


@pytest.mark.parametrize("mode", ["train", "val"])
def test_a_network_that_cannot_be_compiled_is_a_clear_error(tmp_path, mode):
    def refuse(graph, inputs):
        raise ValueError("no such operation")

    runner = Runner.from_cfg(run_config(tmp_path, model=dict(type=WithBackbone), compile=dict(backend=refuse)))
    with pytest.raises(ConfigError, match="compile: the network cannot be compiled .*train without compile"):
        getattr(runner, mode)()


def test_compile_is_a_switch_or_keywords(tmp_path):
    with pytest.raises(ConfigError, match="compile must be True, False or a dict .* got 'yes'"):
        Runner.from_cfg(run_config(tmp_path, compile="yes"))
    assert Runner.from_cfg(run_config(tmp_path, compile=False)).plan.compiled is False
    assert json.dumps(Runner.from_cfg(run_config(tmp_path)).plan.compiled) == "false"
