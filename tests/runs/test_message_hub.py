import pytest
import torch

from kinema.runs.history_buffer import HistoryBuffer
from kinema.runs.message_hub import CheckpointedHub, MessageHub


def test_figures_and_facts_are_found_by_name():
    hub = MessageHub("a")
    hub.update_scalars({"train/loss": torch.tensor(2.0), "extra": dict(value=6, count=3)})
    hub.update_scalar("train/loss", 4.0)
    hub.update_info_dict({"epoch": 3, "names": ["x"]})
    assert hub.get_scalar("train/loss").mean() == 3.0
    assert hub.get_scalar("extra").mean() == 2.0
    assert set(hub.log_scalars) == {"train/loss", "extra"}
    assert hub.get_info("epoch") == 3
    assert hub.get_info("absent", "?") == "?"
    assert hub.get_info("names") is hub.runtime_info["names"]
    assert hub.pop_info("names") == ["x"]
    assert hub.pop_info("names") is None


@pytest.mark.parametrize(
    ("value", "actual"), [(torch.zeros(2), "2 elements"), (torch.zeros(2).numpy(), "2 elements"), ("1", "the text '1'")]
)
def test_a_figure_is_a_single_number(value, actual):
    with pytest.raises(ValueError, match=f"the figure 'train/x' must be a single number, got {actual}"):
        MessageHub("a").update_scalar("train/x", value)


def test_an_unknown_figure_is_named_with_those_there_are():
    hub = MessageHub("a")
    with pytest.raises(KeyError, match="nothing is no figure of the message hub: it has none"):
        hub.get_scalar("nothing")


def test_what_users_add_to_the_training_is_taken_once():
    hub = MessageHub("a")
    hub.update_scalar("train/norm", 6.0, count=3)
    hub.update_scalar("other", 1.0)
    hub.note("train/loss", 9.0)  # logged anyway
    assert list(hub.take_fresh()) == [{"norm": 2.0}]
    assert list(hub.take_fresh()) == []


def test_the_newest_hub_is_the_current():
    first, second = MessageHub.begin("first"), MessageHub.begin("second")
    assert MessageHub.get_instance("first") is first
    assert MessageHub.get_current_instance() is second
    assert MessageHub.begin("first") is not first
    assert MessageHub.get_current_instance().instance_name == "first"
    assert MessageHub.check_instance_created("second")
    assert not MessageHub.check_instance_created("third")


def test_checkpoints_hold_figures_and_plain_facts():
    hub = MessageHub("a")
    hub.update_scalar("train/loss", torch.tensor(2.5))
    hub.update_scalar("train/secret", 1.0, resumed=False)
    hub.update_info("iter", 7)
    hub.update_info("nested", {"a": [1, None]})
    hub.update_info("model", object())
    hub.update_info("stage", "val", resumed=False)
    again = MessageHub("b")
    CheckpointedHub(again).load_state_dict(CheckpointedHub(hub).state_dict())
    assert again.runtime_info == {"iter": 7, "nested": {"a": [1, None]}}
    assert again.get_scalar("train/loss").current() == 2.5
    assert set(again.log_scalars) == {"train/loss"}


class NoCopy:
    def __deepcopy__(self, memo):
        raise NotImplementedError


def test_the_state_has_the_names_of_mmengine(caplog):
    hub = MessageHub("a")
    hub.update_scalar("loss", 0.5)
    hub.update_scalar("lr", 0.1, resumed=False)
    hub.update_info("iter", 1)
    hub.update_info("fixed", NoCopy())
    state = hub.state_dict()
    assert "type NoCopy cannot be copied" in caplog.text
    assert state["resumed_keys"] == {"loss": True, "lr": False, "iter": True, "fixed": True}
    assert (list(state["log_scalars"]), list(state["runtime_info"])) == (["loss"], ["iter", "fixed"])
    again, copied = MessageHub("b"), MessageHub("c")
    again.load_state_dict({**state, "log_scalars": {**state["log_scalars"], "odd": 1}})
    assert "odd is no HistoryBuffer in the message hub's state: it is left out" in caplog.text
    assert again.get_scalar("loss").data[0].tolist() == [0.5]
    assert again.get_info("fixed") is hub.get_info("fixed")
    copied.load_state_dict(hub)
    assert set(copied.log_scalars) == {"loss", "lr"}
    with pytest.raises(TypeError, match="the state of a message hub must be a dict or a hub, got list"):
        again.load_state_dict([])
    with pytest.raises(ValueError, match="needs runtime_info, resumed_keys, it has log_scalars"):
        again.load_state_dict({"log_scalars": {}})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"log_scalars": {"a": 1}}, TypeError, "the figure 'a' must be a HistoryBuffer, got int"),
        ({"resumed_keys": ["a"]}, TypeError, "figures, facts and resumed_keys must be dicts, got list"),
        ({"resumed_keys": {"a": True}}, ValueError, "resumed_keys names a, which is neither a figure nor a fact"),
        ({"name": ""}, TypeError, "MessageHub: name must be a text that is not empty, got ''"),
    ],
)
def test_a_hub_refuses_what_is_no_figure_or_fact(arguments, error, message):
    with pytest.raises(error, match=message):
        MessageHub(**{"name": "a", **arguments})


def test_a_hub_says_what_it_cannot_take():
    hub = MessageHub("a", log_scalars={"loss": HistoryBuffer()})
    with pytest.raises(ValueError, match=r"'e' must be a number or dict\(value=..., count=...\), got \{'count': 1\}"):
        hub.update_scalars({"e": {"count": 1}})
    hub.update_info("iter", 1)
    with pytest.raises(ValueError, match="'iter' was put into the message hub with resumed=True, which cannot change"):
        hub.update_info("iter", 1, resumed=False)
