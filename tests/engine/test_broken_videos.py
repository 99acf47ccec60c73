import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from broken_run import broken_config

from kinema.engine import BrokenVideosHook, Hook, Runner
from kinema.errors import ConfigError, VideoError

HERE = Path(__file__).parent


def train(work_dir, **changes):
    runner = Runner.from_cfg(broken_config(work_dir, **changes))
    runner.train()
    return runner


def listed(work_dir):
    lines = [json.loads(line) for line in (work_dir / "broken.jsonl").read_text().splitlines()]
    assert all(set(line) == {"path", "error", "count", "split"} for line in lines)
    return {(line["split"], line["path"]): line["count"] for line in lines}


def weights_of(runner):
    return list(runner.model.state_dict().values())


def equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(weights_of(first), weights_of(second), strict=True))


def test_a_run_names_counts_and_lists_broken_videos(tmp_path, caplog):
    train(tmp_path, train=(7,), epochs=3)
    assert listed(tmp_path) == {("train", "07.mp4"): 3}
    assert caplog.text.count("broken, replaced by sample 8: 07.mp4: damaged") == 1
    ends = [record.getMessage() for record in caplog.records if "so far" in record.getMessage()]
    assert len(ends) == 3
    file = tmp_path / "broken.jsonl"
    assert ends[2] == f"epoch 3: samples replaced because they are broken: 1; broken videos so far: 1, listed in {file}"


