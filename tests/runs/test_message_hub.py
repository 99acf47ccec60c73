import pytest
import torch

from kinema.runs.message_hub import HistoryBuffer, MessageHub


def test_a_figure_has_its_mean_extremes_and_newest_value():
    buffer = HistoryBuffer()
    for value in (3.0, torch.tensor(1.0), torch.tensor([2.0])):
        buffer.update(value)
    assert (buffer.mean(), buffer.mean(2), buffer.min(), buffer.max(), buffer.current()) == (2.0, 1.5, 1.0, 3.0, 2.0)
    values, counts = buffer.data
    assert values.tolist() == [3.0, 1.0, 2.0]
    assert counts.tolist() == [1, 1, 1]


def test_a_value_may_stand_for_several():
    buffer = HistoryBuffer([6.0], [3])
    buffer.update(4.0, 1)
    assert buffer.mean() == 2.5


def test_only_the_last_values_are_kept():
    buffer = HistoryBuffer(max_length=2)
    for value in range(5):
        buffer.update(value)
    assert buffer.data[0].tolist() == [3.0, 4.0]


def test_a_figure_without_values_says_so():
    with pytest.raises(ValueError, match="the figure has no value yet"):
        HistoryBuffer().mean()
    with pytest.raises(ValueError, match="as many counts as values, got 1 values and 0 counts"):
        HistoryBuffer([1.0], [])


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
    hub.get_info("names").append("y")  # a copy
    assert hub.runtime_info["names"] == ["x"]
    assert hub.pop_info("names") == ["x"]
    assert hub.pop_info("names") is None


@pytest.mark.parametrize("value", [torch.zeros(2), torch.zeros(2).numpy()])
def test_a_figure_is_a_single_number(value):
    with pytest.raises(ValueError, match="the figure 'train/x' must be a single number, got 2 elements"):
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


def test_the_hub_begun_or_asked_for_last_is_the_current():
    first, second = MessageHub.begin("first"), MessageHub.begin("second")
    assert MessageHub.get_current_instance() is second
    assert MessageHub.get_instance("first") is first
    assert MessageHub.get_current_instance() is first
    assert MessageHub.begin("first") is not first
    assert MessageHub.check_instance_created("second")
    assert not MessageHub.check_instance_created("third")


def test_the_state_holds_figures_and_plain_facts():
    hub = MessageHub("a")
    hub.update_scalar("train/loss", torch.tensor(2.5))
    hub.update_scalar("train/secret", 1.0, resumed=False)
    hub.update_info("iter", 7)
    hub.update_info("nested", {"a": [1, None]})
    hub.update_info("model", object())
    hub.update_info("stage", "val", resumed=False)
    again = MessageHub("b")
    again.load_state_dict(hub.state_dict())
    assert again.runtime_info == {"iter": 7, "nested": {"a": [1, None]}}
    assert again.get_scalar("train/loss").current() == 2.5
    assert set(again.log_scalars) == {"train/loss"}
