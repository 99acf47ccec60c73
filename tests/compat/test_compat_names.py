import importlib
import re
from pathlib import Path

import pytest

import kinema.registry
from kinema.compat.placeholders import Placeholder
from kinema.compat.table import read_table

pytestmark = pytest.mark.usefixtures("shim")

FACTS = Path(__file__).parents[2].parent / "shared" / "spec" / "names.md"


@pytest.mark.parametrize("module", sorted(read_table()))
def test_every_name_of_the_table_imports_from_its_module(module: str) -> None:
    imported = importlib.import_module(module)
    assert imported.__kinema__ is True
    assert imported.__name__ == module
    for name, place in read_table()[module].items():
        assert isinstance(getattr(imported, name), Placeholder) == (place is None), name
        assert (name in imported.__all__) == (place is not None)
        assert name in dir(imported)


@pytest.mark.skipif(not FACTS.is_file(), reason="no list of the names that users import")
def test_every_name_that_users_import_is_listed_or_there() -> None:
    num_names = 0
    for line in FACTS.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"- \*\*(.+?)\*\*: (.*)", line):
            module = importlib.import_module(match[1])
            for name in re.findall(r"`(\w+)`", match[2]):
                assert hasattr(module, name), f"{match[1]}.{name}"
                num_names += 1
    assert num_names > 100


def test_no_name_that_kinema_has_is_a_placeholder() -> None:
    packages = {
        "mmaction.datasets": "kinema.datasets",
        "mmaction.datasets.transforms": "kinema.transforms",
        "mmaction.evaluation": "kinema.evaluation",
        "mmaction.models": "kinema.models",
        "mmengine": "kinema.config",
        "mmengine.dataset": "kinema.datasets",
        "mmengine.evaluator": "kinema.evaluation",
        "mmengine.hooks": "kinema.engine",
        "mmengine.model": "kinema.models",
        "mmengine.optim": "kinema.engine",
        "mmengine.runner": "kinema.engine",
        "mmengine.structures": "kinema.structures",
    }
    for old, new in packages.items():
        ours = importlib.import_module(new)
        for name, place in read_table()[old].items():
            assert not (place is None and hasattr(ours, name)), f"give {name} its place in compat's {old}"


@pytest.mark.parametrize("module", ["mmengine.registry", "mmaction.registry", "mmengine"])
def test_registries_are_the_same_objects_under_every_name(module: str) -> None:
    imported = importlib.import_module(module)
    registries = {n: r for n, r in vars(kinema.registry).items() if isinstance(r, kinema.registry.Registry)}
    assert len(registries) == 23
    for name, registry in registries.items():
        assert getattr(imported, name) is registry
    assert imported.EVALUATORS is kinema.registry.EVALUATOR


def test_transforms_are_those_that_the_registry_builds_under_their_old_names() -> None:
    from mmaction.datasets import transforms
    from mmaction.registry import TRANSFORMS

    names = transforms.__all__
    assert {"DecordInit", "SampleFrames", "DecordDecode"} <= set(names)
    for name in names:
        part = getattr(transforms, name)
        assert TRANSFORMS.get(name) is part, name


def test_a_star_import_gives_what_kinema_has_and_no_placeholder() -> None:
    namespace: dict[str, object] = {}
    exec("from mmengine.model.wrappers import *", namespace)
    assert "MMDistributedDataParallel" in namespace
    assert "MMFullyShardedDataParallel" not in namespace


def test_tools_that_look_at_a_module_see_its_names() -> None:
    import inspect

    import mmaction.models.heads

    from kinema.models import I3DHead

    assert ("I3DHead", I3DHead) in inspect.getmembers(mmaction.models.heads, inspect.isclass)
    assert inspect.getfile(mmaction.models.heads).endswith("names.txt")
    assert mmaction.models.heads.__doc__ == "`mmaction.models.heads` over Kinema."


def test_importing_a_module_imports_no_part_until_a_name_is_used(run_python) -> None:
    run = run_python(
        "-c",
        "import sys\n"
        "from kinema.compat.finder import install_finder\n"
        "install_finder()\n"
        "import mmengine.model, mmaction.models\n"
        "assert 'torch' not in sys.modules\n",
    )
    assert run.returncode == 0, run.stderr
    from mmaction.models import TSNHead

    assert TSNHead.__module__ == "kinema.models.heads.tsn"


def test_versions_are_numbers_that_version_checks_accept() -> None:
    import mmaction
    import mmcv
    import mmengine
    from mmengine.utils import digit_version

    assert digit_version(mmcv.__version__) >= digit_version("2.0.0rc4")
    assert digit_version(mmengine.__version__) >= digit_version("0.7.1")
    assert mmaction.version_info[:2] == (1, 2)


def test_submodules_are_reached_as_attributes_without_an_import_of_their_own() -> None:
    import mmengine

    assert mmengine.fileio.load is mmengine.load
    with pytest.raises(AttributeError, match="module 'mmengine' has no attribute 'not_there'"):
        mmengine.not_there  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'not_there'"):
        from mmengine import not_there  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'mmengine\.not_there'"):
        importlib.import_module("mmengine.not_there")


def test_a_users_own_module_is_built_by_name() -> None:
    import torch
    from mmaction.utils import register_all_modules
    from mmengine.model import BaseModule
    from mmengine.registry import MODELS, DefaultScope

    register_all_modules(init_default_scope=True)

    @MODELS.register_module()
    class MyBackbone(BaseModule):
        def __init__(self, width: int, init_cfg: dict | None = None) -> None:
            super().__init__(init_cfg=init_cfg or {"type": "Constant", "layer": "Linear", "val": 2.0})
            self.layer = torch.nn.Linear(width, 1)

    scope = DefaultScope.get_current_instance()
    assert scope is not None
    assert scope.scope_name == "mmaction"
    model = kinema.registry.MODELS.build({"type": "mmaction.MyBackbone", "width": 3})
    model.init_weights()
    assert model.layer.weight.tolist() == [[2.0, 2.0, 2.0]]


def test_another_default_scope_lasts_as_long_as_its_with_block() -> None:
    from mmengine.registry import DefaultScope

    DefaultScope.get_instance("test", scope_name="mmaction")
    with DefaultScope.overwrite_default_scope("mmdet"):
        assert DefaultScope.get_current_instance().scope_name == "mmdet"
    assert DefaultScope.get_current_instance().scope_name == "mmaction"


def test_get_str_type_names_what_a_config_may_give() -> None:
    from mmaction.utils import get_str_type

    assert get_str_type("Resize") == "Resize"
    assert get_str_type(None) is None
    assert get_str_type(Path) == "Path"
    assert get_str_type(importlib.import_module) == "import_module"
    with pytest.raises(TypeError, match="'type' must be a name, class or function, got int: 3"):
        get_str_type(3)
