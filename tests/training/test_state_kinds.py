"""What a checkpoint says is compared with what the parts of a run have."""

import re

import pytest
import torch

from kinema.engine import Hook
from kinema.runs.message_hub import CheckpointedHub, MessageHub
from kinema.training import Progress
from kinema.training.state_kinds import check_like, check_parts

LIKE = {"count": 0, "share": 0.5, "on": True, "name": "a", "mark": {"step": 1}, "pair": (1, 0.5), "any": None}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"count": -1}, "part.count is -1, expected a count"),
        ({"count": True}, "part.count is True, expected a count"),
        ({"count": 10**30}, "part.count is 1000"),
        ({"share": "0.5"}, "part.share is '0.5', expected a number"),
        ({"on": 1}, "part.on is 1, expected bool"),
        ({"name": b"a"}, "part.name is b'a', expected a text"),
        ({"mark": "step"}, "part.mark is 'step', expected a dict"),
        ({"mark": {}}, "part.mark lacks step"),
        ({"pair": (1, "b")}, "part.pair[1] is 'b', expected a number"),
        (torch.zeros(3), "part is tensor([0., 0., 0.]), expected a dict"),
    ],
)
def test_a_value_of_another_kind_is_refused(value: object, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        check_like(value, LIKE, "part")


def test_values_of_the_kind_pass() -> None:
    check_like({**LIKE, "count": 3, "share": 1, "any": "thing", "further": []}, LIKE, "part")
    check_like({"count": 0.5}, {"count": 1}, "part")  # a rate
    check_like({}, LIKE, "part")  # of an earlier version


def test_states_of_users_are_of_any_kind() -> None:
    class Own(Hook):
        def state_dict(self):
            return {"seen": 0}

    check_parts({"hook.Own": Own()}, {"hook.Own": {"seen": "many"}})
    hub = MessageHub("facts")
    hub.update_info("threshold", 1)
    check_parts({"message_hub": CheckpointedHub(hub)}, {"message_hub": {"figures": {}, "facts": {"threshold": "auto"}}})
    with pytest.raises(ValueError, match="progress.epoch is 'many', expected a count"):
        check_parts({"progress": Progress()}, {"progress": {"epoch": "many"}})
