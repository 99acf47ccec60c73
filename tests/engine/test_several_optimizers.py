"""Runs with several optimizers by name: what they compute, save and resume."""

import json
import logging
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from adversarial_run import LENGTH, RATES, Adversaries, adversarial_run, optimizers_of
from toy_run import same

from kinema.checkpoints.store import read_training_state
from kinema.engine import Hook
from kinema.errors import CheckpointError, ConfigError, RegistryError, TrainingError
from kinema.optim.wrapper_dict import OptimWrapperDict


class Batches(Hook):
    """Keeps what the model sees, in order."""

    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append(torch.stack(data_batch["inputs"]))


def test_each_optimizer_updates_as_in_a_loop_by_hand(tmp_path):
    batches, first = Batches(), Adversaries()
    first.generator[2].p = 0.0
    model = Adversaries()
    model.generator[2].p = 0.0
    model.load_state_dict(first.state_dict())
    runner = adversarial_run(tmp_path, model, custom_hooks=[batches])
    runner.train()

    gen = torch.optim.Adam(first.generator.parameters(), lr=RATES["gen"], betas=(0.5, 0.99))
    dis = torch.optim.SGD(first.discriminator.parameters(), lr=RATES["dis"], momentum=0.9)
    for number, real in enumerate(batches.seen):
        gen.param_groups[0]["lr"] = RATES["gen"] * (0.1 + 0.9 * min(number / 6, 1))
        dis.param_groups[0]["lr"] = RATES["dis"] * 0.5 ** (number // LENGTH)
        dis.param_groups[0]["momentum"] = 0.9 * (0.5 + 0.5 * min(number / 8, 1))
        (first.losses_of_discriminator(real) / 4).backward()
        if (number + 1) % 4 == 0:
            torch.nn.utils.clip_grad_norm_(first.discriminator.parameters(), 0.3)
            dis.step()
            dis.zero_grad()
        if number % 2:
            first.loss_of_generator(real).backward()
            torch.nn.utils.clip_grad_norm_(first.generator.parameters(), 0.5)
            gen.step()
            gen.zero_grad()
    assert len(batches.seen) == runner.progress.step == 3 * LENGTH
    for name, parameter in first.named_parameters():
        torch.testing.assert_close(model.state_dict()[name], parameter.detach(), rtol=1e-5, atol=1e-7)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["gen.lr"] for line in lines[:2]] == pytest.approx([0.001, 0.0025])
    assert lines[-1]["dis.lr"] == pytest.approx(0.0125)
    assert runner.param_schedulers.keys() == {"gen", "dis"}
    assert runner.message_hub.get_scalar("train/gen.lr").current() == pytest.approx(0.01)


SCRIPT = Path(__file__).with_name("adversarial_run.py")
AVERAGES = "dict(type='EMAHook', momentum=0.1)"


def run_script(folder, name, out, stop=0, *arguments, processes=1, status=0):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else ()), SCRIPT, folder / name, folder / out, str(stop)]
    done = subprocess.run([*command, *arguments], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == status, done.stderr
    return done.stderr


def lines_of(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{**json.loads(line), "seconds": 0} for line in lines]


def test_a_run_stopped_inside_the_window_of_one_resumes_to_the_same_weights(tmp_path):
    run_script(tmp_path, "whole", "whole.pt", 0, f"custom_hooks=[{AVERAGES}]")
    run_script(tmp_path, "killed", "none.pt", 7, f"custom_hooks=[EndsInBatch(7), {AVERAGES}]", status=9)
    saved = read_training_state(tmp_path / "killed/checkpoints/step_00000006")
    assert saved["pending"]["counts"] == {"gen": 3, "dis": 6}
    discriminator = {f"discriminator.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")}
    assert saved["pending"]["gradients"][0].keys() == discriminator
    run_script(tmp_path, "killed", "resumed.pt", 0, f"custom_hooks=[{AVERAGES}]", "resume=True")
    assert same(torch.load(tmp_path / "whole.pt"), torch.load(tmp_path / "resumed.pt"))
    assert lines_of(tmp_path / "whole") == lines_of(tmp_path / "killed")


