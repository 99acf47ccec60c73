import inspect
import logging
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from kinema import registry
from kinema.datasets import build_dataloader
from kinema.errors import PartArgumentError
from kinema.evaluation import AccMetric, BaseMetric
from kinema.models.layers import TAM
from kinema.openmmlab import keywords
from kinema.openmmlab.keywords import NEEDLESS, Needless, accepts_openmmlab_keywords, needless_keywords
from kinema.registry import Registry

UNREGISTERED = {"build_dataloader": build_dataloader, "BaseMetric": BaseMetric, "TAM": TAM}


def part_called(name: str) -> Any:
    if name in UNREGISTERED:
        return UNREGISTERED[name]
    registries = (one for one in vars(registry).values() if isinstance(one, Registry))
    return next(part for one in registries if (part := one.get(name)) is not None)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.LogCaptureFixture]:
    """The log, of a process that has reported no keyword yet."""
    monkeypatch.setattr(keywords, "_logged", set())
    with caplog.at_level(logging.INFO, logger="kinema"):
        yield caplog


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> type:
    """A class that had `old` as its second argument, `older` as its fourth, and `named`."""
    needless = {
        "old": Needless("it is old", 1),
        "older": Needless("it is older", 3),
        "named": Needless("no name needed"),
    }
    monkeypatch.setitem(NEEDLESS, "Part", needless)

    @accepts_openmmlab_keywords
    class Part:
        def __init__(self, first: int, *, third: int = 3, fifth: int = 5) -> None:
            self.values = (first, third, fifth)

    return Part


@pytest.mark.parametrize("name", sorted(NEEDLESS))
def test_every_keyword_of_the_table_is_accepted_and_in_no_signature(name: str) -> None:
    part = part_called(name)
    assert needless_keywords(part) is NEEDLESS[name]
    parameters = list(inspect.signature(part).parameters.values())
    assert not {one.name for one in parameters} & set(NEEDLESS[name])
    first = min((one.place for one in NEEDLESS[name].values() if one.place is not None), default=len(parameters))
    assert all(one.kind is one.KEYWORD_ONLY for one in parameters[first:]), "the signature shows another order"


def test_keywords_without_effect_keep_their_places_in_calls_by_position(part: type) -> None:
    assert part(1).values == (1, 3, 5)
    assert part(1, "x", 2).values == (1, 2, 5)
    assert part(1, "x", 2, "x", 4).values == (1, 2, 4)
    assert part(1, old="x", third=2, named="x").values == (1, 2, 5)
    with pytest.raises(TypeError, match="unexpected keyword argument 'odl'"):
        part(1, odl="x")
    with pytest.raises(TypeError, match="multiple values for keyword argument 'third'"):
        part(1, "x", 2, third=2)
    with pytest.raises(TypeError, match="takes 2 positional arguments but 7 were given"):
        part(1, "x", 2, "x", 4, 5)


def test_each_keyword_is_reported_once_by_name(part: type, log: pytest.LogCaptureFixture) -> None:
    part(1)
    assert not log.records
    part(1, "x")
    part(1, "x", named=2)
    part(1, old="x", named=2)
    start = "Part: these keywords of OpenMMLab have no effect in Kinema: "
    assert log.messages == [f"{start}old (it is old)", f"{start}named (no name needed)"]


def test_a_registry_builds_a_part_with_them_and_names_its_real_keywords_alone(part: type) -> None:
    parts = Registry("part")
    parts.register_module(module=part)
    assert parts.build({"type": "Part", "first": 1, "named": 2}).values == (1, 3, 5)
    with pytest.raises(PartArgumentError, match="part Part has no keyword 'olde'; its keywords: first, third, fifth"):
        parts.build({"type": "Part", "first": 1, "olde": 2})


def test_a_subclass_may_pass_them_on(part: type) -> None:
    class Own(part):
        def __init__(self) -> None:
            super().__init__(1, "x", 2, named="x")

    assert Own().values == (1, 2, 5)
    assert not needless_keywords(Own)


def test_functions_accept_them_as_classes_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NEEDLESS, "double", {"old": Needless("it is old", 0)})

    @accepts_openmmlab_keywords
    def double(number: int) -> int:
        """Twice the number."""
        return 2 * number

    assert double("x", 4) == double("x", number=4) == double(old="x", number=4) == 8
    assert double.__doc__ == "Twice the number."


def test_parts_with_such_keywords_are_pickled() -> None:
    assert pickle.loads(pickle.dumps(AccMetric(collect_device="gpu"))).prefix == "acc"
    assert pickle.loads(pickle.dumps(build_dataloader)) is build_dataloader
