import importlib.metadata
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from kinema import registry as registry_module
from kinema.errors import ConfigError, PartArgumentError, RegistryError
from kinema.models.base import BaseModule
from kinema.openmmlab.names import NOT_YET
from kinema.registry import DATASETS, MODELS, TRANSFORMS, Registry, default_scope, init_default_scope, plugins

ALL = [value for value in vars(registry_module).values() if isinstance(value, Registry)]


def make(**options: Any) -> Registry:
    """An empty registry of its own family."""
    return Registry("widget", **{"scope": "kinema", **options})


def run(registry: Registry, code: str, *, module: str, file: str = "made_up.py") -> Any:
    """Run source that registers something, as if it stood in a module of that name."""
    namespace: dict[str, Any] = {"__name__": module, "R": registry}
    exec(compile(code, file, "exec"), namespace)
    return namespace


CLASS = "@R.register_module()\nclass Part:\n    number = {number}\n"


@pytest.fixture(autouse=True)
def _no_default_scope() -> Iterator[None]:
    before = default_scope()
    yield
    init_default_scope(before)


# ---- registering


def test_classes_and_functions_are_registered_under_their_own_or_given_names() -> None:
    registry = make()

    @registry.register_module()
    class First:
        pass

    @registry.register_module(name="Renamed")
    def second() -> int:
        return 2

    @registry.register_module(name=["A", "B"])
    class Third:
        pass

    @registry.register_module
    class Bare:
        pass

    class Fourth:
        pass

    assert registry.register_module(module=Fourth) is Fourth
    assert registry.register_module("Fifth", module=Fourth) is Fourth
    assert registry.names() == ["A", "B", "Bare", "Fifth", "First", "Fourth", "Renamed"]
    assert registry.get("Renamed") is second
    assert registry.get("A") is registry.get("B") is Third
    assert registry.module_dict["First"] is First
    assert list(registry) == registry.names()
    assert len(registry) == 7
    assert "Bare" in registry
    assert registry.get("Nothing") is None
    assert "Nothing" not in registry
    assert repr(registry) == "Registry('widget', 7 parts: A, B, Bare, Fifth, First, Fourth, Renamed)"