@pytest.mark.slow
def test_two_processes_train_by_a_wrapper_of_the_users_choice_and_resume_exactly(tmp_path):
    separate = "model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel')"
    users = "model_wrapper_cfg=dict(type='UsersWrapper', find_unused_parameters=True)"
    hooks = f"custom_hooks=[EndsInBatch(%d), {AVERAGES}]"
    often = "default_hooks=dict(logger=dict(interval=1), checkpoint=dict(interval='1steps'))"
    run_script(tmp_path, "whole", "whole.pt", 0, separate, hooks % 0, processes=2)
    run_script(tmp_path, "killed", "none.pt", 8, users, hooks % 8, often, processes=2, status=1)
    saved = read_training_state(tmp_path / "killed/checkpoints/step_00000007")
    assert [len(own) for own in saved["pending"]["gradients"]] == [4, 4]  # not yet exchanged
    assert all(".module" not in name for own in saved["pending"]["gradients"] for name in own)
    run_script(tmp_path, "killed", "resumed.pt", 0, users, hooks % 0, "resume=True", processes=2)
    whole = torch.load(tmp_path / "whole.pt")
    assert same(whole, torch.load(tmp_path / "resumed.pt"))
    assert lines_of(tmp_path / "whole") == lines_of(tmp_path / "killed")
    assert whole["model"].keys() == Adversaries().state_dict().keys()
    said = run_script(tmp_path, "plain", "plain.pt", processes=2, status=1)
    assert "use model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel')" in said
    alone = adversarial_run(tmp_path / "alone", load_from=tmp_path / "killed/checkpoints/step_00000018", resume=True)
    alone._prepare_training()
    alone._take_up()
    assert same(alone.model.state_dict()["discriminator.0.bias"], whole["model"]["discriminator.0.bias"])


def test_a_pth_file_holds_their_states_by_name_and_resumes(tmp_path):
    runner = adversarial_run(tmp_path / "first", train_cfg=dict(max_epochs=2))
    runner.train()
    runner.save_checkpoint(tmp_path, "two.pth")
    content = torch.load(tmp_path / "two.pth")
    assert content["optimizer"].keys() == content["param_schedulers"].keys() == {"gen", "dis"}
    assert [group["params"] for group in content["optimizer"]["dis"]["param_groups"]] == [[0, 1, 2, 3]]
    assert content["param_schedulers"]["gen"] == [{"last_step": 6, "_global_step": 12}]
    assert [state["last_step"] for state in content["param_schedulers"]["dis"]] == [1, 8]
    again = adversarial_run(tmp_path / "second", load_from=tmp_path / "two.pth", resume=True)
    again._prepare_training()
    again._take_up()
    moments = [runner.optim_wrapper["gen"].optimizer.state, again.optim_wrapper["gen"].optimizer.state]
    first, second = ([entry["exp_avg"] for entry in state.values()] for state in moments)
    assert again.iter == 12
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(first, second, strict=True))


def test_schedules_are_for_all_or_by_name(tmp_path, caplog):
    runner = adversarial_run(tmp_path)
    step = dict(type="StepLR", step_size=1)
    runner.optim_wrapper = optimizers_of(runner.model)
    assert {name: len(own) for name, own in runner.build_param_scheduler([step, step]).items()} == {"gen": 2, "dis": 2}
    with caplog.at_level(logging.WARNING, "kinema"):
        assert len(runner.build_param_scheduler(dict(gen=step, dis=[], critic=step))["gen"]) == 1
    assert "param_scheduler is also for critic, but the optimizers are gen, dis" in caplog.text
    with pytest.raises(RegistryError, match="no model wrapper named 'Missing'|Missing"):
        adversarial_run(tmp_path, model_wrapper_cfg=dict(type="Missing")).train()
    with pytest.raises(ConfigError, match="param_scheduler has nothing for dis: the optimizers are gen, dis"):
        runner.build_param_scheduler(dict(gen=step))
    with pytest.raises(ConfigError, match="param_scheduler.dis.0.step_size must be"):
        adversarial_run(tmp_path, param_scheduler=dict(gen=[], dis=[dict(step, step_size="1")])).train()


def test_a_checkpoint_of_other_optimizers_is_refused(tmp_path):
    adversarial_run(tmp_path, train_cfg=dict(max_epochs=1)).train()
    model = Adversaries()
    renamed = OptimWrapperDict(**{f"the_{name}": part for name, part in optimizers_of(model).items()})
    with pytest.raises(CheckpointError, match="nothing of the optimizer 'the_gen', but of gen, dis"):
        adversarial_run(tmp_path, model, optim_wrapper=renamed, param_scheduler=None, resume=True).train()


def test_a_loss_that_is_not_finite_stops_before_the_update_of_its_optimizer(tmp_path):
    class Bad(Adversaries):
        def loss_of_generator(self, real):
            return super().loss_of_generator(real) * (math.nan if self.batches == 4 else 1.0)

    with pytest.raises(TrainingError, match=r"step 4: the loss is not finite.*batch 4 of epoch 1"):
        adversarial_run(tmp_path, Bad()).train()

    class BadEarly(Adversaries):
        def losses_of_discriminator(self, real):
            return super().losses_of_discriminator(real) * (math.nan if self.batches == 1 else 1.0)

    with pytest.raises(TrainingError, match=r"step 4: the loss is not finite.*batch 2 of epoch 1"):  # of a window of 4
        adversarial_run(tmp_path / "early", BadEarly()).train()
