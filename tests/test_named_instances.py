import pytest

from kinema.instances import ManagerMeta, ManagerMixin


class First(ManagerMixin):
    def __init__(self, name: str = "", size: int = 0) -> None:
        super().__init__(name)
        self.size = size


class Second(First):
    pass


def test_each_class_knows_its_own_instances_by_name(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RuntimeError, match=r"First has no instance yet: call First.get_instance\(name\) before"):
        First.get_current_instance()
    first, other = First.get_instance("a", size=2), First.get_instance("b")
    assert First.get_instance("a", size=3) is first
    assert first.size == 2
    assert "First 'a' is there already: its arguments ['size'] have no effect" in caplog.text
    assert First.get_current_instance() is other
    assert (First.check_instance_created("a"), Second.check_instance_created("a")) == (True, False)
    assert first.instance_name == "a"


def test_an_instance_needs_a_name() -> None:
    with pytest.raises(TypeError, match="ManagerMixin: name must be a text that is not empty, got ''"):
        ManagerMixin()
    with pytest.raises(TypeError, match="First: the name of an instance must be a text, got int"):
        First.get_instance(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Nameless.__init__ needs a parameter called name"):

        class Nameless(metaclass=ManagerMeta):
            def __init__(self, size: int) -> None: ...
