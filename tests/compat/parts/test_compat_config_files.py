from pathlib import Path

import pytest

from kinema.compat.parts.config_files import get_config, get_model, index_entry, installed_config, package_and_path
from kinema.errors import ConfigError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `kinema_hub_package` with two configs, of which the first has weights."""
    folder = tmp_path / "kinema_hub_package"
    (folder / ".mim" / "configs" / "tiny").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    for name in ("a", "b"):
        text = "model = dict(type='torch.nn.Linear', in_features=2)\n"
        (folder / ".mim" / "configs" / "tiny" / f"{name}.py").write_text(text)
    (folder / ".mim" / "model-index.yml").write_text("Import: [configs/tiny/metafile.yml]\n")
    (folder / ".mim" / "configs" / "tiny" / "metafile.yml").write_text(
        "Models:\n- Name: A\n  Config: configs/tiny/a.py\n  Weights: https://example.org/a.pth\n"
        "- Name: B\n  Config: configs/tiny/b.py\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_config_of_a_package_is_read_and_its_model_built(package: Path) -> None:
    assert get_config("kinema_hub_package::tiny/a.py").model.in_features == 2
    assert get_config("kinema_hub_package::tiny/a", pretrained=True).model_path == "https://example.org/a.pth"
    assert get_model("kinema_hub_package::tiny/b.py", out_features=3).out_features == 3
    assert index_entry(str(package), "tiny/b.py")["Name"] == "B"
    assert installed_config(str(package), "tiny/a.py") == str(package / ".mim" / "configs" / "tiny" / "a.py")


def test_what_a_package_does_not_have_is_named(package: Path, tmp_path: Path) -> None:
    for name in ("tiny/a.py", "kinema_hub_package:::tiny/a.py", "a/b::c.py", "kinema_hub_package::"):
        with pytest.raises(ConfigError, match=r"expected package::folder/config\.py, got"):
            package_and_path(name)
    with pytest.raises(ConfigError, match="there is no package 'no_package'"):
        get_config("no_package::a.py")
    with pytest.raises(ConfigError, match=r"has no config tiny/c\.py"):
        get_config("kinema_hub_package::tiny/c.py")
    with pytest.raises(ConfigError, match="the model index has no weights of it"):
        get_config("kinema_hub_package::tiny/b.py", pretrained=True)
    with pytest.raises(ConfigError, match=r"no model in the index of .* has the config tiny/c\.py"):
        index_entry(str(package), "tiny/c.py")
    with pytest.raises(ConfigError, match=r"has no \.mim/model-index\.yml"):
        index_entry(str(tmp_path), "tiny/a.py")
    (package / ".mim" / "configs" / "tiny" / "metafile.yml").unlink()
    with pytest.raises(ConfigError, match=r"there is no .*metafile\.yml"):
        index_entry(str(package), "tiny/a.py")
