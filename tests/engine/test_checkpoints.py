import json
import logging
import re
import shutil

import pytest
import torch
from toy_run import run_config

from kinema.checkpoints import CheckpointStore, read_training_state
from kinema.engine import Runner
from kinema.errors import CheckpointError
from kinema.files import write_text


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A work folder with the checkpoints of epochs 1 to 3; the best is the first."""
    folder = tmp_path_factory.mktemp("finished")
    Runner.from_cfg(run_config(folder)).train()
    # Which one is the best of a toy run is chance: here it is the first.
    for number in (1, 2, 3):
        checkpoint = folder / "checkpoints" / f"epoch_000{number}"
        config = json.loads((checkpoint / "config.json").read_text())
        best = {"metric": "acc/top1", "value": 0.5, "epoch": 1, "checkpoint": "epoch_0001"}
        write_text(checkpoint / "config.json", json.dumps(config | {"best": best}))
        torch.save(read_training_state(checkpoint) | {"best": best}, checkpoint / "training.pt")
    write_text(folder / "checkpoints" / "best", "epoch_0001\n")
    return folder


@pytest.fixture
def work(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "work")


def truncate(file):
    file.write_bytes(file.read_bytes()[:-100])


def test_pointers_are_followed(work, caplog):
    store = CheckpointStore(work)
    assert store.find("last").name == "epoch_0003"
    assert store.find("best").name == "epoch_0001"
    write_text(store.folder / "last", "epoch_0002\n")
    assert store.find("last").name == "epoch_0002"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    "content", [None, b"", b"\0\0\0\0", b"epoch_0009\n", b"../checkpoints/epoch_0001", b"..", b"\xff\xfe"]
)
def test_a_lost_pointer_is_found_again(work, caplog, content):
    store = CheckpointStore(work)
    for pointer in ("last", "best"):
        (store.folder / pointer).unlink()
        if content is not None:
            (store.folder / pointer).write_bytes(content)
    assert store.find("last").name == "epoch_0003"
    assert store.find("best").name == "epoch_0001"
    assert store.find_to_resume()[0].name == "epoch_0003"
    assert f"using {store.folder / 'epoch_0003'}, the newest checkpoint that is whole" in caplog.text
    Runner.from_cfg(run_config(work, epochs=4, resume=True)).train()
    assert (store.folder / "last").read_text() == "epoch_0004\n"
    assert (store.folder / "best").is_file()


def test_the_newest_is_the_one_of_the_highest_number(tmp_path):
    store = CheckpointStore(tmp_path, keep=2)
    for name in ("epoch_9999", "epoch_10000", "epoch_0003", ".epoch_0004.x", "other"):
        (store.folder / name).mkdir(parents=True)
    assert [folder.name for folder in store.newest_first()] == ["epoch_10000", "epoch_9999", "epoch_0003"]


def damage(folder, kind):
    """Damage a checkpoint."""
    file = folder / {"weights": "model.safetensors", "contract": "config.json"}.get(kind, "training.pt")
    state = None if kind in ("weights", "contract", "gone", "cut") else torch.load(file, weights_only=True)
    match kind:
        case "gone":
            file.unlink()
        case "weights" | "cut":
            truncate(file)
        case "contract":
            file.write_text("[1, 2]")
        case "list":
            torch.save([1, 2], file)
        case key:
            state.pop(key)
            torch.save(state, file)


MESSAGES = {
    **{"weights": r"model\.safetensors: is damaged", "contract": r"config\.json: is damaged: holds a list"},
    **{
        "gone": r"no training\.pt here",
        "cut": r"training\.pt: cannot be read",
        "list": r"training\.pt: holds no training state of Kinema",
    },
    **{
        key: rf"training\.pt: is damaged: '{key}' is missing"
        for key in ("optimizer", "epoch", "step", "best", "random", "seed")
    },
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(work, finished, caplog, kind):
    damage(work / "checkpoints" / "epoch_0003", kind)
    runner = Runner.from_cfg(run_config(work, resume=True))
    runner.train()
    assert pytest.approx(0) == sum(
        (value - expected).abs().sum()
        for value, expected in zip(
            runner.model.state_dict().values(),
            Runner.from_cfg(run_config(finished, resume=True)).train().state_dict().values(),
            strict=True,
        )
    )
    assert re.search(MESSAGES[kind], caplog.text)
    assert "using" in caplog.text
    assert "epoch_0002" in caplog.text
    steps = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in steps if line["split"] == "train"] == [2, 4, 6, 8, 10, 12]


def test_no_whole_checkpoint_is_an_error_and_changes_nothing(work):
    for number in (1, 2, 3):
        damage(work / "checkpoints" / f"epoch_000{number}", "weights")
    before = sorted((work / "checkpoints").iterdir())
    with pytest.raises(
        CheckpointError, match=r"none of 3 checkpoints can be used; the newest: .*epoch_0003.*without --resume"
    ):
        Runner.from_cfg(run_config(work, resume=True)).train()
    with pytest.raises(CheckpointError, match="none of 3 checkpoints can be used"):
        CheckpointStore(work).find("best")
    assert sorted((work / "checkpoints").iterdir()) == before
    assert not (work / "earlier_1").exists()


def test_a_missing_file_of_a_checkpoint_is_named(work):
    store = CheckpointStore(work)
    for folder in store.newest_first():
        (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"is damaged: has no model\.safetensors"):
        store.find()


def test_a_contract_that_is_no_json_is_named(work):
    store = CheckpointStore(work)
    for folder in store.newest_first():
        (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match=r"config\.json: is damaged"):
        store.find()


def test_a_training_state_of_another_optimizer_is_named(work):
    config = run_config(work, epochs=4, resume=True)
    state = read_training_state(work / "checkpoints" / "epoch_0003")
    state["optimizer"]["param_groups"] = []
    torch.save(state, work / "checkpoints" / "epoch_0003" / "training.pt")
    with pytest.raises(CheckpointError, match=r"epoch_0003: its training state does not fit this run \(ValueError"):
        Runner.from_cfg(config).train()
