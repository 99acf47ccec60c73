import contextlib
import logging

import pytest
import torch
from torch import nn

from kinema.models import BaseDataPreprocessor, BaseModel, BaseModule
from kinema.models.base import ModuleDict, ModuleList, Sequential
from kinema.models.init import normal_init


class Constant(BaseModule):
    """One linear layer filled with `value` by init_cfg."""

    def __init__(self, value, init_cfg=None):
        super().__init__(init_cfg or {"type": "Constant", "layer": "Linear", "val": value})
        self.fc = nn.Linear(2, 2)


def records(caplog) -> dict[str, str]:
    """Parameter name -> what initialised it."""
    lines = [record.getMessage().strip().splitlines() for record in caplog.records]
    return {line[0].split(" - ")[0]: line[1].strip() for line in lines}


def test_children_initialise_after_their_parent() -> None:
    parent = BaseModule({"type": "Constant", "layer": "Linear", "val": 1})
    parent.inner, parent.plain = Constant(2), nn.Linear(2, 2)
    parent.init_weights()
    assert (parent.inner.fc.weight == 2).all()
    assert (parent.plain.weight == 1).all()
    assert parent.is_init
    assert parent.inner.is_init


def test_modules_inside_plain_torch_containers_initialise_too() -> None:
    parent = BaseModule()
    parent.parts = nn.Sequential(nn.ReLU(), nn.ModuleList([Constant(3)]))
    parent.init_weights()
    assert (parent.parts[1][0].fc.weight == 3).all()


def test_a_second_init_weights_warns_and_changes_nothing(caplog) -> None:
    module = Constant(1)
    module.init_weights()
    module.fc.weight.data.fill_(5)
    module.init_weights()
    assert "init_weights of Constant has been called more than once; nothing was changed" in caplog.text
    assert (module.fc.weight == 5).all()


def test_the_report_credits_a_users_own_init_weights_even_when_it_writes_to_data(caplog) -> None:
    class Own(BaseModule):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def init_weights(self):
            super().init_weights()
            self.fc.weight.data.fill_(7)

    parent = BaseModule()
    parent.own = Own()
    with caplog.at_level(logging.INFO, "kinema"):
        parent.init_weights()
    assert records(caplog) == {
        "own.fc.weight": "Initialized by user-defined `init_weights` in Own",
        "own.fc.bias": "The value is the same before and after calling `init_weights` of BaseModule",
    }


def test_the_report_covers_parameters_without_values(caplog) -> None:
    parent = BaseModule()
    parent.lazy = nn.LazyLinear(2)
    parent.meta = nn.Linear(2, 2, device="meta")
    with caplog.at_level(logging.INFO, "kinema"):
        parent.init_weights()
    assert len(records(caplog)) == 4


def test_an_init_weights_without_base_module_counts_as_a_users(caplog) -> None:
    class Foreign(nn.Linear):
        def init_weights(self):
            normal_init(self, std=0.1, bias=1)

    parent = Sequential(Foreign(2, 2))
    with caplog.at_level(logging.INFO, "kinema"):
        parent.init_weights()
    assert records(caplog)["0.bias"] == "Initialized by user-defined `init_weights` in Foreign"


def test_containers_take_init_cfg_and_behave_like_torchs() -> None:
    cfg = {"type": "Constant", "layer": "Linear", "val": 4}
    stack = Sequential(nn.Linear(2, 2), nn.ReLU(), init_cfg=cfg)
    items = ModuleList([nn.Linear(2, 2)], init_cfg=cfg)
    named = ModuleDict({"a": nn.Linear(2, 2)}, init_cfg=cfg)
    for module in (stack, items, named):
        module.init_weights()
    assert all((layer.weight == 4).all() for layer in (stack[0], items[0], named["a"]))
    assert isinstance(stack[:1], Sequential)
    assert list(stack.state_dict()) == ["0.weight", "0.bias"]
    assert "init_cfg={'type': 'Constant'" in repr(stack)


class Product(BaseModel):
    """inputs * weight; shows which mode and training state it was called with."""

    def __init__(self, data_preprocessor=None):
        super().__init__(data_preprocessor)
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode == "loss":
            return {"loss_a": inputs * self.weight, "loss_b": [inputs, inputs], "note": inputs}
        return mode, inputs, data_samples


class Shift(BaseDataPreprocessor):
    """Adds 10 in training, 20 otherwise."""

    def forward(self, data, training=False):
        return {**data, "inputs": data["inputs"] + (10 if training else 20)}


def test_val_and_test_steps_preprocess_and_predict() -> None:
    model = Product(Shift())
    assert model.val_step({"inputs": torch.tensor(1.0)}) == ("predict", 21, None)
    assert model.test_step({"inputs": torch.tensor(1.0), "data_samples": ["x"]}) == ("predict", 21, ["x"])


def test_a_batch_may_be_a_tuple() -> None:
    assert Product().val_step((torch.tensor(1.0), "samples")) == ("predict", 1, "samples")


def test_a_batch_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="a preprocessed batch must be a dict, tuple or list, got Tensor"):
        Product().val_step(torch.zeros(2))


def test_train_step_without_optimizer_returns_the_losses() -> None:
    losses = Product(Shift()).train_step({"inputs": torch.tensor(1.0)})
    assert losses["loss_a"] == 22
    assert list(losses) == ["loss_a", "loss_b", "note"]


def test_train_step_updates_through_the_optimizer_wrapper() -> None:
    class PlainWrapper:
        def __init__(self, model):
            self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            self.entered = False

        @contextlib.contextmanager
        def optim_context(self, model):
            self.entered = isinstance(model, Product)
            yield

        def update_params(self, loss):
            loss.backward()
            self.optimizer.step()

    model = Product()
    wrapper = PlainWrapper(model)
    log_vars = model.train_step({"inputs": torch.tensor([1.0, 3.0])}, wrapper)
    assert wrapper.entered
    assert model.weight.item() == pytest.approx(2 - 0.1 * 2)
    assert {name: float(value) for name, value in log_vars.items()} == {"loss": 8, "loss_a": 4, "loss_b": 4, "note": 2}


def test_the_total_is_called_loss_even_when_a_part_is_too() -> None:
    loss, log_vars = Product().parse_losses({"loss": torch.tensor(1.0), "loss_b": torch.tensor(2.0)})
    assert loss == 3
    assert list(log_vars) == ["loss", "loss_b"]
    assert log_vars["loss"] == 3


def test_losses_that_cannot_be_summed_are_refused() -> None:
    with pytest.raises(TypeError, match=r"'loss_cls' of the losses must be a tensor or a list of tensors, got 0\.5"):
        Product().parse_losses({"loss_cls": 0.5})
    with pytest.raises(ValueError, match="the losses hold top1_acc: no name contains 'loss'"):
        Product().parse_losses({"top1_acc": torch.tensor(1.0)})


def test_the_preprocessor_may_be_none_a_config_or_a_module() -> None:
    assert type(Product().data_preprocessor) is BaseDataPreprocessor
    assert type(Product({"type": "ActionDataPreprocessor"}).data_preprocessor).__name__ == "ActionDataPreprocessor"
    with pytest.raises(TypeError, match="data_preprocessor must be a module, a config dict or None, got 'mean'"):
        Product("mean")


def test_a_train_step_of_ones_own_can_use_the_forward_of_the_base() -> None:
    class Own(Product):
        def train_step(self, data, optim_wrapper=None):
            data = self.data_preprocessor(data, training=True)
            return self.parse_losses(self._run_forward(data, mode="loss"))[1]

    assert Own(Shift()).train_step({"inputs": torch.tensor(1.0)})["loss_a"] == 22
