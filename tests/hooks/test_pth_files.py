"""The `.pth` files of a run: written beside Kinema's checkpoints, and resumed from."""

import shutil
from pathlib import Path

import pytest
import torch
from toy_run import ToyModel, run_config

import kinema.compat
from kinema.engine import CheckpointHook, Runner
from kinema.errors import CheckpointError, ConfigError

MILESTONES = dict(type="MultiStepLR", milestones=[1, 2])


def trained(work_dir: Path, *, epochs: int = 2, resume: bool = False, **settings: object) -> Runner:
    config = run_config(work_dir, epochs=epochs, param_scheduler=MILESTONES, default_hooks=dict(checkpoint=settings))
    runner = Runner.from_cfg({**config, "resume": resume})
    runner.train()
    return runner


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.pth"))


def test_a_config_that_asks_gets_the_files_of_openmmlab(tmp_path: Path) -> None:
    runner = trained(tmp_path, by_epoch=True, save_best="acc/top1")
    assert names(tmp_path)[-2:] == ["epoch_1.pth", "epoch_2.pth"]
    assert [name.rpartition("_")[0] for name in names(tmp_path)[:-2]] == ["best_acc_top1_epoch"]
    assert Path((tmp_path / "last_checkpoint").read_text()) == tmp_path / "epoch_2.pth"
    content = torch.load(tmp_path / "epoch_1.pth", weights_only=True)
    assert (content["meta"]["epoch"], content["meta"]["iter"], content["meta"]["seed"]) == (1, 4, runner.seed)
    facts = content["message_hub"]["runtime_info"]
    assert (facts["iter"], facts["last_ckpt"]) == (3, str(tmp_path / "epoch_1.pth"))
    assert (content["meta"]["mmengine_version"], content["meta"]["dataset_meta"]["classes"]) == (
        "0.10.7",
        runner.classes,
    )
    (group,) = content["optimizer"]["param_groups"]
    assert group["params"] == list(range(len(list(runner.model.parameters()))))
    assert group["lr"] == pytest.approx(0.01)  # of the batch that comes next
    assert content["param_schedulers"] == [{"last_step": 1, "_global_step": 1}]
    assert (tmp_path / "checkpoints" / "last").is_file()


def test_rules_leave_frozen_parameters_out_of_the_groups(tmp_path: Path) -> None:
    model = ToyModel()
    model.layers[0].requires_grad_(False)
    wrapper = dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9), paramwise_cfg=dict(bias_lr_mult=2.0))
    hooks = dict(checkpoint=dict(also_pth=True))
    config = run_config(tmp_path, epochs=1, model=model, optim_wrapper=wrapper, default_hooks=hooks)
    runner = Runner.from_cfg(config)
    runner.train()
    state = torch.load(tmp_path / "epoch_1.pth", weights_only=True)["optimizer"]
    count = sum(parameter.requires_grad for parameter in runner.model.parameters())
    assert [group["params"] for group in state["param_groups"]] == [[number] for number in range(count)]
    assert sorted(state["state"]) == list(range(count))


def test_names_numbers_and_contents_are_what_the_config_says(tmp_path: Path) -> None:
    settings = dict(by_epoch=False, interval=2, save_begin=3, max_keep_ckpts=2, filename_tmpl="batch_{}.pth")
    settings |= dict(out_dir=tmp_path / "files", save_optimizer=False, save_best=None, published_keys=["state_dict"])
    trained(tmp_path / "work", **settings)
    folder = tmp_path / "files" / "work"
    *kept, published = sorted(folder.glob("*.pth"), key=lambda file: (len(file.name), file.name))
    assert [file.name for file in kept] == ["batch_7.pth", "batch_8.pth"]
    assert "optimizer" not in torch.load(kept[1], weights_only=True)
    assert published.name.startswith("batch_8-")
    assert list(torch.load(published, weights_only=True)) == ["state_dict"]
    assert names(tmp_path / "work") == []


