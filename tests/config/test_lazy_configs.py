import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from kinema.config import Config, ConfigDict, LazyObject
from kinema.config.lazy import LazyAttr
from kinema.errors import ConfigError
from kinema.real_modules import object_named

RUNTIME = """
from mmengine.hooks import CheckpointHook, LoggerHook
from torch.optim import SGD
default_scope = "mmaction"
hooks = dict(logger=dict(type=LoggerHook, interval=20), checkpoint=dict(type=CheckpointHook))
optim_wrapper = dict(optimizer=dict(type=SGD, lr=0.1, momentum=0.9))
schedule = [dict(type="LinearLR")]
lr = 0.1
"""
CHILD = """
import math
from os.path import join
from mmengine.config import read_base
with read_base():
    from ..base.runtime import *
    from ..base.runtime import lr as inherited_lr
import torch.nn as nn
from mmaction.models import Recognizer3D
from torch.optim import AdamW
hooks.update(logger=dict(interval=int(math.sqrt(9))))
hooks.update(dict(checkpoint=dict(_delete_=True, type=CheckpointHook, interval=2)))
optim_wrapper.merge(dict(optimizer=dict(_delete_=True, type=AdamW, lr=inherited_lr * 2)))
schedule.append(dict(type="CosineAnnealingLR"))
model = dict(type=Recognizer3D, act=(nn.ReLU, 1), norm=nn.BatchNorm3d, file=join("a", "b"))
"""


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def child(tmp_path: Path) -> Path:
    write(tmp_path, "base/runtime.py", RUNTIME)
    return write(tmp_path, "recognition/child.py", CHILD)


def test_a_config_inherits_by_imports_and_names_parts_by_their_classes(child: Path) -> None:
    from kinema.compat.parts.hooks.checkpointing import CheckpointHook
    from kinema.compat.parts.hooks.recording import LoggerHook
    from kinema.models import Recognizer3D

    config = Config.fromfile(child)
    assert list(config) == ["default_scope", "hooks", "optim_wrapper", "schedule", "lr", "inherited_lr", "model"]
    assert config.hooks == {
        "logger": {"type": LoggerHook, "interval": 3},
        "checkpoint": {"type": CheckpointHook, "interval": 2},
    }
    assert config.optim_wrapper == {"optimizer": {"type": torch.optim.AdamW, "lr": 0.2}}
    assert [step.type for step in config.schedule] == ["LinearLR", "CosineAnnealingLR"]
    assert config.model.type is Recognizer3D
    assert config.model.norm is torch.nn.BatchNorm3d
    assert config.model.file == "a/b"
    assert dict(**config.model)["type"] is Recognizer3D
    assert ('default_scope = "mmaction"' in config.text, config.text.endswith(CHILD)) == (True, True)


@pytest.mark.parametrize("suffix", [".py", ".yaml", ".json"])
def test_what_a_config_imports_is_written_as_its_name(child: Path, tmp_path: Path, suffix: str) -> None:
    config = Config.fromfile(child)
    plain = config.to_dict()
    assert plain["model"]["type"] == "mmaction.models.Recognizer3D"
    assert plain["model"]["act"] == ("torch.nn.ReLU", 1)
    config.dump(tmp_path / f"dumped{suffix}")
    act = plain["model"]["act"]
    plain["model"]["act"] = list(act) if suffix == ".json" else act
    assert Config.fromfile(tmp_path / f"dumped{suffix}").to_dict() == plain


def test_copies_of_a_lazy_config_stay_lazy(child: Path) -> None:
    config = Config.fromfile(child)
    for other in (copy.deepcopy(config), pickle.loads(pickle.dumps(config)), config.copy(), Config(config)):
        assert other._to_lazy_dict()["model"]["norm"] == LazyAttr("BatchNorm3d", LazyObject("torch.nn"))
        assert other == config


def test_reading_a_lazy_config_imports_nothing(tmp_path: Path) -> None:
    file = write(tmp_path, "a.py", "from mmengine.config import read_base\nimport no_such_module.sub as m\nx = m.y\n")
    config = Config.fromfile(file)
    assert "no_such_module" not in sys.modules
    with pytest.raises(ConfigError, match=r"a\.py:2: no_such_module\.sub cannot be imported: No module named"):
        _ = config.x


def test_functions_that_a_lazy_config_imports_can_be_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "kinema_config_steps.py", "def steps(size):\n    return [dict(type='Resize', size=size)]\n")
    monkeypatch.syspath_prepend(tmp_path)
    text = "from mmengine.config import read_base\nfrom kinema_config_steps import steps\npipeline = steps(3)\n"
    assert Config.fromfile(write(tmp_path, "a.py", text)) == {"pipeline": [{"type": "Resize", "size": 3}]}