def test_wrong_arguments_are_refused() -> None:
    registry = make()
    with pytest.raises(TypeError, match="force must be a bool, got <class 'int'>"):
        registry.register_module(force=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="name must be None, a str, or a sequence of str, but got <class 'int'>"):
        registry.register_module(name=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="name must be None, a str, or a sequence of str"):
        registry.register_module(name=["A", 5])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="module must be a class or a function, but got <class 'int'>"):
        registry.register_module(module=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the name of a widget must be a str, got <class 'int'>: 5"):
        registry.get(5)  # type: ignore[arg-type]


# ---- one name, several parts


@pytest.mark.parametrize("user_first", [False, True])
def test_a_users_part_wins_over_a_built_in_one_in_any_order(user_first: bool, caplog: pytest.LogCaptureFixture) -> None:
    registry = make()
    modules = ["mine", "kinema.widgets"] if user_first else ["kinema.widgets", "mine"]
    with caplog.at_level(logging.INFO, logger="kinema"):
        for module in modules:
            run(registry, CLASS.format(number=1 if module == "mine" else 2), module=module)
    assert registry.build({"type": "Part"}).number == 1
    assert caplog.messages == ["widget 'Part': using mine.Part instead of the built-in one"]
    assert registry.names() == ["Part"]


def test_what_kinema_registers_is_built_in_wherever_it_is_defined() -> None:
    registry = make()
    run(registry, "import torch\nR.register_module(name='SGD', module=torch.optim.SGD)", module="kinema.optim.wrapper")
    mine = run(registry, "@R.register_module()\nclass SGD: pass", module="mine")["SGD"]
    assert registry.get("SGD") is mine


def test_a_part_of_kinema_under_a_users_name_is_the_users() -> None:
    registry = make()
    run(registry, CLASS.format(number=1), module="kinema.widgets")
    other = run(registry, "class Other: pass", module="kinema.widgets")["Other"]
    registry.register_module(name="Part", module=other)
    assert registry.get("Part") is other


def test_the_same_definition_run_again_replaces_itself() -> None:
    registry = make()
    for number in (1, 2):
        run(registry, CLASS.format(number=number), module="__main__", file=f"<cell {number}>")
    assert registry.build({"type": "Part"}).number == 2


def test_a_file_run_as_a_script_and_imported_is_one_definition() -> None:
    registry = make()
    for module in ("__main__", "my_parts"):
        run(registry, CLASS.format(number=1), module=module, file="my_parts.py")
    assert registry.names() == ["Part"]


def test_a_local_class_made_again_replaces_itself_but_another_one_does_not() -> None:
    registry = make()

    def define() -> None:
        @registry.register_module()
        class Local:
            pass

    define()
    define()
    code = "def define():\n    @R.register_module()\n    class Local: pass\n{blank}define()\n"
    run(registry, code.format(blank="").replace("Local", "Other"), module="mine", file="a.py")
    with pytest.raises(RegistryError, match="Other is already registered in widget at mine"):
        run(registry, code.format(blank="").replace("Local", "Other"), module="mine", file="b.py")


def test_two_parts_of_one_name_are_an_error_unless_forced() -> None:
    registry = make()
    run(registry, CLASS.format(number=1), module="one", file="one.py")
    message = (
        r"Part is already registered in widget at one\.Part: rename the second one \(two\.Part\), or .* force=True"
    )
    with pytest.raises(RegistryError, match=message):
        run(registry, CLASS.format(number=2), module="two", file="two.py")
    run(registry, CLASS.format(number=2).replace("()", "(force=True)"), module="two", file="two.py")
    assert registry.build({"type": "Part"}).number == 2


def test_two_built_in_parts_of_one_name_are_an_error() -> None:
    registry = make()
    run(registry, CLASS.format(number=1), module="kinema.one", file="one.py")
    with pytest.raises(RegistryError, match=r"Part is already registered in widget at kinema\.one\.Part"):
        run(registry, CLASS.format(number=2), module="kinema.two", file="two.py")


def test_the_same_object_may_be_registered_twice() -> None:
    registry = make()
    registry.register_module(name="dict", module=dict)
    registry.register_module(name="dict", module=dict)
    assert registry.get("dict") is dict


# ---- building


class Widget:
    def __init__(self, size: int, *, color: str = "red") -> None:
        self.size = size
        self.color = color


def widget(size: int = 1) -> Widget:
    """A function as a part: a configured widget."""
    return Widget(size, color="green")


def takes_anything(**options: Any) -> dict[str, Any]:
    return options


@pytest.fixture
def widgets() -> Registry:
    registry = make()
    for part in (Widget, widget, takes_anything):
        registry.register_module(module=part)
    return registry


def test_parts_are_built_from_names_classes_and_functions(widgets: Registry) -> None:
    assert widgets.build({"type": "Widget", "size": 3}).size == 3
    assert widgets.build({"type": Widget, "size": 4}).size == 4
    assert widgets.build({"type": "widget"}).color == "green"
    assert widgets.build({"type": widget, "size": 7}).size == 7
    assert widgets.build({"type": lambda: 5}) == 5
    assert widgets.build({"type": "takes_anything", "a": 1}) == {"a": 1}
    assert widgets.build({"type": "takes_anything"}, default_args={"a": 1, "b": 2}, b=3) == {"a": 1, "b": 3}


def test_keywords_are_defaults_and_the_config_is_left_alone(widgets: Registry) -> None:
    cfg = {"type": "Widget", "size": 3}
    built = widgets.build(cfg, size=9, color="blue")
    assert (built.size, built.color) == (3, "blue")
    assert cfg == {"type": "Widget", "size": 3}
    assert widgets.build({"size": 2}, type="Widget").size == 2


def test_a_network_that_is_still_to_come_is_named_in_one_line() -> None:
    with pytest.raises(RegistryError, match=r"^mmaction\.STGCN of MMAction2 is not in Kinema yet \(skeletons\): docs"):
        MODELS.build({"type": "mmaction.STGCN"})
    registries = [value for value in vars(registry_module).values() if isinstance(value, Registry)]
    assert not [name for name in NOT_YET if any(name in parts for parts in registries)]
    with pytest.raises(RegistryError, match=r"^ImgAug is not in Kinema: use .*: imgaug does not import with numpy 2$"):
        TRANSFORMS.build({"type": "ImgAug", "transforms": "default"})
    with pytest.raises(RegistryError, match=r"there are: \w+, .* and \d+ more \(") as caught:
        MODELS.build({"type": "Qqqqqqqq"})
    assert str(caught.value).count(",") < 30


def test_a_network_over_images_of_mmpretrain_is_the_same_one_here() -> None:
    for scope in ("mmpretrain", "mmcls"):
        assert MODELS.get(f"{scope}.MobileOne") is MODELS.get("MobileOne") is not None
        assert MODELS.get(f"{scope}.MobileNetV2") is MODELS.get("MobileNetV2") is not None


def test_a_part_of_another_project_says_what_to_use_instead() -> None:
    with pytest.raises(RegistryError, match=r"^mmdet\.HRNet is not in the model registry: MMDetection is not"):
        MODELS.build({"type": "mmdet.HRNet"})
    with pytest.raises(RegistryError, match=r"^mmcls\.ResNet is not .*: of MMClassification Kinema has"):
        MODELS.build({"type": "mmcls.ResNet"})
    with pytest.raises(
        RegistryError, match=r"^mmcls\.CIFAR10 is not .*: of MMClassification Kinema has ImageNet: .* 'CI"
    ):
        DATASETS.build({"type": "mmcls.CIFAR10"})


def test_an_unknown_name_shows_the_nearest(widgets: Registry) -> None:
    with pytest.raises(
        RegistryError, match=r"Widgit is not in the widget registry: did you mean .*[Ww]idget.*custom_imports"
    ):
        widgets.build({"type": "Widgit"})
    with pytest.raises(
        RegistryError, match=r"mmaction\.takesanything is not in the widget registry: did you mean takes_anything\?"
    ):
        widgets.build({"type": "mmaction.takesanything"})
    with pytest.raises(RegistryError, match="there are: Widget, takes_anything, widget"):
        widgets.build({"type": "Q"})
    with pytest.raises(RegistryError, match="there are: none"):
        make().build({"type": "Q"})


def test_a_registry_error_is_a_key_error_and_a_config_error_of_one_plain_line(widgets: Registry) -> None:
    with pytest.raises(KeyError, match="^Q is not in") as caught:
        widgets.build({"type": "Q"})
    assert isinstance(caught.value, ConfigError)
    assert "\n" not in str(caught.value)


def test_a_wrong_keyword_shows_the_real_ones(widgets: Registry) -> None:
    with pytest.raises(
        PartArgumentError,
        match=r"widget Widget has no keyword 'colour' \(did you mean color\?\); its keywords: size, color",
    ):
        widgets.build({"type": "Widget", "size": 1, "colour": "red"})
    with pytest.raises(TypeError, match="widget Widget has no keyword 'zzz'; its keywords: size, color"):
        widgets.build({"type": "Widget", "size": 1}, zzz=1)
    with pytest.raises(PartArgumentError, match="has no keyword 'a'; its keywords: none"):
        widgets.build({"type": lambda: 5, "a": 1})


def test_a_missing_argument_is_named(widgets: Registry) -> None:
    with pytest.raises(PartArgumentError, match="widget Widget needs size; it was given color"):
        widgets.build({"type": "Widget", "color": "red"})
    with pytest.raises(PartArgumentError, match="widget Widget needs size; it was given nothing"):
        widgets.build({"type": "Widget"})


def test_a_built_in_type_without_signature_is_built() -> None:
    assert make().build({"type": dict, "a": 1}) == {"a": 1}


def test_an_error_inside_the_part_passes_unchanged(widgets: Registry) -> None:
    def fails() -> None:
        raise OSError("no disk")

    with pytest.raises(OSError, match="^no disk$"):
        widgets.build({"type": fails})


def test_what_is_no_config_is_refused(widgets: Registry) -> None:
    with pytest.raises(TypeError, match="the config of a widget must be a dict with 'type', got str: 'Widget'"):
        widgets.build("Widget")
    with pytest.raises(RegistryError, match=r"the config of a widget needs 'type', got only the keys \['size'\]"):
        widgets.build({"size": 3})
    with pytest.raises(TypeError, match="'type' of a widget must be a name, class or function, got int: 5"):
        widgets.build({"type": 5})


def test_a_build_function_of_ones_own_is_used_and_inherited() -> None:
    def build(cfg: Any, *args: Any, registry: Registry, **defaults: Any) -> Any:
        return cfg, args, registry.name, defaults

    parent = make(build_func=build)
    child = Registry("gadget", parent=parent, scope="mine")
    assert parent.build("cfg", 1, x=2) == ("cfg", (1,), "widget", {"x": 2})
    assert child.build("cfg") == ("cfg", (), "gadget", {})


def test_a_list_of_models_is_a_sequence() -> None:
    built = MODELS.build([{"type": torch.nn.Linear, "in_features": 2, "out_features": 3}, {"type": torch.nn.ReLU}])
    assert isinstance(built, torch.nn.Sequential)
    assert isinstance(built, BaseModule)  # of which `init_weights` reaches all
    assert built(torch.zeros(1, 2)).shape == (1, 3)


# ---- scopes


@pytest.mark.parametrize("prefix", ["kinema", "mmaction", "mmengine", "mmcv"])
def test_the_old_prefixes_name_the_same_part(widgets: Registry, prefix: str) -> None:
    assert widgets.get(f"{prefix}.Widget") is Widget


def family(widgets: Registry) -> tuple[Registry, type]:
    """A child registry `mine` with a `Widget` of its own."""
    child = Registry("widget", parent=widgets, scope="mine")

    class Mine(Widget):
        pass

    child.register_module(name="Widget", module=Mine)
    child.register_module(name="Only", module=Mine)
    return child, Mine


def test_a_child_asks_its_parent_and_the_parent_reaches_it_by_prefix(widgets: Registry) -> None:
    child, mine = family(widgets)
    assert child.get("Widget") is mine
    assert child.get("widget") is widget
    assert widgets.get("Widget") is Widget
    assert widgets.get("mine.Widget") is mine
    assert child.get("kinema.Widget") is Widget
    assert widgets.get("Only") is None
    assert widgets.get("nobody.Widget") is None
    assert Registry("widget", parent=child, scope="grandchild").get("mine.Only") is mine
    with pytest.raises(RegistryError, match=r"Wadget is not in the widget registry: did you mean .*Widget"):
        child.build({"type": "Wadget"})


def test_the_default_scope_is_looked_up_first(widgets: Registry) -> None:
    _, mine = family(widgets)
    init_default_scope("mine")
    assert default_scope() == "mine"
    assert widgets.get("Widget") is mine
    assert widgets.get("widget") is widget
    for scope in ("mmaction", "nobody", None):
        init_default_scope(scope)
        assert widgets.get("Widget") is Widget


def test_a_scope_in_the_config_is_looked_up_first(widgets: Registry) -> None:
    _, mine = family(widgets)
    assert type(widgets.build({"type": "Widget", "_scope_": "mine", "size": 1})) is mine
    assert type(widgets.build({"type": "widget", "_scope_": "mine"})) is Widget
    assert type(widgets.build({"type": "Widget", "_scope_": "nobody", "size": 1})) is Widget


def test_the_scope_is_the_package_that_made_the_registry() -> None:
    namespace = run(
        make(), "from kinema.registry import Registry\nmade = Registry('x', parent=R)", module="mypackage.parts"
    )
    assert namespace["made"].scope == "mypackage"


# ---- importing on demand


def test_a_registry_imports_its_parts_at_the_first_look_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lazy_widgets.py").write_text(
        "from lazy_registry import R\n\n@R.register_module()\nclass Lazy:\n    pass\n\nassert R.get('Lazy') is Lazy\n"
    )
    (tmp_path / "lazy_registry.py").write_text(
        "from kinema.registry import Registry\n\nR = Registry('widget', locations=['lazy_widgets'])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from lazy_registry import R  # type: ignore[import-not-found]

    assert "lazy_widgets" not in sys.modules
    assert "Lazy" in R
    assert "lazy_widgets" in sys.modules


def test_a_location_that_is_added_after_a_look_up_is_imported_at_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "later_registry.py").write_text("from kinema.registry import Registry\n\nR = Registry('widget')\n")
    (tmp_path / "later_widgets.py").write_text(
        "from later_registry import R\n\n@R.register_module()\nclass Later:\n    pass\n"
    )
    from later_registry import R  # type: ignore[import-not-found]

    assert R.get("Later") is None
    for _ in range(2):
        R.add_location("later_widgets")
    assert (R.names(), R.locations) == (["Later"], ["later_widgets"])