def test_a_run_without_broken_videos_writes_nothing_about_them(tmp_path, caplog):
    (tmp_path / "broken.jsonl").write_text("of a run that did not come to its first checkpoint\n")
    with caplog.at_level(logging.INFO, logger="kinema"):
        train(tmp_path, epochs=1)
    assert not (tmp_path / "broken.jsonl").exists()
    assert "damaged" not in caplog.text
    assert "because they are broken" not in caplog.text


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_number_of_workers_changes_no_weight(tmp_path, num_workers):
    plain = train(tmp_path / "plain", train=(7,), epochs=2)
    config = broken_config(tmp_path / "parallel", train=(7,), epochs=2)
    config["train_dataloader"] |= dict(num_workers=num_workers, persistent_workers=num_workers > 0)
    parallel = Runner.from_cfg(config)
    parallel.train()
    assert equal(plain, parallel)
    assert listed(tmp_path / "plain") == listed(tmp_path / "parallel")


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_same_weights_and_counts(tmp_path):
    class Stop(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 11:
                raise KeyboardInterrupt

    broken = dict(train=(7,), val=(2,), epochs=4)
    whole = train(tmp_path / "whole", **broken)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", custom_hooks=[Stop()], **broken)
    resumed = train(tmp_path / "cut", resume=True, **broken)
    assert equal(whole, resumed)
    assert listed(tmp_path / "cut") == listed(tmp_path / "whole") == {("train", "07.mp4"): 4, ("val", "02.mp4"): 4}


def test_too_many_broken_videos_stop_the_run(tmp_path):
    with pytest.raises(VideoError) as caught:
        train(tmp_path, train=(3, 12))
    message = (
        "2 of 24 training samples are broken, more than the share of 0.05 that train_dataloader.max_broken_share allows"
    )
    assert str(caught.value).startswith(f"{message}: {tmp_path / 'broken.jsonl'} lists them; take them out")
    assert set(listed(tmp_path)) == {("train", "03.mp4"), ("train", "12.mp4")}


@pytest.mark.slow
def test_the_share_may_be_set(tmp_path):
    config = broken_config(tmp_path / "more", train=(3, 12), epochs=2)
    config["train_dataloader"]["max_broken_share"] = 0.1
    Runner.from_cfg(config).train()
    assert listed(tmp_path / "more") == {("train", "03.mp4"): 2, ("train", "12.mp4"): 2}
    config = broken_config(tmp_path / "none", train=(3,), epochs=2)
    config["train_dataloader"]["max_broken_share"] = 0
    with pytest.raises(VideoError, match="1 of 24 training samples are broken, more than the share of 0 that"):
        Runner.from_cfg(config).train()


def test_a_resumed_run_remembers_which_samples_were_broken(tmp_path):
    train(tmp_path, train=(3,), epochs=1)
    with pytest.raises(VideoError, match=r"2 of 24 training samples are broken.* the last: 12\.mp4: damaged"):
        train(tmp_path, train=(12,), epochs=2, resume=True)


def test_a_search_without_end_lists_what_it_met(tmp_path):
    config = broken_config(tmp_path, train=range(24), epochs=1)
    with pytest.raises(VideoError, match="and the 10 samples after it are broken too"):
        Runner.from_cfg(config).train()
    assert len(listed(tmp_path)) == 11


def test_a_new_run_sets_the_list_of_the_earlier_one_aside(tmp_path):
    train(tmp_path, train=(3,), epochs=1)
    train(tmp_path, train=(12,), epochs=1)
    assert listed(tmp_path) == {("train", "12.mp4"): 1}
    assert listed(tmp_path / "earlier_1") == {("train", "03.mp4"): 1}


def test_validation_in_training_leaves_broken_clips_out_and_says_so(tmp_path, caplog):
    sound, broken = train(tmp_path / "sound", epochs=2), train(tmp_path / "broken", val=(0,), epochs=2)
    assert equal(sound, broken)
    assert listed(tmp_path / "broken") == {("val", "00.mp4"): 2}
    assert caplog.text.count("val: 1 of 13 samples are broken and not in the numbers; the first: 00.mp4: damaged") == 2
    lines = [json.loads(line) for line in (tmp_path / "broken" / "metrics.jsonl").read_text().splitlines()]
    assert [line["broken_samples"] for line in lines if line["split"] == "val"] == [1, 1]
    assert [line for line in lines if line["split"] == "train" and "broken_samples" in line] == []


def test_too_many_broken_validation_clips_stop_the_run_after_its_checkpoint(tmp_path):
    message = (
        r"val: 2 of 13 samples are broken, more than the share of 0\.05 that val_dataloader\.max_broken_share allows"
    )
    with pytest.raises(VideoError, match=message):
        train(tmp_path, val=(0, 5))
    assert (tmp_path / "checkpoints" / "last").read_text() == "step_00000004\n"
    config = broken_config(tmp_path, val=(0, 5), resume=True)
    config["val_dataloader"]["allow_broken"] = True
    Runner.from_cfg(config).train()
    assert (tmp_path / "checkpoints" / "last").read_text() == "step_00000012\n"
    config = broken_config(tmp_path / "all", val=range(13))
    config["val_dataloader"]["allow_broken"] = True
    with pytest.raises(VideoError, match=r"val: all 13 samples are broken; the first: 00\.mp4: damaged"):
        Runner.from_cfg(config).train()


def test_validation_may_be_strict(tmp_path):
    config = broken_config(tmp_path, val=(0,))
    config["val_dataloader"]["allow_broken"] = False
    with pytest.raises(VideoError, match=r"^00\.mp4: damaged$"):
        Runner.from_cfg(config).train()
    assert (tmp_path / "checkpoints" / "last").read_text() == "step_00000004\n"


@pytest.mark.parametrize("test_mode", [True, False])
def test_an_evaluation_by_itself_is_strict(tmp_path, test_mode):
    config = broken_config(tmp_path, val=(0,))
    config["val_dataloader"]["dataset"]["test_mode"] = test_mode
    with pytest.raises(VideoError, match=r"^00\.mp4: damaged$"):
        Runner.from_cfg(config).val()


def test_one_loader_may_be_for_training_and_validation(tmp_path):
    config = broken_config(tmp_path, train=(3,), epochs=1)
    loader = Runner.build_dataloader(config["train_dataloader"], seed=1)
    Runner.from_cfg(config | dict(train_dataloader=loader, val_dataloader=loader)).train()
    assert listed(tmp_path) == {("train", "03.mp4"): 1, ("val", "03.mp4"): 1}


def test_training_replaces_and_never_leaves_out(tmp_path):
    config = broken_config(tmp_path)
    config["train_dataloader"]["allow_broken"] = True
    with pytest.raises(ConfigError, match="train_dataloader: allow_broken is for evaluation; training replaces"):
        Runner.from_cfg(config).train()


def test_a_hook_of_the_users_own_goes_in_place_of_the_usual_one(tmp_path):
    runner = train(tmp_path, train=(3,), epochs=1, custom_hooks=[BrokenVideosHook(interval=2)])
    assert [hook.interval for hook in runner.hooks if isinstance(hook, BrokenVideosHook)] == [2]


@pytest.mark.slow
def test_the_main_process_of_two_counts_for_both(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [*command, HERE / "torchrun_broken.py", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr
    first, second = json.loads((tmp_path / "many" / "ranks.json").read_text())
    assert first == second
    assert "3 of 24 training samples are broken, more than the share of 0.1 that" in first
    assert len(listed(tmp_path / "many")) == 3

    few = tmp_path / "few"
    assert json.loads((few / "ranks.json").read_text()) == ["done", "done"]
    # Sample 4 is met in its own turn, and in place of sample 3.
    assert listed(few) == {("train", "03.mp4"): 3, ("train", "04.mp4"): 6, ("val", "12.mp4"): 3}
    assert result.stderr.count("replaced by sample 5: 03.mp4: damaged") == 1
    lines = [json.loads(line) for line in (few / "metrics.jsonl").read_text().splitlines()]
    assert [line["broken_samples"] for line in lines if line["split"] == "val"] == [1, 1, 1]
    config = broken_config(tmp_path / "alone", val=(12,), load_from=str(few / "checkpoints" / "step_00000012"))
    config["val_dataloader"]["allow_broken"] = True
    alone = Runner.from_cfg(config).val()
    assert {name: lines[-1][name] for name in alone} == alone
