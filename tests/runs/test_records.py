import json

import pytest
import torch

from kinema.runs.records import Averages, MetricsFile, format_figures, without_repetition


def test_averages_mean_what_was_added_since_the_last_time():
    averages = Averages()
    averages.add({"loss": torch.tensor(1.0), "acc": 0.5})
    averages.add({"loss": torch.tensor(3.0)})
    assert averages.take() == {"loss": 2.0, "acc": 0.5}
    assert averages.take() == {}


def test_the_learning_rate_is_shown_with_its_magnitude():
    assert format_figures({"loss": 0.51234, "lr": 0.00123}) == "loss 0.5123  lr 1.23e-03"


def test_metrics_file_writes_json_and_forgets_what_a_resumed_run_makes_again(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.load_state_dict({"lines": 1})  # nothing there yet
    for step in (2, 4):
        state = file.state_dict()
        file.write(step=step, epoch=1, split="train", figures={"loss": float("nan")}, seconds=1.23456)
    assert json.loads(file.path.read_text().splitlines()[0]) == {
        "step": 2,
        "epoch": 1,
        "split": "train",
        "loss": None,
        "seconds": 1.235,
    }
    with file.path.open("a") as handle:
        handle.write('{"step": 6, "epo')  # cut off when the process was killed
    assert state == {"lines": 1}
    file.load_state_dict(state)
    assert [line["step"] for line in file.read()] == [2]


def test_lines_that_another_start_wrote_are_counted_once(tmp_path):
    first = MetricsFile(tmp_path / "metrics.jsonl")
    for step in (1, 2):
        first.write(step=step, epoch=1, split="train", figures={}, seconds=1)
    file = MetricsFile(first.path)
    assert file.state_dict() == {"lines": 2}
    file.write(step=3, epoch=1, split="train", figures={}, seconds=1)
    assert file.state_dict() == {"lines": 3}
    file.load_state_dict({"lines": 1})
    assert file.state_dict() == MetricsFile(first.path).state_dict() == {"lines": 1}


@pytest.mark.parametrize(
    ("figures", "names"),
    [
        (("loss", "top1_acc", "loss_cls", "lr"), ["loss", "top1_acc", "lr"]),
        (("loss", "loss_cls", "loss_aux"), ["loss", "loss_cls", "loss_aux"]),
        (("loss_cls", "lr"), ["loss_cls", "lr"]),
        (("loss",), ["loss"]),
    ],
)
def test_a_loss_of_one_part_is_shown_once(figures, names):
    assert list(without_repetition(dict.fromkeys(figures, 0.5))) == names


def test_averages_that_were_put_back_in_between_are_the_same_to_the_bit():
    whole, first, second = Averages(), Averages(), Averages()
    values = [{"loss": torch.rand(())} for _ in range(1_500)]
    for figures in values:
        whole.add(figures)
    for figures in values[:17]:
        first.add(figures)
    second.load_state_dict(first.state_dict())
    for figures in values[17:]:
        second.add(figures)
    assert whole.means() == second.means()


def test_averages_of_several_lines_make_those_of_a_pass():
    line, whole = Averages(), Averages()
    for values in ((1.0, 2.0), (6.0,)):
        for value in values:
            line.add({"loss": torch.tensor(value, dtype=torch.bfloat16), "acc": value})
        whole.include(line)
        line.take()
    assert whole.take() == {"loss": 3.0, "acc": 3.0}


def test_a_figure_that_a_model_changes_in_place_counts_as_it_was():
    averages, temperature = Averages(), torch.tensor(1.0)
    for _ in range(3):
        averages.add({"temperature": temperature})
        temperature += 1
    assert averages.take() == {"temperature": 2.0}
