"""Which epoch is best, when a run stops, and what it warns of: from its figures alone."""

import json

import pytest
from toy_run import run_config

from kinema.engine import Runner, SummaryNotesHook
from kinema.errors import ConfigError
from kinema.evaluation import BaseMetric
from kinema.hooks import PatienceHook
from kinema.runs.history import (
    Monitor,
    check_history,
    rank_of_last,
    summary_of,
    trailing_mean,
    training_warnings,
    validations_without_gain,
)
from kinema.runs.records import format_validation


def history_of(accuracies, losses=None, train=None):
    losses = losses or [None] * len(accuracies)
    return [
        {
            "epoch": place + 1,
            "step": 10 * (place + 1),
            "train": {} if train is None else {"top1_acc": train[place]},
            "val": {"acc/top1": accuracy, **({} if loss is None else {"loss": loss})},
        }
        for place, (accuracy, loss) in enumerate(zip(accuracies, losses, strict=True))
    ]


def best_epochs(accuracies, losses=None, **settings):
    """The epoch that is best after each validation."""
    rule = Monitor("acc/top1", **settings)
    history, best, chosen = history_of(accuracies, losses), {}, []
    for place, entry in enumerate(history):
        if rule.improves(history[: place + 1], best):
            best = {"metric": "acc/top1", "value": entry["val"]["acc/top1"]}
            best |= {"epoch": entry["epoch"], "step": entry["step"]}
        chosen.append(best["epoch"])
    return chosen


def test_a_lucky_epoch_is_not_the_best_of_a_smoothed_run() -> None:
    accuracies = [0.3, 0.5, 0.9, 0.5, 0.6, 0.7, 0.7, 0.7]
    assert best_epochs(accuracies) == [1, 2, 3, 3, 3, 3, 3, 3]  # the original's rule: the first of the highest
    assert best_epochs(accuracies, smooth=3) == [1, 2, 3, 4, 5, 5, 7, 8]  # of equal means the later


def test_slowly_the_smoothed_best_is_the_last_of_the_highest_means() -> None:
    accuracies = [0.2, 0.8, 0.4, 0.6, 0.6, 0.6, 0.5, 0.7, 0.6, 0.6]
    means = {end: round(sum(accuracies[end - 3 : end]) / 3, 9) for end in range(3, len(accuracies) + 1)}
    highest = max(means.values())
    assert best_epochs(accuracies, smooth=3)[-1] == max(end for end, mean in means.items() if mean == highest)


def test_of_equal_means_the_lower_loss_is_better_then_the_later_epoch() -> None:
    assert (
        best_epochs([0.5] * 6, [1.0, 1.0, 1.0, 0.4, 1.0, 1.0], smooth=3)[-1] == 6
    )  # epochs 4 to 6 have the same mean loss
    assert best_epochs([0.5] * 6, [1.0, 0.4, 1.0, 1.0, 1.0, 1.0], smooth=3)[-1] == 4
    assert best_epochs([0.5] * 4, smooth=3) == [1, 2, 3, 4]


def test_a_lower_metric_may_be_the_better_one() -> None:
    rule = Monitor("acc/top1", "less", 2)
    history = history_of([0.5, 0.3, 0.3, 0.9])
    assert rule.improves(history[:3], {"value": 0.3, "step": 20})
    assert not rule.improves(history, {"value": 0.3, "step": 30})
    assert rank_of_last(history, "acc/top1", 2, is_less=True) == (-0.6, 0.0)
    with pytest.raises(KeyError, match="acc/other"):
        rank_of_last(history, "acc/other", 2)


def test_a_resumed_run_may_choose_its_best_by_another_metric() -> None:
    history = [*history_of([0.5, 0.3, 0.9]), {"epoch": 4, "step": 40, "train": {}, "val": {"loss": 0.2}}]
    best = {"metric": "acc/top1", "value": 0.9, "step": 30}
    assert Monitor("loss").improves(history, best)
    assert Monitor("loss", smooth=2).improves(history, best)


@pytest.mark.parametrize(
    "entry",
    [3, {"epoch": 1, "step": 2}, {"epoch": "1", "step": 2, "train": {}, "val": {}}]
    + [{"epoch": 1, "step": 2, "train": {}, "val": val} for val in (True, {3: 0.5}, {"acc/top1": "high"})],
)
def test_what_is_no_history_is_refused(entry) -> None:
    check_history([{"epoch": 1, "step": 2, "train": {"loss": 0.1}, "val": {"acc/top1": 0.5, "loss": None}}])
    with pytest.raises(ValueError, match="a validation of the history is"):
        check_history([entry])


@pytest.mark.parametrize("smooth", [0, "3", 1.5])
def test_the_number_to_average_over_is_checked(smooth) -> None:
    with pytest.raises(ConfigError, match="smooth must be a number of validations from 1, got"):
        Monitor(smooth=smooth)


