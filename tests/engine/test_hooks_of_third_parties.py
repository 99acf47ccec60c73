"""Hooks and loops as users of MMEngine write them."""

import gc
import json
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toy_run import run_config

from kinema.engine import CheckpointHook, EMAHook, EpochBasedTrainLoop, Hook, IterBasedTrainLoop, LoggerHook, Runner
from kinema.errors import ConfigError
from kinema.hooks import DistSamplerSeedHook, IterTimerHook, RuntimeInfoHook, SyncBuffersHook
from kinema.registry import HOOKS, LOOPS
from kinema.runs.message_hub import MessageHub
from kinema.runs.vis_backend import BaseVisBackend
from kinema.visualization import Visualizer
from waiting import wait_until


def trained(work_dir, **changes):
    runner = Runner.from_cfg(run_config(work_dir, **changes))
    runner.train()
    return runner


def lines_of(work_dir, split="train"):
    lines = [json.loads(line) for line in (work_dir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines if line["split"] == split]


def assert_same_weights(one, other):
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


@HOOKS.register_module()
class GradNormHook(Hook):
    """Logs the norm of the gradients of the last layer, through the message hub."""

    def __init__(self):
        self.norm = None

    def before_train(self, runner):
        weight = runner.model.layers[4].weight
        weight.register_post_accumulate_grad_hook(lambda parameter: setattr(self, "norm", parameter.grad.norm()))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        runner.message_hub.update_scalar("train/head_norm", self.norm)


@HOOKS.register_module()
class OneCycleLog(Hook):
    """Writes the learning rate of each step down."""

    priority = "LOW"

    def before_run(self, runner):
        self.rates = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.rates.append(runner.optim_wrapper.get_lr()["lr"][0])
        assert runner.message_hub.get_scalar("train/lr").current() == self.rates[-1]
        assert runner.message_hub.get_info("iter") == runner.iter
        assert MessageHub.get_current_instance().get_info("epoch") == runner.epoch


@HOOKS.register_module()
class FreezeStem(Hook):
    """Freezes the first layer for some epochs."""

    def __init__(self, freeze_epoch):
        self.freeze_epoch = freeze_epoch

    def before_train_epoch(self, runner):
        for parameter in runner.model.layers[0].parameters():
            parameter.requires_grad = runner.epoch >= self.freeze_epoch


@HOOKS.register_module()
class SWA(Hook):
    """Averages weights after each epoch from one on, and puts the mean into the model at the end."""

    def __init__(self, start):
        self.start, self.count, self.mean = start, 0, None

    def after_train_epoch(self, runner):
        if runner.epoch + 1 < self.start:
            return
        state = {name: value.double() for name, value in runner.model.named_parameters()}
        self.mean = state if self.mean is None else {n: self.mean[n] + v.detach() for n, v in state.items()}
        self.count += 1

    def after_train(self, runner):
        with torch.no_grad():
            for name, value in runner.model.named_parameters():
                value.copy_(self.mean[name] / self.count)


@HOOKS.register_module()
class SaveEveryN(Hook):
    """Writes a file of weights at every n-th iteration."""

    def __init__(self, interval):
        self.interval = interval

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.every_n_train_iters(runner, self.interval):
            folder = f"{runner.work_dir}/weights"
            runner.save_checkpoint(folder, f"iter_{runner.iter + 1}.pth", by_epoch=False, meta=dict(who="me"))


@HOOKS.register_module()
class ModeSwitch(Hook):
    """Switches augmentation off for the last epochs, as YOLOX does."""

    def __init__(self, num_last_epochs=1):
        self.num_last_epochs = num_last_epochs

    def before_train_epoch(self, runner):
        if runner.epoch + 1 == runner.max_epochs - self.num_last_epochs + 1:
            runner.logger.info("no more jitter from now on")
            runner.train_dataloader.dataset.pipeline.transforms[0].jitter = 0.0
            runner.model.is_last_mode = True


def test_a_figure_of_a_users_hook_is_logged_with_the_others(tmp_path):
    trained(tmp_path, epochs=1, custom_hooks=[dict(type="GradNormHook")])
    lines = lines_of(tmp_path)
    assert [set(line) for line in lines] == [{"step", "epoch", "split", "loss", "lr", "head_norm"}] * 2
    assert all(line["head_norm"] > 0 for line in lines)


def test_figures_of_users_hooks_survive_a_resume_between_two_lines(tmp_path):
    settings = dict(custom_hooks=[dict(type="GradNormHook")], default_hooks=dict(logger=dict(interval=4)))
    settings["default_hooks"]["checkpoint"] = dict(interval="3steps")

    class Leave(Hook):
        priority = "LOWEST"

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter == 3:
                raise KeyboardInterrupt

    whole = trained(tmp_path / "whole", epochs=2, **settings)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", epochs=2, **{**settings, "custom_hooks": [dict(type="GradNormHook"), Leave()]})
    resumed = trained(tmp_path / "cut", epochs=2, resume=True, **settings)
    assert lines_of(tmp_path / "whole") == lines_of(tmp_path / "cut")
    for name in ("train/loss", "train/head_norm", "val/acc/top1"):
        expected, actual = (runner.message_hub.get_scalar(name).data[0] for runner in (whole, resumed))
        assert np.array_equal(expected, actual), name


def test_hooks_read_rates_counters_and_loaders_of_the_runner(tmp_path):
    hook = OneCycleLog()
    schedule = dict(type="OneCycleLR", eta_max=0.2, total_steps=3, convert_to_iter_based=True)
    trained(tmp_path, custom_hooks=[hook, dict(type="ModeSwitch")], param_scheduler=schedule)
    assert len(hook.rates) == 12
    assert max(hook.rates) == pytest.approx(0.2, rel=0.1)


def test_a_users_freeze_hook_leaves_weights_alone_until_its_epoch(tmp_path):
    seen = []

    class See(Hook):
        def after_train_epoch(self, runner):
            seen.append(runner.model.layers[0].weight.detach().clone())

    trained(tmp_path, custom_hooks=[FreezeStem(1), See()])
    initial = Runner.from_cfg(run_config(tmp_path / "initial")).model.layers[0].weight
    assert torch.equal(seen[0], initial)
    assert not torch.equal(seen[1], seen[0])


def test_a_users_average_of_weights_is_the_mean_over_epochs(tmp_path):
    seen = []

    class See(Hook):
        def after_train_epoch(self, runner):
            seen.append(runner.model.layers[4].bias.detach().double().clone())

    runner = trained(tmp_path, custom_hooks=[SWA(2), See()])
    torch.testing.assert_close(runner.model.layers[4].bias.double(), (seen[1] + seen[2]) / 2, atol=1e-7, rtol=0)


def test_weights_written_by_a_hook_are_files_that_mmengines_users_can_read(tmp_path):
    runner = trained(tmp_path, epochs=1, custom_hooks=[dict(type="SaveEveryN", interval=2)])
    assert sorted(file.name for file in (tmp_path / "weights").iterdir()) == ["iter_2.pth", "iter_4.pth"]
    saved = torch.load(tmp_path / "weights" / "iter_4.pth", weights_only=True)
    assert set(saved) == {"meta", "state_dict", "message_hub", "optimizer", "param_schedulers"}
    assert (saved["meta"]["iter"], saved["meta"]["epoch"], saved["meta"]["who"]) == (4, 0, "me")
    assert saved["meta"]["dataset_meta"] == {"classes": ["left", "right"]}
    assert saved["meta"]["seed"] == 7
    assert "optim_wrapper" in saved["meta"]["cfg"]
    for name, tensor in runner.model.state_dict().items():
        assert torch.equal(saved["state_dict"][name], tensor), name
    assert len(saved["optimizer"]["state"]) == 6

    start = Runner.from_cfg(run_config(tmp_path / "next", load_from=str(tmp_path / "weights" / "iter_4.pth")))
    start.load_checkpoint(tmp_path / "weights" / "iter_4.pth")
    assert_same_weights(start, runner)
    runner.save_checkpoint(tmp_path, "epoch_{}.pth", save_optimizer=False, save_param_scheduler=False)
    assert set(torch.load(tmp_path / "epoch_2.pth", weights_only=True)) == {"meta", "state_dict", "message_hub"}


def test_files_are_written_of_a_training_and_locally(tmp_path):
    with pytest.raises(ConfigError, match="save_checkpoint: no training has begun"):
        Runner.from_cfg(run_config(tmp_path)).save_checkpoint(tmp_path, "a.pth")
    runner = trained(tmp_path, epochs=1)
    with pytest.raises(ConfigError, match="save_checkpoint: files are local"):
        runner.save_checkpoint(tmp_path, "a.pth", backend_args=dict(backend="petrel"))


class CustomCheckpointHook(CheckpointHook):
    """Writes when it likes, and counts."""

    def __init__(self, *args, at_iter=3, **kwargs):
        super().__init__(*args, **kwargs)
        self.at_iter, self.saved = at_iter, []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if self.every_n_train_iters(runner, self.at_iter):
            self._save_checkpoint(runner)

    def after_train_epoch(self, runner):
        super().after_train_epoch(runner)
        assert self.out_dir == str(runner.work_dir)

    def save_checkpoint(self, runner, **options):
        super().save_checkpoint(runner, **options)
        self.saved.append(runner.progress.iteration)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_checkpoint_asked_for_inside_a_step_is_written_at_the_next_border(tmp_path, accumulate):
    optim = dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9), accumulative_counts=accumulate)
    hooks = dict(checkpoint=dict(type=CustomCheckpointHook, interval=-1, save_best=None))

    class Leave(Hook):
        priority = "LOWEST"

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 6 + accumulate:
                raise KeyboardInterrupt

    settings = dict(epochs=3, optim_wrapper=optim, default_hooks=hooks)
    whole = trained(tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", custom_hooks=[Leave()], **settings)
    resumed = trained(tmp_path / "cut", resume=True, **settings)
    assert_same_weights(whole, resumed)


def test_subclasses_of_the_default_hooks_work(tmp_path):
    class MyLogger(LoggerHook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            super().after_train_iter(runner, batch_idx, data_batch, outputs)

        def after_val_epoch(self, runner, metrics=None):
            super().after_val_epoch(runner, metrics)
            runner.message_hub.update_info("last_metrics", metrics)

    class MyEMA(EMAHook):
        def before_run(self, runner):
            super().before_run(runner)
            self.began = True

    logger, ema = MyLogger(interval=2), MyEMA(momentum=0.1)
    hooks = dict(logger=logger, runtime_info=dict(type="RuntimeInfoHook"))
    runner = trained(tmp_path, epochs=1, default_hooks=hooks, custom_hooks=[ema])
    assert ema.began
    assert len(lines_of(tmp_path)) == 2
    assert "acc/top1" in runner.message_hub.get_info("last_metrics")


def test_openmmlabs_hooks_without_work_can_be_subclassed(tmp_path):
    class Timer(IterTimerHook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            super().before_train_iter(runner, batch_idx, data_batch)
            runner.message_hub.update_info("timed", True)

    hooks = [Timer(), DistSamplerSeedHook(), dict(type="SyncBuffersHook")]
    runner = trained(tmp_path, epochs=1, custom_hooks=hooks)
    assert runner.message_hub.get_info("timed")
    assert any(isinstance(hook, SyncBuffersHook) for hook in runner.hooks)
    without = Runner.from_cfg(run_config(tmp_path, default_hooks=dict(runtime_info=None)))
    assert not any(isinstance(hook, RuntimeInfoHook) for hook in without.hooks)


def test_the_visualizer_sends_figures_to_the_log_and_images_to_a_folder(tmp_path):
    import cv2

    class Show(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            runner.visualizer.add_scalar("brightness", torch.tensor(batch_idx), step=runner.iter)
            runner.visualizer.add_scalars(dict(contrast=2.0, step=runner.iter))

        def after_train_epoch(self, runner):
            runner.visualizer.add_config(runner.cfg)
            runner.visualizer.add_graph(runner.model, None)
            image = np.zeros((4, 6, 3), np.uint8)
            image[..., 0] = 200
            runner.visualizer.add_image("red", image, step=3)
            runner.visualizer.close()

    trained(tmp_path, epochs=1, custom_hooks=[Show()])
    assert [(line["brightness"], line["contrast"]) for line in lines_of(tmp_path)] == [(0.5, 2.0), (2.5, 2.0)]
    assert cv2.imread(str(tmp_path / "images" / "red_3.png"))[0, 0].tolist() == [0, 0, 200]


def test_a_run_that_nobody_holds_is_let_go_though_its_visualizer_is_still_asked_for(tmp_path):
    def visualizer_of_a_run():
        runner = trained(tmp_path)
        return runner.visualizer, weakref.ref(runner), runner.visualizer.get_backend("Run").experiment is runner

    def is_gone():
        gc.collect()  # does nothing while another thread is collecting
        return run() is None

    visualizer, run, is_given = visualizer_of_a_run()
    assert is_given
    wait_until(is_gone)
    with pytest.raises(ReferenceError, match=r"the run in .* is no longer there: keep its Runner"):
        visualizer.add_scalar("brightness", 1.0)


def test_the_visualizer_is_that_of_the_config_and_knows_the_trackers(tmp_path):
    class Backend(BaseVisBackend):
        def __init__(self, save_dir):
            super().__init__(save_dir)
            self.images = []
            self.graphs = 0

        @property
        def experiment(self):
            return self

        def add_image(self, name, image, step=0, **kwargs):
            self.images.append((name, step))

        def add_graph(self, model, data_batch, **kwargs):
            self.graphs += 1

    class Drawer(Visualizer):
        def add_datasample(self, name, image, data_sample=None, **kwargs):
            self.set_image(image)
            self.add_image(name, self.get_image(), step=1)

    settings = dict(type=Drawer, name="drawer", vis_backends=[dict(type="LocalVisBackend"), dict(type=Backend)])
    runner = Runner.from_cfg(run_config(tmp_path, visualizer=settings))
    assert isinstance(runner.visualizer, Drawer)
    assert Visualizer.get_current_instance() is runner.visualizer
    runner.visualizer.add_datasample("a", np.zeros((4, 6, 3), np.uint8))
    runner.visualizer.add_graph(runner.model, None)
    backend = runner.visualizer.get_backend("Backend").experiment
    assert (backend.images, backend.graphs) == ([("a", 1)], 1)
    assert (tmp_path / "images" / "a_1.png").exists()
    assert runner.visualizer.get_backend("Run").experiment is runner
    assert Runner.from_cfg(run_config(tmp_path, visualizer=runner.visualizer)).visualizer is runner.visualizer
    with pytest.raises(TypeError, match="visualizer must build a Visualizer, got SimpleNamespace"):
        Runner.from_cfg(run_config(tmp_path, visualizer=dict(type=SimpleNamespace)))


# ---- what the runner shows


def test_the_runner_has_the_facts_that_hooks_read(tmp_path):
    config = run_config(tmp_path / "name", test_cfg={}, randomness=dict(seed=3))
    config |= {"test_dataloader": config["val_dataloader"], "test_evaluator": config["val_evaluator"]}
    runner = Runner.from_cfg(config)
    assert (runner.rank, runner.world_size, runner.distributed, runner.launcher) == (0, 1, False, "none")
    assert (runner.experiment_name, runner.model_name, runner.deterministic) == ("name", "ToyModel", False)
    assert f"{runner.log_dir}/x" == str(tmp_path / "name" / "x")
    assert len(runner.timestamp) == 15
    assert runner.timestamp == runner.timestamp
    assert (runner.val_interval, runner.val_begin, dict(runner.train_cfg)) == (1, 1, {"max_epochs": 3})
    assert len(runner.val_evaluator.metrics) == len(runner.test_evaluator.metrics) == 1
    changed = run_config(tmp_path, train_cfg=dict(max_iters=5, val_interval=2, val_begin=3))
    assert (Runner.from_cfg(changed).val_interval, Runner.from_cfg(changed).val_begin) == (2, 3)
    assert Runner.from_cfg(run_config(tmp_path, train_cfg=dict(max_iters=5))).val_interval == 1000


def test_the_runner_builds_parts(tmp_path):
    config = run_config(tmp_path)
    runner = Runner.from_cfg(config)
    assert type(runner.build_model(config["model"])).__name__ == "ToyModel"
    assert runner.build_model(runner.model) is runner.model
    assert runner.build_optim_wrapper(config["optim_wrapper"]).get_lr() == {"lr": [0.1]}
    assert len(runner.build_param_scheduler([dict(type="StepLR", step_size=2)])) == 1
    assert len(runner.build_evaluator(config["val_evaluator"]).metrics) == 1
    assert len(runner.build_dataloader(config["train_dataloader"], seed=1)) == 4
    assert runner.build_val_loop().dataloader is runner.val_dataloader
    assert runner.build_logger() is runner.logger
    assert runner.build_message_hub() is runner.message_hub
    assert runner.build_visualizer() is runner.visualizer
    with pytest.raises(ConfigError, match="there is nothing to evaluate: give test_dataloader"):
        runner.build_test_loop()
    loop = runner.build_train_loop(dict(max_epochs=1))
    assert isinstance(loop, EpochBasedTrainLoop)
    assert runner.build_train_loop(loop) is loop
    runner.train()
    assert runner.build_train_loop(dict(max_epochs=3)).until.epochs == 3


def test_hooks_are_registered_and_listed_by_their_points(tmp_path):
    runner = Runner.from_cfg(run_config(tmp_path, custom_hooks=[dict(type="FreezeStem", freeze_epoch=1)]))
    runner.register_hooks(dict(extra=dict(type="SWA", start=1)), [GradNormHook()])
    runner.register_custom_hooks([dict(type="ModeSwitch")])
    report = runner.get_hooks_info()
    before = report.split("before_train_epoch:")[1].split("---")[0]
    assert before.index("RuntimeInfoHook") < before.index("FreezeStem") < before.index("LoggerHook")
    assert "ModeSwitch" in before
    assert "SWA" not in before
    assert "(HIGHEST     ) ParamSchedulerHook" in report.split("before_train_iter:")[1]
    runner.dump_config()
    assert "max_epochs" in (tmp_path / "config.py").read_text()


# ---- loops of users


@LOOPS.register_module()
class IterLoop(EpochBasedTrainLoop):
    """Overrides `run_iter`, as users write it."""

    def run_iter(self, idx, data_batch):
        self.runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook("after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1


@LOOPS.register_module()
class EpochLoop(IterLoop):
    """Overrides `run_epoch`, too."""

    def run_epoch(self):
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        for idx, data_batch in enumerate(self.dataloader):
            self.run_iter(idx, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1


@LOOPS.register_module()
class SuperLoop(EpochBasedTrainLoop):
    """Adds to both, and counts."""

    epochs = iters = 0

    def run_epoch(self):
        self.epochs += 1
        super().run_epoch()

    def run_iter(self, idx, data_batch):
        self.iters += 1
        super().run_iter(idx, data_batch)
        assert (self._iter, self._epoch) == (self.iter, self.epoch) == (self.runner.iter, self.runner.epoch)


LOOP_SETTINGS = dict(
    optim_wrapper=dict(optimizer=dict(type="AdamW", lr=0.01), accumulative_counts=3),
    custom_hooks=[dict(type="EMAHook", momentum=0.2)],
    default_hooks=dict(logger=dict(interval=1), checkpoint=dict(interval="1steps", max_keep_ckpts=-1)),
)


@pytest.mark.parametrize("kind", ["IterLoop", "EpochLoop", "SuperLoop"])
def test_a_loop_of_the_users_trains_like_ours(tmp_path, kind):
    ours = trained(tmp_path / "ours", **LOOP_SETTINGS)
    own = trained(tmp_path / "own", train_cfg=dict(type=kind, max_epochs=3), **LOOP_SETTINGS)
    assert_same_weights(ours, own)
    for name, average in ours.train_step.ema.averages.items():
        assert torch.equal(average, own.train_step.ema.averages[name]), name
    for split in ("train", "val"):
        assert lines_of(tmp_path / "ours", split) == lines_of(tmp_path / "own", split)
    expected, actual = ours.progress.state_dict(), own.progress.state_dict()
    assert {**expected, "seconds": 0} == {**actual, "seconds": 0}
    assert (own.train_loop.max_epochs, own.train_loop.max_iters) == (own.train_loop._max_epochs, 12) == (3, 12)


@pytest.mark.parametrize("kind", ["IterLoop", "EpochLoop", "SuperLoop"])
@pytest.mark.parametrize("place", [3, 5])
def test_a_loop_of_the_users_resumes_inside_an_epoch(tmp_path, kind, place):
    class Leave(Hook):
        priority = "LOWEST"

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == place:
                raise KeyboardInterrupt

    settings = dict(train_cfg=dict(type=kind, max_epochs=3), **LOOP_SETTINGS)
    whole = trained(tmp_path / "whole", **settings)
    hooks = [*settings["custom_hooks"], Leave()]
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", **{**settings, "custom_hooks": hooks})
    resumed = trained(tmp_path / "cut", resume=True, **settings)
    assert_same_weights(whole, resumed)
    assert lines_of(tmp_path / "whole") == lines_of(tmp_path / "cut")


@LOOPS.register_module()
class BatchLoop(IterBasedTrainLoop):
    """`run_iter` with the batch alone, as in OpenMMLab's loop over iterations."""

    def run_iter(self, data_batch):
        self.seen = getattr(self, "seen", 0) + 1
        super().run_iter(data_batch)


def test_a_loop_over_iterations_may_take_the_batch_alone(tmp_path):
    ours = trained(tmp_path / "ours", train_cfg=dict(max_iters=6, val_interval=2))
    own = trained(tmp_path / "own", train_cfg=dict(type="BatchLoop", max_iters=6, val_interval=2))
    assert own.train_loop.seen == own.train_loop.max_iters == 6
    assert own.train_loop.max_epochs == own.max_epochs == 1
    assert_same_weights(ours, own)
    assert lines_of(tmp_path / "ours", "val") == lines_of(tmp_path / "own", "val")


def test_a_hook_may_ask_for_the_current_visualizer_when_it_is_built(tmp_path):
    """As hooks do that draw samples of the validation."""

    class Drawer(Hook):
        def __init__(self):
            self.visualizer = Visualizer.get_current_instance()

        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            self.visualizer.add_image("sample", np.zeros((4, 6, 3), np.uint8), step=runner.iter)

    config = run_config(tmp_path, epochs=1, custom_hooks=[dict(type=Drawer)], visualizer=dict(type="Visualizer"))
    runner = Runner.from_cfg(config)
    runner.train()
    assert next(hook for hook in runner.hooks if isinstance(hook, Drawer)).visualizer is runner.visualizer
    assert [file.name for file in (tmp_path / "images").iterdir()] == ["sample_4.png"]
