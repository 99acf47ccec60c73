import copy
import inspect
import pickle
from typing import Any

import pytest

from kinema.compat.placeholders import Placeholder
from kinema.errors import NotYetError

SAYS_SO = r"^mmaction\.models\.BMNLoss is not in Kinema \S+ yet; .*docs/compat\.md"


@pytest.fixture
def placeholder() -> Placeholder:
    return Placeholder("mmaction.models", "BMNLoss")


def test_using_a_placeholder_says_that_the_name_is_not_there_yet(placeholder: Placeholder) -> None:
    with pytest.raises(NotYetError, match=SAYS_SO) as raised:
        placeholder(loss_weight=1.0)
    assert "\n" not in str(raised.value)
    with pytest.raises(NotYetError, match=SAYS_SO):
        placeholder.forward  # noqa: B018
    with pytest.raises(NotYetError, match=SAYS_SO):
        isinstance(3, placeholder)
    with pytest.raises(NotYetError, match=SAYS_SO):
        issubclass(int, placeholder)
    with pytest.raises(NotYetError, match=SAYS_SO):
        placeholder["key"]
    with pytest.raises(NotYetError, match=SAYS_SO):

        class Loss(placeholder):
            pass


def test_a_placeholder_lets_tools_that_look_at_every_name_pass(placeholder: Placeholder) -> None:
    def annotated(x: placeholder | None, y: list[placeholder]) -> None: ...

    assert inspect.signature(annotated).parameters["x"].annotation is Any
    assert None.__class__ | placeholder is Any
    assert repr(placeholder) == "<placeholder for mmaction.models.BMNLoss>"
    assert not inspect.isclass(placeholder)
    assert not inspect.isfunction(placeholder)
    assert inspect.unwrap(placeholder) is placeholder
    assert copy.copy(placeholder).__name__ == "BMNLoss"
    assert repr(pickle.loads(pickle.dumps(placeholder))) == repr(placeholder)
    with pytest.raises(AttributeError, match="has no attribute '__path__'"):
        placeholder.__path__  # noqa: B018


@pytest.mark.usefixtures("shim")
def test_a_listed_name_without_a_definition_imports_as_a_placeholder() -> None:
    from mmaction.localization import load_localize_proposal_file

    with pytest.raises(NotYetError, match=r"mmaction\.localization\.load_localize_proposal_file is not in Kinema"):
        load_localize_proposal_file("proposals.txt")


def test_a_placeholder_says_what_to_use_instead() -> None:
    with pytest.raises(
        NotYetError, match=r"rest of your code can run\. Instead, use AmpOptimWrapper, which torch brings"
    ):
        Placeholder("mmengine.optim", "ApexOptimWrapper")()