def test_a_run_is_flat_when_neither_accuracy_nor_loss_improves() -> None:
    assert validations_without_gain(history_of([0.2, 0.4, 0.6]), "acc/top1", 1) == 0
    assert validations_without_gain(history_of([0.2, 0.6, 0.6, 0.5]), "acc/top1", 1) == 2
    assert validations_without_gain(history_of([0.6] * 4, [1.0, 0.9, 0.8, 0.7]), "acc/top1", 1) == 0
    assert validations_without_gain(history_of([0.6] * 4, [1.0, 0.999, 0.998, 0.997]), "acc/top1", 1) == 3
    # A lucky validation among bad ones is no gain.
    assert validations_without_gain(history_of([0.6, 0.6, 0.6, 0.5, 0.8, 0.4]), "acc/top1", 3) == 1
    assert trailing_mean(history_of([0.6, 0.2]), "loss", 2) is None


def test_a_network_that_learns_by_heart_is_named() -> None:
    history = history_of([0.6, 0.7, 0.7], [0.9, 0.8, 0.9], train=[0.7, 0.95, 1.0])
    for entry in history:
        entry["val"] |= {"acc/top1_low": 0.65, "acc/top1_high": 0.76, "num_clips": 200}
    best = {"metric": "acc/top1", "value": 0.7, "epoch": 3, "step": 30}
    (sentence,) = training_warnings(history, best)
    assert sentence.startswith("the network learns the training clips by heart: 100.0% of them are right")
    history[-1]["train"]["top1_acc"] = 0.75
    assert list(training_warnings(history, best)) == []
    history[-1]["val"]["loss"] = 1.6
    (sentence,) = training_warnings(history, best)
    assert sentence.startswith("the network overfits: the loss on the validation clips rose from 0.80 to 1.60")


def test_a_figure_on_few_clips_and_one_that_was_chosen_among_many_are_named() -> None:
    history = history_of([0.7, 0.875, 0.7])
    for entry in history:
        entry["val"] |= {"acc/top1_low": 0.69, "acc/top1_high": 0.957, "num_clips": 24}
    few, chosen = training_warnings(history, {"metric": "acc/top1", "value": 0.875, "epoch": 2, "step": 20})
    assert few.startswith(
        "the accuracy stands on 24 validation clips: on others of their kind it may be anything from 69.0%"
    )
    assert chosen.startswith("the best of 3 validations was chosen by these same clips, and is 17.5% above the last")
    assert list(training_warnings(history, {"metric": "loss", "epoch": 2, "step": 20})) == []


def test_the_summary_says_what_a_figure_stands_on() -> None:
    history = history_of([0.7, 0.875, 0.7])
    history[1]["val"] |= {"acc/top1_low": 0.69, "acc/top1_high": 0.957, "num_clips": 24, "num_sources": 8}
    found = summary_of(
        history, {"metric": "acc/top1", "value": 0.875, "epoch": 2, "step": 20, "checkpoint": "step_00000020"}
    )
    assert (found["best"]["value"], found["best"]["interval"]) == (0.875, [0.69, 0.957])
    assert (found["best"]["num_clips"], found["best"]["num_sources"]) == (24, 8)
    assert (found["final"]["value"], found["final"]["epoch"], found["validations"]) == (0.7, 3, 3)
    assert summary_of([], {}) == {"best": {}, "final": {}, "train": {}, "validations": 0, "warnings": []}


def test_the_console_shows_the_interval_beside_the_accuracy() -> None:
    figures = {
        "acc/top1": 0.875,
        "acc/top1_low": 0.69,
        "acc/top1_high": 0.957,
        "loss": 0.5,
        "num_clips": 24,
        "num_sources": 8,
    }
    assert format_validation(figures) == "acc/top1 0.8750 (0.69 to 0.96, 24 clips)  loss 0.5000"
    assert format_validation({"acc/top1": 0.5}) == "acc/top1 0.5000"


def test_patience_is_a_number_of_validations() -> None:
    with pytest.raises(ValueError, match="patience must be a number of validations from 1, or None, got 0"):
        PatienceHook(0)


class Constant(BaseMetric):
    """As good after every epoch."""

    def process(self, data_batch, data_samples):
        self.results += [0] * len(data_samples)

    def compute_metrics(self, results):
        return {"acc/top1": 0.5}


def test_a_flat_run_stops_early_and_a_resumed_one_stays_stopped(tmp_path) -> None:
    def run(**changes):
        config = run_config(tmp_path, epochs=30, val_evaluator=Constant())
        config["train_cfg"] |= {"patience": 2, **changes.pop("train_cfg", {})}
        config["default_hooks"] = {"checkpoint": {"interval": 1000, "save_best": "acc/top1", "smooth": 2}}
        config["custom_hooks"] = [SummaryNotesHook({"data": {"layout": "made"}})]
        runner = Runner.from_cfg(config | changes)
        runner.train()
        return runner

    run()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["epochs"] == 4  # the first two are the first mean, then twice no better
    assert summary["stopped_early"]
    assert summary["data"] == {"layout": "made"}
    assert (summary["best"]["smoothed"], summary["best"]["epoch"]) == (0.5, 4)
    assert (tmp_path / "checkpoints" / "last").read_text() == "step_00000016\n"
    resumed = run(resume=True)
    assert resumed.epoch == 4
    assert [entry["epoch"] for entry in resumed.history] == [1, 2, 3, 4]
    longer = run(resume=True, train_cfg={"patience": None, "max_epochs": 5})
    assert longer.epoch == 5
    assert not json.loads((tmp_path / "summary.json").read_text())["stopped_early"]
