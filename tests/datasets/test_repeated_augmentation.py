import numpy as np
import pytest
import torch

from kinema.datasets import RepeatAugDataset, VideoDataset, build_dataloader, repeat_pseudo_collate
from kinema.errors import ConfigError, PartArgumentError
from kinema.registry import DATASETS, TRANSFORMS
from kinema.transforms import BaseTransform, DecodeVideo

OPEN = dict(type="DecordInit")
SAMPLE = dict(type="SampleFrames", clip_len=2, frame_interval=3, num_clips=1)
DECODE = dict(type="DecordDecode")
PACK = [dict(type="FormatShape", input_format="NCTHW"), dict(type="PackActionInputs", meta_keys=("frame_inds", "mark"))]


@TRANSFORMS.register_module()
class MarkInPlace(BaseTransform):
    """Writes a random number into the first frame's first pixel, in place."""

    def transform(self, results):
        results["mark"] = int(np.random.randint(256))
        results["imgs"][0][0, 0] = results["mark"]
        return results


@TRANSFORMS.register_module()
class RejectSometimes(BaseTransform):
    def transform(self, results):
        return None if np.random.rand() < 0.3 else results


class CountingDecode(DecodeVideo):
    calls = 0

    def transform(self, results):
        type(self).calls += 1
        return super().transform(results)


PIPELINE = [OPEN, SAMPLE, DECODE, dict(type="MarkInPlace"), *PACK]


@pytest.fixture
def list_file(make_video, tmp_path):
    for number in range(3):
        make_video(tmp_path / f"clip{number}.mp4", num_frames=30)
    file = tmp_path / "train.txt"
    file.write_text("".join(f"clip{number}.mp4 {number}\n" for number in range(3)))
    return file


def dataset_of(list_file, pipeline=PIPELINE, **options):
    return RepeatAugDataset(str(list_file), pipeline, dict(video=str(list_file.parent)), **options)


def frames_of(sample):
    return sample["data_samples"].frame_inds.tolist()


@pytest.mark.parametrize("num_repeats", [1, 4])
def test_a_video_gives_several_samples_that_differ(list_file, grey_level, num_repeats):
    np.random.seed(0)
    samples = dataset_of(list_file, num_repeats=num_repeats)[1]
    assert len(samples) == num_repeats
    for sample in samples:
        assert sample["data_samples"].gt_label.tolist() == [1]
        pixels = sample["inputs"][0, :, :, 20, 20]  # (3, T)
        expected = torch.tensor([grey_level(index) for index in frames_of(sample)]).expand(3, -1)
        assert (pixels.int() - expected).abs().max() <= 2, "the frames that were sampled for this repeat"
        assert (sample["inputs"][0, :, 0, 0, 0] == sample["data_samples"].mark).all()
    if num_repeats > 1:
        assert len({tuple(frames_of(sample)) for sample in samples}) > 1
        assert len({sample["data_samples"].mark for sample in samples}) > 1


def test_frames_may_be_sampled_once_and_still_no_pixels_are_shared(list_file):
    np.random.seed(0)
    samples = dataset_of(list_file, num_repeats=3, sample_once=True)[0]
    assert len({tuple(frames_of(sample)) for sample in samples}) == 1
    marks = [sample["data_samples"].mark for sample in samples]
    assert len(set(marks)) == 3
    assert [int(sample["inputs"][0, 0, 0, 0, 0]) for sample in samples] == marks
    assert torch.equal(samples[0]["inputs"][..., 1:, 1:], samples[2]["inputs"][..., 1:, 1:])


@pytest.mark.parametrize("sample_once", [True, False])
def test_a_video_is_decoded_once(list_file, sample_once):
    CountingDecode.calls = 0
    dataset = dataset_of(list_file, [OPEN, SAMPLE, CountingDecode(), *PACK], sample_once=sample_once)
    assert len(dataset[0]) == 4
    assert CountingDecode.calls == 1


def test_one_repeat_is_what_the_plain_dataset_gives(list_file):
    np.random.seed(3)
    repeated = dataset_of(list_file, num_repeats=1)[2][0]
    np.random.seed(3)
    plain = VideoDataset(str(list_file), PIPELINE, dict(video=str(list_file.parent)))[2]
    assert torch.equal(repeated["inputs"], plain["inputs"])
    assert frames_of(repeated) == frames_of(plain)


def test_batches_are_flat_and_a_function_of_seed_epoch_and_index(list_file):
    def batches(num_workers, **options):
        loader = build_dataloader(
            dict(dataset=dataset_of(list_file, num_repeats=2), batch_size=2, num_workers=num_workers, **options), seed=4
        )
        return [
            [(frames_of(dict(data_samples=one)), one.mark, int(one.gt_label)) for one in batch["data_samples"]]
            for _ in range(2)
            for batch in loader
        ]

    alone = batches(0)
    assert [len(batch) for batch in alone] == [4, 2, 4, 2]
    assert [label for _, _, label in alone[0]][::2] == [label for _, _, label in alone[0]][1::2], (
        "repeats stay together"
    )
    assert alone == batches(2)
    assert alone == batches(0, collate_fn=dict(type="repeat_pseudo_collate"))
    assert alone[:2] != alone[2:]


def test_the_collate_function_takes_plain_samples_too():
    batch = repeat_pseudo_collate([[{"inputs": 1}, {"inputs": 2}], {"inputs": 3}])
    assert batch == {"inputs": [1, 2, 3]}


def test_a_rejected_repeat_rejects_the_video_and_another_takes_its_place(list_file):
    np.random.seed(0)
    for place in (1, 2, 3):
        pipeline = list(PIPELINE)
        pipeline.insert(place, dict(type="RejectSometimes"))
        samples = dataset_of(list_file, pipeline, num_repeats=2)[0]
        assert len(samples) == 2
        assert all(sample is not None for sample in samples)


@pytest.mark.parametrize(
    "pipeline",
    [
        [],
        [dict(type="RawFrameDecode"), *PACK],
        [OPEN, SAMPLE],
        [DECODE, OPEN],
        [OPEN, SAMPLE, DECODE, DECODE],
    ],
)
def test_a_pipeline_that_does_not_open_and_decode_is_refused(list_file, pipeline):
    with pytest.raises(ConfigError, match=r"must open the video once .* decode it once .*, got (\w+|no transforms)"):
        dataset_of(list_file, pipeline)


def test_wrong_arguments_are_named(list_file):
    with pytest.raises(ValueError, match="num_repeats must be at least 1, got 0"):
        dataset_of(list_file, num_repeats=0)
    with pytest.raises(TypeError, match=r"RepeatAugDataset\S+ got an unexpected keyword argument 'multiclass'"):
        dataset_of(list_file, multiclass=True)
    with pytest.raises(PartArgumentError, match="has no keyword 'num_repeat' .did you mean num_repeats"):
        DATASETS.build(dict(type="RepeatAugDataset", ann_file=str(list_file), num_repeat=2))
    assert dataset_of(list_file, num_classes=7).num_classes == 7
