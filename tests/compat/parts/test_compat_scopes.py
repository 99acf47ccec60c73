import json
from collections import OrderedDict
from pathlib import Path

import pytest

from kinema.registry import Registry, default_scope


@pytest.mark.usefixtures("shim")
def test_a_default_scope_is_known_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmengine.registry import DefaultScope, init_default_scope

    monkeypatch.setattr(DefaultScope, "_instance_dict", OrderedDict())
    first = DefaultScope.get_instance("first", scope_name="mmaction")
    assert (first.scope_name, first.instance_name, default_scope()) == ("mmaction", "first", "mmaction")
    assert DefaultScope.get_current_instance() is first
    with DefaultScope.overwrite_default_scope("other"):
        assert DefaultScope.get_current_instance().scope_name == "other"
    with DefaultScope.overwrite_default_scope(None):
        assert DefaultScope.get_current_instance() is first
    init_default_scope("second")
    init_default_scope("second")
    init_default_scope("third")
    init_default_scope("second")
    assert DefaultScope.get_current_instance().scope_name == default_scope() == "second"
    assert len(DefaultScope._instance_dict) == 4
    with pytest.raises(TypeError, match="scope_name must be a str, got int: 3"):
        DefaultScope("x", 3)
    with pytest.raises(TypeError, match="scope_name"):
        DefaultScope.get_instance("without")


@pytest.mark.usefixtures("shim")
def test_scopes_that_were_forgotten_are_not_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmengine.registry import DefaultScope

    import kinema.registry

    DefaultScope.get_instance("any", scope_name="mmaction")
    monkeypatch.setattr(DefaultScope, "_instance_dict", OrderedDict())
    assert DefaultScope.get_current_instance() is None
    kinema.registry.init_default_scope("mine")
    assert DefaultScope.get_current_instance().scope_name == "mine"


@pytest.mark.usefixtures("shim")
def test_the_parts_of_all_registries_are_listed(tmp_path: Path) -> None:
    from mmengine.registry import count_registered_modules, traverse_registry_tree

    dogs = Registry("dog", scope="dogs")
    hounds = Registry("hound", parent=dogs, scope="hounds")
    dogs.register_module(name="One", module=OrderedDict)
    hounds.register_module(name="Two", module=json.JSONDecoder)
    assert traverse_registry_tree(hounds) == [
        {"num_modules": 1, "scope": "dogs", "": ["One"]},
        {"num_modules": 1, "scope": "hounds", "json": ["Two"]},
    ]
    result = count_registered_modules(str(tmp_path), verbose=False)
    assert "ResNet" in result["registries"]["MODELS"][0]["kinema/models/backbones/frames"]
    assert json.loads((tmp_path / "modules_statistic_results.json").read_text()) == result


@pytest.mark.usefixtures("shim")
def test_registering_all_modules_warns_where_it_changes_the_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmaction.utils import register_all_modules
    from mmengine.registry import DefaultScope

    monkeypatch.setattr(DefaultScope, "_instance_dict", OrderedDict())
    DefaultScope.get_instance("first", scope_name="other")
    with pytest.warns(UserWarning, match='The current default scope "other" is not "mmaction"'):
        register_all_modules()
    register_all_modules()
    assert default_scope() == "mmaction"
