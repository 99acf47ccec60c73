import torch

from kinema.datasets.broken import BrokenSample
from kinema.diagnosis import Batch, Report, Sample, describe
from kinema.diagnosis.reports import SHOWN, as_data, samples_in, samples_of
from kinema.structures import ActionDataSample


class Videos:
    def get_data_info(self, index):
        return {"filename": f"{index}.mp4"}


BATCHES = [Batch(1, 3, [Sample(5, "a.mp4"), Sample(7, "sample 7")]), Batch(1, 4, [Sample(None, "b.mp4")])]


def test_samples_have_the_names_of_their_files_and_broken_ones_those_that_took_their_place():
    broken = [BrokenSample(2, "2.mp4", "is broken", replaced_by=3), BrokenSample(9, "9.mp4", "is broken")]
    assert samples_of(Videos(), [1, 2], broken) == [Sample(1, "1.mp4"), Sample(3, "3.mp4")]
    assert samples_of([1, 2], [1]) == [Sample(1, "sample 1")]


def test_a_batch_names_its_samples_where_the_loader_does_not():
    named = [ActionDataSample(metainfo={"video_id": 12}), ActionDataSample(metainfo={"filename": "a.mp4", "fps": 3})]
    batch = {"inputs": torch.zeros(2), "data_samples": [*named, ActionDataSample()]}
    assert samples_in((batch,)) == [Sample(None, "12"), Sample(None, "a.mp4")]


def test_a_loss_is_described_with_its_batch_and_process():
    report = Report(0, BATCHES, 0, float("nan"), "M", ["w"])
    assert describe([report], 12) == (
        "step 12: the loss is not finite (nan): batch 3 of epoch 1, samples 5 (a.mp4), 7; M"
    )
    other = Report(1, BATCHES, 1, None, "N")
    assert describe([Report(0, BATCHES), other], 12) == (
        "step 12: the loss is not finite on process 1: batch 4 of epoch 1, samples b.mp4; N"
    )
    assert "(nan) on process 0: batch 3 of epoch 1, samples 5 (a.mp4), 7, and on 1 other processes" in describe(
        [report, other], 12
    )


def test_gradients_are_described_with_the_last_parameter_of_the_model():
    report = Report(0, BATCHES, -1, None, "M", ["a", "b"])
    assert describe([report], 3) == (
        "step 3: the losses are finite, but gradients are not: batch 4 of epoch 1, samples b.mp4; 2 parameters have"
        " such gradients, the last is b; M"
    )
    assert describe([Report(0, BATCHES, module="M")], 3).endswith("samples b.mp4; M")


def test_a_long_batch_is_cut_in_the_line_and_whole_in_the_file():
    samples = [Sample(place, f"{place}.mp4") for place in range(SHOWN + 3)]
    report = Report(0, [Batch(1, 1, samples)], 0, float("inf"), "M", ["w"])
    assert describe([report], 1).endswith(f"{SHOWN - 1} ({SHOWN - 1}.mp4) and 3 more; M")
    line = as_data([report], 1, policy="stop")
    assert [sample["index"] for sample in line["processes"][0]["batches"][0]["samples"]] == list(range(SHOWN + 3))
    assert (line["policy"], line["processes"][0]["loss"]) == ("stop", "inf")
    assert "gradients" not in line["processes"][0]  # all of them are of that loss
    assert as_data([Report(0, BATCHES, gradients=["w"])], 1)["processes"][0]["gradients"] == ["w"]
