"""Numbers that are not finite, and runs that make no progress: what a run does about them."""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from kinema.datasets import ReproducibleLoader
from kinema.diagnosis import Finding, FiniteGuard, Watchdog, bad_gradients, bad_weights, first_bad_module
from kinema.diagnosis.culprits import WithoutUpdates, random_states, set_random_states
from kinema.diagnosis.reports import CURE, FILE_NAME, Batch, Report, as_data, describe, samples_in, samples_of
from kinema.distributed import gather_objects, get_rank, is_main_process
from kinema.errors import ConfigError, TrainingError
from kinema.hooks.hook import Hook
from kinema.hooks.recording import LoggerHook
from kinema.optim.wrapper import OptimWrapper
from kinema.registry import HOOKS
from kinema.training.run import Run

logger = logging.getLogger("kinema")

HANG_FILE = "hang.txt"
LOW_SCALE, LEAST_SCALE = 1.0, 2.0**-10


class _Place(NamedTuple):
    """Where a batch is, and torch's and Python's random state before it."""

    step: int
    epoch: int
    batch: int
    epoch_samples: int
    random: tuple[Any, ...]


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Stop the training before an update whose loss or gradients are not finite, or leave the update out.

    Named are the step, the process, the samples with their files, the first module whose output is
    not finite, and the last checkpoint, all of whose numbers are finite. `nonfinite.jsonl` in the
    work folder has the samples of the whole update.

    On a CPU each update is looked at. On other devices the updates are harmless from the bad one on
    (that of a fused optimizer is left out; another gets gradients of zero, so that only momentum
    and weight decay act), and the hook looks where the logger logs, and before every checkpoint.

    Args:
        policy: "stop", or "skip": leave out such updates and count them.
        max_skips: stop when there are more.
        is_deferred: look only now and then; default: on all devices but the CPU.

    Raises:
        ConfigError: no such policy.
        TrainingError: a number is not finite.
    """

    priority = 55  # before the logger, validations and checkpoints

    def __init__(
        self, policy: Literal["stop", "skip"] = "stop", max_skips: int = 100, is_deferred: bool | None = None
    ) -> None:
        if policy not in ("stop", "skip"):
            raise ConfigError(f"default_hooks.nonfinite: policy must be 'stop' or 'skip', got {policy!r}")
        if max_skips < 0:
            raise ConfigError(f"default_hooks.nonfinite: max_skips must be 0 or more, got {max_skips}")
        self.policy, self.max_skips, self.is_deferred = policy, max_skips, is_deferred
        self.skipped = 0
        self._has_warned = False
        self._failure: TrainingError | None = None
        self._guards: list[FiniteGuard] = []  # one an optimizer
        self._suspect: tuple[Any, tuple[Any, ...]] = (None, ())
        self._batch = 0  # of this pass, at the border before
        self._step = -1  # updates before the batch that was trained last
        self._has_news = False  # was a batch trained since the last look?

    def before_train(self, runner: Run) -> None:
        step = runner.train_step
        assert step is not None  # there is a training
        self._run, self._optim = runner, step.optim_wrapper
        self._guards = []
        for wrapper in self._optim.wrappers.values():
            wrapper.guard = FiniteGuard(
                wrapper.optimizer,
                runner.device,
                partial(self._on_bad, wrapper),
                leaves_out=self.policy == "skip",
                has_scaler=wrapper.precision.scaler is not None,
                is_deferred=self.is_deferred,
            )
            self._guards.append(wrapper.guard)
        self._interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 20)

    def before_train_iter(self, runner: Run, batch_idx: int, data_batch: Any = None) -> None:
        progress = runner.progress
        if self.policy == "skip" and progress.step != self._step:
            buffers = [buffer for buffer in runner.network.buffers() if buffer.is_floating_point()]
            for guard in self._guards:
                guard.protect(buffers)
        self._step, self._has_news = progress.step, True
        states = random_states(runner.device)
        place = _Place(progress.step, progress.epoch, progress.batch, progress.epoch_samples, states)
        if all(guard.bad_batch < 0 for guard in self._guards):
            self._suspect = (data_batch, states)
        for guard in self._guards:
            guard.place = place

    def at_border(self, runner: Run) -> None:
        batch = runner.progress.batch
        is_due = batch == 0 or batch // self._interval > self._batch // self._interval or runner.train_loop.is_done
        if self._has_news and is_due:
            self._look()
        self._batch = batch

    def before_val(self, runner: Run) -> None:
        if runner.is_training:
            self._look()

    def before_snapshot(self, runner: Run) -> None:
        """A checkpoint has finite numbers only."""
        if self._failure is not None:
            raise self._failure
        self._look()
        names = next((names for names in gather_objects(bad_weights(runner.network)) if names), None)
        if names:
            raise TrainingError(
                f"step {runner.progress.step}: {len(names)} weights or buffers of the model are not finite, the first"
                f" is {names[0]}: no checkpoint is written; {self._last_checkpoint()}; lower the learning rate"
            )

    def _look(self) -> None:
        """What flags on the device say of the updates since the last time."""
        self._has_news = False
        for guard, wrapper in zip(self._guards, self._optim.wrappers.values(), strict=True):
            if guard.is_deferred:
                finding = guard.look()
                self._check_scale(wrapper)
                if finding is not None:
                    self._report(finding)

    def _on_bad(self, wrapper: OptimWrapper, finding: Finding) -> bool:
        """An update is not finite: whether to make it nevertheless, since the scaler leaves it out by itself."""
        guard: Any = wrapper.guard
        if guard.has_scaler and not any(gather_objects(finding.batch >= 0)):
            self._check_scale(wrapper)
            return True
        self._report(finding)
        guard.restore_buffers()
        return bool(guard.has_scaler)

    def _report(self, finding: Finding) -> None:
        """Describe an update, in all processes alike; raise, or count it."""
        runner = self._run
        places: Sequence[_Place] = finding.places or [self._guards[0].place]
        step = places[-1].step + 1
        batches = [self._batch_of(place) for place in places]
        bad = finding.batch
        own = Report(get_rank(), batches, bad, finding.loss, *self._culprits(places[bad] if bad >= 0 else places[-1]))
        reports: list[Report] = gather_objects(own)
        text, checkpoint = describe(reports, step), self._last_checkpoint()
        self.skipped += finding.count if self.policy == "skip" else 0
        if is_main_process():
            line = as_data(reports, step, policy=self.policy, checkpoint=checkpoint)
            with (runner.work_dir / FILE_NAME).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        where = f"all samples of the update: {runner.work_dir / FILE_NAME}"
        if self.policy == "stop":
            self._failure = TrainingError(f"{text}; the update was not made; {checkpoint}; {where}; {CURE}")
        elif self.skipped > self.max_skips:
            self._failure = TrainingError(
                f"{text}; {self.skipped} updates were left out, more than max_skips={self.max_skips} of"
                f" default_hooks.nonfinite; {checkpoint}; {where}"
            )
        if self._failure is not None:
            raise self._failure
        if is_main_process():
            more = f"; {finding.count} such updates since the last look" if finding.count > 1 else ""
            logger.warning("%s; the update was left out (%d so far)%s; %s", text, self.skipped, more, where)

    def _batch_of(self, place: _Place) -> Batch:
        loader = self._run.train_loop.dataloader
        if isinstance(loader, ReproducibleLoader):
            indices = loader.indices_at(place.epoch, place.batch, epoch_samples=place.epoch_samples)
            samples = samples_of(loader.dataset, indices, loader.broken)
        else:
            samples = samples_in(self._suspect[0])
        return Batch(place.epoch + 1, place.batch + 1, samples)

    def _culprits(self, place: _Place) -> tuple[str, list[str]]:
        """The first module with a bad output, by another forward pass, and the parameters with bad gradients."""
        runner, loader, model = self._run, self._run.train_loop.dataloader, self._run.network
        gradients = bad_gradients(model.named_parameters())
        batch, states = self._suspect
        if self._guards[0].is_deferred:
            states = place.random
            if isinstance(loader, ReproducibleLoader):
                indices = loader.indices_at(place.epoch, place.batch, epoch_samples=place.epoch_samples)
                batch = loader.read_batch(place.epoch, indices)

        def forward() -> None:
            if "" not in self._optim.wrappers:  # only its own train_step knows how
                model.train_step(batch, optim_wrapper=WithoutUpdates(self._optim))
                return
            with self._optim.optim_context(model):
                model._run_forward(model.data_preprocessor(batch, True), "loss")

        now = random_states(runner.device)
        set_random_states(states, runner.device)
        try:
            return first_bad_module(model, forward), gradients
        finally:
            set_random_states(now, runner.device)

    def _check_scale(self, wrapper: OptimWrapper) -> None:
        """A scale that keeps falling: the gradients overflow whatever it is."""
        scaler = wrapper.precision.scaler
        scale = scaler.get_scale() if scaler is not None else LOW_SCALE
        if scale >= LOW_SCALE:
            return
        text = (
            f"step {self._run.progress.step + 1}: the scale of the loss fell to {scale:g}: in fp16 gradients overflow"
            " whatever the scale, and these updates are left out; use bf16 or fp32 (--precision), or a lower learning"
            " rate"
        )
        if scale < LEAST_SCALE:
            raise TrainingError(f"{text}; {self._last_checkpoint()}")
        if not self._has_warned and is_main_process():
            logger.warning("%s", text)
        self._has_warned = True

    def _last_checkpoint(self) -> str:
        folder = self._run.store.pointed("last")
        return "there is no checkpoint yet" if folder is None else f"the last finite checkpoint is {folder}"

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.skipped = state["skipped"]


@HOOKS.register_module()
class HangHook(Hook):
    """End a run that makes no progress, and show where all of its threads and loader processes are.

    Progress is a batch of training or validation that is fetched or done, and every byte of a
    checkpoint. The stacks go to stderr and to `hang.txt` in the work folder; then the process ends
    with exit status 1.

    Args:
        timeout: seconds without progress; None: this hook does nothing.

    Raises:
        ConfigError: `timeout` is not above 0.
    """

    priority = "VERY_HIGH"

    def __init__(self, timeout: float | None = None) -> None:
        if timeout is not None and not timeout > 0:
            raise ConfigError(
                f"default_hooks.hang: timeout (--hang-timeout) must be seconds above 0, or None, got {timeout!r}"
            )
        self.timeout = timeout
        self._watchdog: Watchdog | None = None

    def before_run(self, runner: Run) -> None:
        if self.timeout is not None:
            folder = runner.work_dir
            self._watchdog = Watchdog(self.timeout, folder / HANG_FILE, growing=runner.store.folder)
            runner.closing.enter_context(self._watchdog)

    def _note(self, doing: str) -> None:
        if self._watchdog is not None:
            self._watchdog.note(doing)

    def _before_epoch(self, runner: Run, mode: str = "train") -> None:
        self._note(f"waiting for the first batch ({mode})")

    def _before_iter(self, runner: Run, batch_idx: int, data_batch: Any = None, mode: str = "train") -> None:
        self._note(f"computing batch {batch_idx + 1} ({mode})")

    def _after_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = "train"
    ) -> None:
        self._note(f"waiting for batch {batch_idx + 2} ({mode})")

    def _after_epoch(self, runner: Run, mode: str = "train") -> None:
        self._note(f"ending an epoch ({mode})")

    def at_border(self, runner: Run) -> None:
        self._note(f"between two batches, after step {runner.progress.step}")

    def before_save_checkpoint(self, runner: Run, checkpoint: dict[str, Any]) -> None:
        self._note(f"writing a checkpoint, step {runner.progress.step}")
