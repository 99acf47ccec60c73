import inspect
from typing import Any, NamedTuple

import pytest
from torch import nn

from kinema.arguments import takes_arguments_of


class Sizes(NamedTuple):
    depth: int
    width: int = 8


class Colours(NamedTuple):
    hue: str = "red"


class Network(nn.Module):
    @takes_arguments_of(Sizes, Colours)
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__()
        self.seen = (args, settings)


class Variant(nn.Module):
    @takes_arguments_of(Network)
    def __init__(self, hue: str = "blue", **settings: Any) -> None:
        super().__init__()
        self.seen = {"hue": hue, **settings}


def test_the_signature_lists_all_arguments() -> None:
    assert str(inspect.signature(Network)) == "(depth: int, width: int = 8, *, hue: str = 'red') -> None"
    assert str(inspect.signature(Variant)) == "(hue: str = 'blue', *, depth: int, width: int = 8) -> None"


def test_an_argument_of_the_source_may_be_left_out() -> None:
    class Small(Network):
        @takes_arguments_of(Network, without=("width",))
        def __init__(self, **settings: Any) -> None:
            super().__init__(width=1, **settings)

    assert Small(depth=2).seen == ((), {"width": 1, "depth": 2})
    with pytest.raises(TypeError, match=r"Small.__init__\(\) got an unexpected keyword argument 'width'"):
        Small(depth=2, width=3)


def test_arguments_arrive_as_they_are() -> None:
    assert Network(3, 4, hue="green").seen == ((3, 4), {"hue": "green"})
    assert Variant(depth=2).seen == {"hue": "blue", "depth": 2}


def test_a_wrong_argument_is_refused_in_the_name_of_the_class() -> None:
    with pytest.raises(TypeError, match=r"Network.__init__\(\) got an unexpected keyword argument 'dept'"):
        Network(3, dept=4)
    with pytest.raises(TypeError, match=r"Variant.__init__\(\) missing a required .*'depth'"):
        Variant()
    with pytest.raises(TypeError, match=r"Network.__init__\(\) too many positional arguments"):
        Network(1, 2, "red")


def test_a_function_gives_what_it_returns() -> None:
    @takes_arguments_of(Sizes, without=("depth",))
    def deep(**settings: Any) -> Sizes:
        return Sizes(12, **settings)

    assert str(inspect.signature(deep)) == "(*, width: int = 8) -> test_arguments.Sizes"
    assert deep(width=3) == Sizes(12, 3)
    with pytest.raises(TypeError, match=r"deep\(\) got an unexpected keyword argument 'depth'"):
        deep(depth=3)
