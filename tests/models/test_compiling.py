import copy

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models.compiling import compile_errors_explained, compile_model


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(self.layer(x).relu())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Body()
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.backbone(x))


@pytest.mark.parametrize(
    ("settings", "name"),
    [(dict(backend="eager"), "backbone"), (dict(backend="eager", target="head"), "head"), (dict(target="forward"), "")],
)
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # of torch 2.14 itself, at inner inputs
def test_the_network_or_what_is_named_is_compiled_in_place(settings, name):
    net = Net()
    names = list(net.state_dict())
    assert compile_model(net, {"backend": "eager", **settings}) is net.get_submodule(name)
    assert list(net.state_dict()) == names
    x = torch.randn(5, 3)
    torch.testing.assert_close(net(x), copy.deepcopy(net)(x))


@pytest.mark.parametrize(("settings", "graphs"), [({}, 3), (dict(dynamic=None), 2)])
def test_kernels_do_not_depend_on_the_sizes_of_batches_before(settings, graphs):
    torch._dynamo.reset()  # what other tests compiled
    compiled = []

    def backend(graph, inputs):
        compiled.append(inputs)
        return graph.forward

    net = Net()
    compile_model(net, {"backend": backend, **settings})
    for size in (2, 8, 5, 8, 2):
        net(torch.randn(size, 3))
    assert len(compiled) == graphs


def test_a_model_without_a_backbone_is_compiled_whole():
    net = nn.Linear(3, 4)
    assert compile_model(net, dict(backend="eager")) is net


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(target="neck"), "compile.target='neck' is no module of Net: it has forward, backbone, head"),
        (dict(target="backbone.layer.in_features"), "is no module of Net"),
        (dict(speed="high"), "compile: torch.compile takes no such values: .*speed"),
        (dict(backend="none such"), "compile: torch.compile takes no such values"),
    ],
)
def test_what_cannot_be_asked_for_is_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        compile_model(Net(), settings)


def test_a_network_that_cannot_be_compiled_is_explained():
    def refuse(graph, inputs):
        raise ValueError("no such operation")

    net = Net()
    compile_model(net, dict(backend=refuse))
    message = "the network cannot be compiled .*no such operation.*train without compile"
    with pytest.raises(ConfigError, match=message), compile_errors_explained():
        net(torch.randn(2, 3))


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="mine"), compile_errors_explained():
        raise RuntimeError("mine")