def test_a_config_of_a_package_is_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "kinema_config_package/__init__.py", "")
    write(tmp_path, "kinema_config_package/configs/base.py", "x = dict(a=1)\n")
    write(tmp_path, "kinema_config_package/.mim/configs/old.py", "y = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    block = "from mmengine.config import read_base\nwith read_base():\n    from kinema_config_package.configs."
    assert Config.fromfile(write(tmp_path, "a.py", block + "base import x as z\nz.a = 2\n")) == {"z": {"a": 2}}
    assert Config.fromfile(write(tmp_path, "a.py", block + "old import *\n")) == {"y": 2}


READ_BASE = "from mmengine.config import read_base\n"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("with read_base():\n    from .none import *", {}, r"a\.py:3: there is no config file .*none\.py"),
        ("with read_base():\n    from . import x", {}, r"a\.py:3: expected 'from \.file import \.\.\.', got no name"),
        ("with read_base():\n    from no_pkg.x import *", {}, r"a\.py:3: there is no package 'no_pkg'"),
        ("with read_base():\n    from .b import z", {}, r"a\.py:3: \.b has no key 'z' \(there are: x\)"),
        ("with read_base():\n    import b", {}, r"a\.py:3: expected 'from \.file import .*, got 'import b'"),
        (
            "if 1:\n  with read_base():\n    from .b import x",
            {},
            r"a\.py:3: 'with read_base\(\):' must not stand inside",
        ),
        (
            "with read_base():\n    from .old import *",
            {},
            r"uses 'with read_base\(\):' or lazy .* uses '_base_ = \.\.\.'",
        ),
        ("_base_ = 'new.py'", {}, r"a\.py uses '_base_ = \.\.\.', but new\.py, .*: write both in one style"),
        ("with read_base():\n    from .b import x", {"lazy_import": False}, "which lazy_import=False forbids"),
        ("with read_base():\n    from .a import *", {}, r"a\.py inherits from itself: a\.py -> a\.py"),
        ("from torch import *", {}, r"a\.py:2: name what you import from torch, instead of \*"),
    ],
)
def test_a_wrong_way_to_inherit_is_named_with_its_line(
    tmp_path: Path, text: str, options: dict[str, Any], message: str
) -> None:
    write(tmp_path, "b.py", "x = 1\n")
    write(tmp_path, "old.py", "_base_ = 'b.py'\n")
    write(tmp_path, "new.py", READ_BASE)
    with pytest.raises(ConfigError, match=message):
        Config.fromfile(write(tmp_path, "a.py", f"{READ_BASE}{text}\n"), **options)


def test_lazy_imports_can_be_forced_and_forbidden(tmp_path: Path) -> None:
    file = write(
        tmp_path, "a.py", "from torch.optim import SGD\nfrom os.path import join\noptimizer = dict(type=SGD)\n"
    )
    lazy, eager = Config.fromfile(file, lazy_import=True), Config.fromfile(file)
    assert lazy == eager
    assert lazy.to_dict() == {"optimizer": {"type": "torch.optim.SGD"}}
    assert eager.to_dict() == {"optimizer": {"type": torch.optim.SGD}}


def test_lazy_objects_give_what_they_name() -> None:
    assert LazyObject("torch.nn").build() is torch.nn
    assert LazyObject("torch.nn", "ReLU").build() is torch.nn.ReLU
    assert LazyObject("torch").optim.SGD.build() is torch.optim.SGD
    assert LazyObject(["torch.nn", "torch.optim"]).build() is torch
    assert LazyObject("torch.nn", "Identity")() is not None
    assert str(LazyObject("torch").nn) == "torch.nn"
    assert len({LazyObject("torch", "nn"), LazyObject("torch").nn}) == 1
    assert object_named("torch.nn.ReLU") is torch.nn.ReLU
    assert object_named("torch.nn.Nothing") is object_named("no_such_module.x") is None
    assert object_named("torch") is torch
    with pytest.raises(TypeError, match="module must be the dotted name of a module, got 1"):
        LazyObject(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="imported must be the name of something in torch, got 3"):
        LazyObject("torch", 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected the name of an attribute and a LazyObject"):
        LazyAttr("x", 3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"file\.py:3: torch\.Nothing cannot be imported: torch has no 'Nothing'"):
        LazyObject("torch", "Nothing", "file.py:3").build()
    with pytest.raises(ConfigError, match=r"the config: torch\.nn\.ReLU\.x cannot be imported"):
        _ = ConfigDict(a=LazyObject("torch").nn.ReLU.x).a


def test_a_config_dict_gives_what_a_lazy_value_names_in_every_way() -> None:
    lazy = LazyObject("torch", "nn")
    values = ConfigDict(a=lazy, b=dict(c=[lazy]))
    assert values.a is values["a"] is values.get("a") is values.setdefault("a", 3) is values.values()[0] is torch.nn
    assert values.items()[0] == ("a", torch.nn)
    assert dict(values)["a"] is torch.nn
    assert values.to_dict() == {"a": "torch.nn", "b": {"c": ["torch.nn"]}}
    assert values._to_lazy_dict() == {"a": lazy, "b": {"c": [lazy]}}
    assert values.pop("a") is torch.nn
    assert values.pop("a") is None
