import json
import logging
import re
import shutil

import pytest
import torch
from toy_run import run_config

from kinema.checkpoints import CheckpointStore, read_training_state
from kinema.checkpoints.saving import write_mark
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
        checkpoint = folder / "checkpoints" / f"step_{4 * number:08d}"
        config = json.loads((checkpoint / "config.json").read_text())
        best = {"metric": "acc/top1", "value": 0.5, "epoch": 1, "step": 4, "checkpoint": "step_00000004"}
        write_text(checkpoint / "config.json", json.dumps(config | {"best": best}))
        state = read_training_state(checkpoint)
        state["parts"]["progress"]["best"] = best
        torch.save(state, checkpoint / "training.pt")
        write_mark(checkpoint)
    write_text(folder / "checkpoints" / "best", "step_00000004\n")
    return folder


@pytest.fixture
def work(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "work")


def truncate(file):
    file.write_bytes(file.read_bytes()[:-100])


def test_pointers_are_followed(work, caplog):
    store = CheckpointStore(work)
    assert store.find("last").name == "step_00000012"
    assert store.find("best").name == "step_00000004"
    write_text(store.folder / "last", "step_00000008\n")
    assert store.find("last").name == "step_00000008"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    "content", [None, b"", b"\0\0\0\0", b"step_00000036\n", b"../checkpoints/step_00000004", b"..", b"\xff\xfe"]
)
def test_a_lost_pointer_is_found_again(work, caplog, content):
    store = CheckpointStore(work)
    for pointer in ("last", "best"):
        (store.folder / pointer).unlink()
        if content is not None:
            (store.folder / pointer).write_bytes(content)
    assert store.find("last").name == "step_00000012"
    assert store.find("best").name == "step_00000004"
    assert store.find_to_resume()[0].name == "step_00000012"
    assert f"using {store.folder / 'step_00000012'}, the newest checkpoint that is whole" in caplog.text
    Runner.from_cfg(run_config(work, epochs=4, resume=True)).train()
    assert (store.folder / "last").read_text() == "step_00000016\n"
    assert (store.folder / "best").is_file()


def test_the_newest_is_the_one_of_the_highest_number(tmp_path):
    store = CheckpointStore(tmp_path, keep=2)
    for name in ("step_00039996", "step_000040000", "step_00000012", ".step_00000016.x", "other"):
        (store.folder / name).mkdir(parents=True)
    assert [folder.name for folder in store.newest_first()] == ["step_000040000", "step_00039996", "step_00000012"]


def damage(folder, kind):
    """Damage a checkpoint."""
    file = folder / {"weights": "model.safetensors", "contract": "config.json"}.get(kind, "training.pt")
    state = None if kind not in KEYS else torch.load(file, weights_only=True)
    match kind:
        case "gone":
            file.unlink()
        case "weights" | "cut":
            truncate(file)
        case "contract":
            file.write_text("[1, 2]")
        case "unmarked":
            (folder / "complete.json").unlink()
        case "mark":
            (folder / "complete.json").write_text("{")
        case "bit":
            content = bytearray((folder / "model.safetensors").read_bytes())
            content[-1] ^= 1
            (folder / "model.safetensors").write_bytes(content)
        case "list":
            torch.save([1, 2], file)
            write_mark(folder)
        case "old":
            torch.save({"optimizer": {}, "epoch": 3}, file)
            write_mark(folder)
        case key:
            state.pop(key)
            torch.save(state, file)
            write_mark(folder)


KEYS = ("optimizer", "parts", "history", "random", "seed")
CHANGED = "is not what was saved, by its size or checksum"
MESSAGES = {
    "weights": rf"model\.safetensors: is damaged: {CHANGED}",
    "bit": rf"model\.safetensors: is damaged: {CHANGED}",
    "contract": rf"config\.json: is damaged: {CHANGED}",
    "cut": rf"training\.pt: is damaged: {CHANGED}",
    "gone": r"is damaged: has no training\.pt",
    "unmarked": r"is not complete: has no complete\.json, which is written last",
    "mark": r"complete\.json: is damaged",
    "list": r"training\.pt: holds no training state of Kinema",
    "old": r"training\.pt: was written by another version of Kinema, format 1 and not 2: start a new run",
    **{key: rf"training\.pt: is damaged: '{key}' is missing" for key in KEYS},
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(work, finished, caplog, kind):
    damage(work / "checkpoints" / "step_00000012", kind)
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
    assert "step_00000008" in caplog.text
    steps = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in steps if line["split"] == "train"] == [2, 4, 6, 8, 10, 12]


def test_no_whole_checkpoint_is_an_error_and_changes_nothing(work):
    for number in (1, 2, 3):
        damage(work / "checkpoints" / f"step_{4 * number:08d}", "weights")
    before = sorted((work / "checkpoints").iterdir())
    with pytest.raises(
        CheckpointError, match=r"none of 3 checkpoints can be used; the newest: .*step_00000012.*without --resume"
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
    state = read_training_state(work / "checkpoints" / "step_00000012")
    state["optimizer"]["groups"] = []
    torch.save(state, work / "checkpoints" / "step_00000012" / "training.pt")
    write_mark(work / "checkpoints" / "step_00000012")
    with pytest.raises(CheckpointError, match=r"step_00000012: its training state does not fit this run .*resume with"):
        Runner.from_cfg(config).train()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda state: state["parts"]["metrics_file"].update(lines=-3), "metrics_file.lines is -3, expected a count"),
        (lambda state: state["parts"]["hook.ValidationHook"].update(mark="x"), "hook.ValidationHook.mark is 'x'"),
        (lambda state: state["parts"].update(train_loop={"a": 1}), "this is no state of the random generators"),
        (lambda state: state["history"][0].update(val=True), "a validation of the history is"),
        (lambda state: state.update(train_figures={"loss": "low"}), "a validation of the history is"),
        (lambda state: state["parts"]["hook.LoggerHook"]["averages"]["sums"].update(a=1), "sums of a, but counts of"),
    ],
)
def test_a_forged_state_is_named_before_the_training(work, change, text):
    checkpoint = work / "checkpoints" / "step_00000012"
    state = read_training_state(checkpoint)
    change(state)
    torch.save(state, checkpoint / "training.pt")
    write_mark(checkpoint)
    with pytest.raises(CheckpointError, match=rf"its training state does not fit this run \(ValueError: {text}"):
        Runner.from_cfg(run_config(work, epochs=4, resume=True)).train()


def test_a_format_that_is_no_number_is_named(work):
    checkpoint = work / "checkpoints" / "step_00000012"
    torch.save(read_training_state(checkpoint) | {"format": torch.zeros(3)}, checkpoint / "training.pt")
    with pytest.raises(CheckpointError, match="is damaged: 'format' is Tensor"):
        read_training_state(checkpoint)


def test_no_pointer_and_no_mark_is_read_without_end(work):
    store = CheckpointStore(work)
    for file in (store.folder / "last", store.folder / "step_00000012" / "complete.json"):
        file.unlink()
        file.symlink_to("/dev/zero")
    assert store.pointed("last") is None
    assert store.find_to_resume()[0].name == "step_00000008"