def test_the_files_are_written_by_the_runners_own_save_checkpoint(tmp_path: Path) -> None:
    class Annotating(Runner):
        def save_checkpoint(self, out_dir, filename, **settings):
            super().save_checkpoint(out_dir, filename, meta={"written_as": filename}, **settings)

    settings = dict(by_epoch=True, save_optimizer=False, save_best="acc/top1")
    Annotating.from_cfg(run_config(tmp_path, epochs=1, default_hooks=dict(checkpoint=settings))).train()
    assert names(tmp_path) == ["best_acc_top1_epoch_1.pth", "epoch_1.pth"]
    for name in names(tmp_path):
        content = torch.load(tmp_path / name, weights_only=True)
        assert content["meta"]["written_as"] == name
        assert "optimizer" not in content


def test_a_run_writes_none_unless_it_is_asked_or_openmmlabs_names_are_served(tmp_path: Path) -> None:
    trained(tmp_path)
    assert names(tmp_path) == []
    assert CheckpointHook().pth is None
    assert CheckpointHook(also_pth=True).pth is not None
    kinema.compat.install()
    try:
        assert CheckpointHook().pth is not None
        assert CheckpointHook(also_pth=False).pth is None
    finally:
        kinema.compat.uninstall()


def test_a_training_resumes_from_a_pth_file(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", epochs=3, by_epoch=True)
    runner = Runner.from_cfg(run_config(tmp_path / "other", epochs=3, param_scheduler=MILESTONES))
    runner.resume(tmp_path / "whole" / "epoch_2.pth")
    assert (runner.epoch, runner.iter, runner.progress.step) == (2, 8, 8)
    runner.train()
    assert runner.progress.step == 12
    assert runner.optim_wrapper.get_lr() == whole.optim_wrapper.get_lr()


def test_a_work_folder_with_pth_files_alone_is_resumed_at_the_newest(tmp_path: Path) -> None:
    trained(tmp_path / "whole", by_epoch=True, save_best=None)
    (tmp_path / "work").mkdir()
    for name in ("epoch_1.pth", "epoch_2.pth", "last_checkpoint"):
        (tmp_path / "whole" / name).rename(tmp_path / "work" / name)
    runner = trained(tmp_path / "work", epochs=3, resume=True)
    assert runner.progress.epoch == 3
    assert [entry["epoch"] for entry in runner.history] == [2, 3]  # what was taken up is validated, too


def test_a_file_that_says_not_where_it_was_written_is_not_resumed(tmp_path: Path) -> None:
    runner = Runner.from_cfg(run_config(tmp_path / "work"))
    torch.save({"state_dict": runner.model.state_dict()}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"weights\.pth: has no epoch and iter in its meta"):
        runner.resume(tmp_path / "weights.pth")


def test_the_optimizer_of_another_model_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "whole", by_epoch=True)
    file = tmp_path / "whole" / "epoch_2.pth"
    content = torch.load(file, weights_only=True)
    content["optimizer"]["param_groups"][0]["params"] = [0, 1]
    torch.save(content, file)
    runner = Runner.from_cfg(run_config(tmp_path / "work"))
    with pytest.raises(CheckpointError, match="its optimizer has 2 parameters, this run's 6"):
        runner.resume(file)
    Runner.from_cfg(run_config(tmp_path / "work")).resume(file, resume_optimizer=False)


def test_rules_belong_to_figures() -> None:
    with pytest.raises(ConfigError, match="there are 2 rules for 1 figures of save_best"):
        CheckpointHook(also_pth=True, save_best=["acc"], rule=["less", "less"])
    with pytest.raises(ConfigError, match="save_best='auto' cannot be one of several figures"):
        CheckpointHook(also_pth=True, save_best=["acc", "auto"])
    with pytest.raises(ConfigError, match="save_best names a figure twice: acc, acc"):
        CheckpointHook(also_pth=True, save_best=["acc", "acc"])


def test_a_copy_of_a_run_that_is_resumed_leaves_the_files_of_the_original_alone(tmp_path: Path) -> None:
    settings = dict(also_pth=True, max_keep_ckpts=1, save_best="acc/top1")
    trained(tmp_path / "first", **settings)
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    trained(tmp_path / "copy", epochs=3, resume=True, **settings)
    assert "epoch_2.pth" in names(tmp_path / "first")
    assert [name for name in names(tmp_path / "copy") if name.startswith("epoch")] == ["epoch_3.pth"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(save_begin=-1), "save_begin must be at least 0, got -1"),
        (dict(published_keys=1), "published_keys must be a text or a list of texts, got 1"),
    ],
)
def test_what_no_file_can_be_written_by_is_named(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CheckpointHook(**settings)
