import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from kinema import __version__
from kinema.checkpoints import load_checkpoint, read_checkpoint, save_pretrained
from kinema.checkpoints.contract import ModelContract
from kinema.checkpoints.saving import check_mark, remove_leftovers, rewrite_contract, save_checkpoint
from kinema.errors import CheckpointError


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4), nn.Linear(4, 2))


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(left, right) for left, right in pairs)


def test_a_saved_folder_gives_the_same_weights_and_its_config(tmp_path: Path) -> None:
    source, target = net(), net()
    folder = save_pretrained(source, tmp_path / "runs" / "a", config={"classes": ("x", "y")})
    report = load_checkpoint(target, folder, strict=True)
    assert same(source, target)
    assert report.is_complete
    assert str(report) == "loaded 9 of 9 tensors"
    assert json.loads((folder / "config.json").read_text()) == {
        "format": 1,
        "kinema_version": __version__,
        "classes": ["x", "y"],
    }
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_saving_again_replaces_the_folder_and_leaves_nothing_else(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", net().state_dict(), config=ModelContract(), training={"step": 3})
    source, target = net(), net()
    save_pretrained(source, tmp_path / "a", config={})
    load_checkpoint(target, tmp_path / "a")
    assert same(source, target)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert not (tmp_path / "a" / "training.pt").exists()


def test_training_state_is_saved_beside_the_weights(tmp_path: Path) -> None:
    training = {"step": 3, "moment": torch.ones(2)}
    folder = save_checkpoint(tmp_path / "a", net().state_dict(), config=ModelContract(), training=training)
    assert torch.load(folder / "training.pt", weights_only=True)["step"] == 3
    check_mark(folder)


def test_a_mark_must_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "a", net().state_dict(), config=ModelContract(), training={})
    (tmp_path / "other").write_text("")
    (folder / "complete.json").write_text('{"files": {"../other": {"bytes": 0, "sha256": ""}}}')
    with pytest.raises(CheckpointError, match=r"is damaged: has no \.\./other"):
        check_mark(folder)


def test_a_config_that_json_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="config of a checkpoint must be plain dicts, .* type Conv3d is not"):
        save_pretrained(net(), tmp_path / "a", config={"model": nn.Conv3d(1, 1, 1)})
    assert not list(tmp_path.iterdir())


def test_shared_and_strided_tensors_are_saved_as_they_look(tmp_path: Path) -> None:
    source = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4), "conv": nn.Conv3d(2, 3, 3)})
    source["b"].weight = source["a"].weight
    source["a"].bias = nn.Parameter(torch.arange(8.0)[::2])
    source["conv"].to(memory_format=torch.channels_last_3d)
    state = read_checkpoint(save_pretrained(source, tmp_path / "a", config={})).state
    assert {name: torch.equal(state[name], tensor) for name, tensor in source.state_dict().items()} == dict.fromkeys(
        source.state_dict(), True
    )


@pytest.mark.parametrize(
    ("mask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o027, 0o640, 0o750), (0o077, 0o600, 0o700)]
)
def test_what_is_saved_has_the_permissions_of_the_umask(
    tmp_path: Path, mask: int, file_mode: int, folder_mode: int
) -> None:
    before = os.umask(mask)
    try:
        folder = save_checkpoint(tmp_path / "new" / "a", net().state_dict(), config=ModelContract(), training={})
        card = save_pretrained(net(), tmp_path / "b", config={}, card=True) / "README.md"
    finally:
        os.umask(before)
    modes = {file.name: file.stat().st_mode & 0o777 for file in [*folder.iterdir(), card]}
    names = ["model.safetensors", "config.json", "training.pt", "complete.json", "README.md"]
    assert modes == dict.fromkeys(names, file_mode)
    assert folder.stat().st_mode & 0o777 == folder_mode


def test_what_killed_saves_left_is_removed_and_what_stepped_aside_returns(tmp_path: Path) -> None:
    for name in (".a.0123abcd.part", ".a.89abcdef.old", ".b.0123abcd.part", ".c.part", "d"):
        save_pretrained(net(), tmp_path / name, config={"name": name})
    (tmp_path / ".text.00000000.part").write_text("x")
    (tmp_path / "x").mkdir()
    assert remove_leftovers(tmp_path, "b", older_than_seconds=1000) == []
    assert remove_leftovers(tmp_path, "b") == [".b.0123abcd.part"]
    assert remove_leftovers(tmp_path) == [".a.0123abcd.part", ".a.89abcdef.old", ".text.00000000.part"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".c.part", "a", "d", "x"]
    assert json.loads((tmp_path / "a" / "config.json").read_text())["name"] == ".a.89abcdef.old"
    save_pretrained(net(), tmp_path / ".a.0123abcd.old", config={})
    assert remove_leftovers(tmp_path) == [".a.0123abcd.old"]
    assert remove_leftovers(tmp_path / "absent") == []


def test_a_save_removes_old_leftovers_of_its_own_name(tmp_path: Path) -> None:
    for name in (".a.0123abcd.part", ".b.0123abcd.part"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".a.ffffffff.part").mkdir()  # of a process that saves now
    save_pretrained(net(), tmp_path / "a", config={})
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".a.ffffffff.part", ".b.0123abcd.part", "a"]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_contract_is_rewritten_in_a_folder_that_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:  # as a file system without them

        def refuse(source: str, target: str) -> None:
            raise OSError("no links here")

        monkeypatch.setattr("os.link", refuse)
    folder = tmp_path / "step_00000001"
    save_checkpoint(folder, {"a": torch.ones(2)}, config=ModelContract(classes=("a",)), training={"b": 1})
    (tmp_path / "link").symlink_to(folder)
    before = (folder / "model.safetensors").read_bytes()
    rewrite_contract(tmp_path / "link", ModelContract(classes=("a",), thresholds={"a": 0.5}))
    check_mark(folder)
    assert ModelContract.read(folder).thresholds == {"a": 0.5}
    assert (folder / "model.safetensors").read_bytes() == before
    assert (tmp_path / "link").is_symlink()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link", "step_00000001"]
    # Damage of other files is not hidden by a new mark.
    (folder / "training.pt").unlink()
    (folder / "training.pt").write_bytes(b"damaged")
    rewrite_contract(folder, ModelContract(classes=("a",)))
    with pytest.raises(CheckpointError, match=r"training\.pt: is damaged: is not what was saved"):
        check_mark(folder)


def test_only_a_checkpoint_of_kinema_has_a_contract_to_rewrite(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"has no config\.json to change: expected a checkpoint that Kinema wrote"
    ):
        rewrite_contract(tmp_path, ModelContract())
    (tmp_path / "config.json").write_text("{}")
    rewrite_contract(tmp_path, ModelContract(classes=("b",)))
    assert ModelContract.read(tmp_path).classes == ("b",)
    (tmp_path / "complete.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"complete\.json: is damaged"):
        rewrite_contract(tmp_path, ModelContract())