def test_a_failing_import_fails_at_every_look_up() -> None:
    registry = make(locations=["no_such_package_of_widgets"])
    for _ in range(2):
        with pytest.raises(ImportError, match="no_such_package_of_widgets"):
            registry.get("Part")


@pytest.mark.parametrize("registry", ALL, ids=lambda one: one.name)
def test_every_registry_imports_its_packages(registry: Registry) -> None:
    names = registry.names()
    assert len(set(names)) == len(names)


def test_the_registry_does_not_import_torch() -> None:
    code = "import sys, kinema.registry, kinema.config, kinema.progress; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


# ---- plug-ins


class Point:
    """An entry point, as `importlib.metadata` gives it."""

    def __init__(self, name: str, loaded: Any) -> None:
        self.name = name
        self.value = f"package.{name}"
        self.loaded = loaded

    def load(self) -> Any:
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


def test_plugins_are_loaded_once_and_a_broken_one_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    registry = make()
    calls: list[str] = []

    def register() -> None:
        calls.append("called")
        registry.register_module(name="FromPlugin", module=Widget)

    points = [Point("broken", OSError("no library")), Point("function", register), Point("module", sys)]
    groups: list[str] = []

    def entry_points(*, group: str) -> list[Point]:
        groups.append(group)
        return points

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    monkeypatch.setattr(plugins, "_plugins_loaded", False)
    assert registry.get("FromPlugin") is Widget
    assert make().get("FromPlugin") is None
    assert groups == ["kinema.plugins"]
    assert calls == ["called"]
    assert caplog.messages == ["plug-in broken (package.broken) could not be loaded: OSError: no library"]


def test_a_part_that_is_popped_is_registered_no_more():
    registry = Registry("toy")
    registry.register_module(module=dict, name="Toy")
    assert registry.module_dict.pop("Toy") is dict
    assert (registry.get("Toy"), registry.module_dict, registry.module_dict.pop("Toy", None)) == (None, {}, None)
    with pytest.raises(KeyError, match="Toy"):
        registry.module_dict.pop("Toy")
