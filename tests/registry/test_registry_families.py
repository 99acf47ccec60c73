import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from kinema.errors import RegistryError
from kinema.instances import ManagerMixin
from kinema.registry import HOOKS, MODELS, RUNNERS, Registry, build_from_cfg
from kinema.registry.scopes import default_scope, init_default_scope, registered_names_only


@pytest.fixture(autouse=True)
def _no_default_scope() -> Iterator[None]:
    before = default_scope()
    init_default_scope(None)
    yield
    init_default_scope(before)


class Dog:
    def __init__(self, friend: Any = None) -> None:
        self.friend = friend


@pytest.fixture
def family() -> dict[str, Registry]:
    """dogs -> hound -> little, middle; dogs -> samoyed -> young; each has a part of its own name."""
    registries = {"dogs": Registry("dog")}
    for name, parent in {
        "hound": "dogs",
        "little": "hound",
        "middle": "hound",
        "samoyed": "dogs",
        "young": "samoyed",
    }.items():
        registries[name] = Registry("dog", parent=registries[parent], scope=name)
    for name, registry in registries.items():
        registry.register_module(name=name.title(), module=type(name.title(), (Dog,), {}))
    return registries


@pytest.mark.parametrize(
    ("registry", "key", "part"),
    [
        ("dogs", "hound.little.Little", "Little"),
        ("hound", "little.Little", "Little"),
        ("hound", "hound.Hound", "Hound"),
        ("little", "hound.middle.Middle", "Middle"),
        ("little", "samoyed.young.Young", "Young"),
        ("hound", "samoyed.Samoyed", "Samoyed"),
        ("little", "Dogs", "Dogs"),
        ("dogs", "test_registry_families.Dogs", "Dogs"),
        ("dogs", "little.Little", "Little"),
        ("dogs", "samoyed.Young", None),
        ("dogs", "samoyed.old.Young", None),
        ("dogs", "nobody.Dogs", None),
        ("dogs", "Hound", None),
    ],
)
def test_a_part_is_reached_by_the_scopes_that_lead_to_it(
    family: dict[str, Registry], registry: str, key: str, part: str | None
) -> None:
    match = family[registry].get(key)
    assert getattr(match, "__name__", None) == part
    assert (key in family[registry]) == (part is not None)


def test_a_family_knows_its_members(family: dict[str, Registry]) -> None:
    dogs, hound = family["dogs"], family["hound"]
    assert family["little"].root is hound.root is dogs.root is dogs
    assert dogs.children == {"hound": hound, "samoyed": family["samoyed"]}
    assert (dogs.scope, Registry.split_scope_key("a.b.C"), Registry.split_scope_key("C")) == (
        "test_registry_families",
        ("a", "b.C"),
        (None, "C"),
    )
    with pytest.raises(TypeError, match="scope of a registry must be a str, got int: 1"):
        Registry("dog", scope=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="parent of a registry must be a Registry, got str: 'dogs'"):
        Registry("dog", parent="dogs")  # type: ignore[arg-type]


def test_a_block_may_have_another_scope(family: dict[str, Registry]) -> None:
    dogs, young = family["dogs"], family["young"]
    init_default_scope("hound")
    for scope, expected in (("samoyed", "samoyed"), ("young", "young"), (None, "hound")):
        with dogs.switch_scope_and_registry(scope) as chosen:
            assert (chosen, default_scope()) == (family[expected], scope or "hound")
    for scope in ("nobody", "mmaction"):
        with young.switch_scope_and_registry(scope) as chosen:
            assert (chosen, default_scope()) == (young, scope)
    assert default_scope() == "hound"
    with pytest.raises(TypeError, match="a scope is the name of a package, got int: 3"):
        init_default_scope(3)  # type: ignore[arg-type]


def test_parts_that_a_part_builds_have_the_scope_of_its_config(family: dict[str, Registry]) -> None:
    dogs = family["dogs"]

    class Leader(Dog):
        def __init__(self, friend: Any) -> None:
            super().__init__(dogs.build(friend))

    family["samoyed"].register_module(module=Leader)
    leader = dogs.build({"_scope_": "samoyed", "type": "Leader", "friend": {"type": "Samoyed"}})
    assert (type(leader.friend).__name__, default_scope()) == ("Samoyed", None)
    leader = dogs.build({"_scope_": "samoyed", "type": "Leader", "friend": {"type": "hound.Hound"}})
    assert type(leader.friend).__name__ == "Hound"
    with pytest.raises(RegistryError, match="Samoyed is not in the dog registry"):
        dogs.build({"type": "Samoyed"})


def test_the_registries_of_the_default_scope_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "kinema_scope_project"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "registry.py").write_text(
        "from kinema.registry import HOOKS, Registry\n"
        "OWN = Registry('hook', parent=HOOKS, scope='kinema_scope_project')\n"
        "@OWN.register_module()\nclass ProjectHook:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    init_default_scope("kinema_scope_project")
    try:
        assert type(HOOKS.build({"type": "ProjectHook"})).__name__ == "ProjectHook"
    finally:
        HOOKS.children.pop("kinema_scope_project", None)


def test_a_dotted_name_that_no_registry_has_is_imported(family: dict[str, Registry]) -> None:
    assert isinstance(MODELS.build({"type": "torch.nn.GLU", "dim": 1}), torch.nn.GLU)
    assert family["dogs"].get("os.path.join") is __import__("os").path.join
    assert MODELS.get("mmaction.models.backbones.ResNet") is MODELS.get("ResNet")
    assert "torch.nn.GLU" not in MODELS
    assert MODELS.get("torch.nn.Nothing") is MODELS.get("no such.module") is None
    with registered_names_only():
        assert MODELS.get("torch.nn.GLU") is None
        assert MODELS.get("mmaction.models.backbones.ResNet") is MODELS.get("ResNet")
    with pytest.raises(TypeError, match="'type' of a model must be a name, class or function, got module"):
        MODELS.build({"type": "torch.nn"})


def test_a_part_may_be_a_function_with_arguments_set() -> None:
    registry = Registry("dog")
    registry.register_module(name="Pair", module=functools.partial(Dog, friend="Rex"))
    assert registry.build({"type": "Pair"}).friend == "Rex"
    registry.register_module(name="Pair", module=functools.partial(Dog, friend="Bob"))
    assert registry.build({"type": "Pair"}).friend == "Bob"
    with pytest.raises(TypeError, match=r"has no name of its own: register it with name=\.\.\."):
        registry.register_module(module=functools.partial(Dog))


def test_objects_that_are_known_by_name_are_built_once() -> None:
    class Board(ManagerMixin):
        pass

    registry = Registry("board")
    registry.register_module(module=Board)
    board = registry.build({"type": "Board", "name": "main"})
    assert registry.build({"type": "Board", "name": "main"}) is Board.get_current_instance() is board
    assert registry.build({"type": "Board", "name": "other"}) is not board


def test_what_is_no_registry_or_no_default_is_refused() -> None:
    with pytest.raises(TypeError, match="registry must be a Registry, got str: 'dogs'"):
        build_from_cfg({"type": "Dog"}, "dogs")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="default_args must be a dict, got int: 0"):
        build_from_cfg({"type": "Dog"}, Registry("dog"), 0)  # type: ignore[arg-type]


def test_the_config_of_a_run_builds_the_runner_that_it_names() -> None:
    class OwnRunner:
        cfg: Any = None

        @classmethod
        def from_cfg(cls, cfg: Any) -> "OwnRunner":
            runner = cls()
            runner.cfg = cfg
            return runner

    RUNNERS.register_module(module=OwnRunner)
    try:
        for kind in ("OwnRunner", OwnRunner):
            config = {"runner_type": kind, "work_dir": "x"}
            runner = RUNNERS.build(config)
            assert (type(runner), runner.cfg) == (OwnRunner, config)
        assert type(RUNNERS.build({"type": "OwnRunner"})) is OwnRunner
    finally:
        del RUNNERS._users["OwnRunner"]
    with pytest.raises(RegistryError, match="Runer is not in the runner registry: did you mean Runner"):
        RUNNERS.build({"runner_type": "Runer"})


def test_a_scope_names_its_registry_also_before_it_has_parts() -> None:
    root = Registry("toy", scope="root")
    child = Registry("toy", parent=root, scope="child")
    with root.switch_scope_and_registry("child") as chosen:
        assert chosen is child
    with child.switch_scope_and_registry("root") as chosen:
        assert chosen is root
