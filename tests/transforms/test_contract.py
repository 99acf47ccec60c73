from kinema.transforms import Compose, OpenVideo
from kinema.transforms.contract import join_pipeline, split_pipeline

SAMPLING = [{"type": "SampleFrames", "clip_len": 4, "test_mode": True}]
PREPROCESSING = [{"type": "Resize", "scale": (-1, 32)}, {"type": "FormatShape", "input_format": "NCTHW"}]


def test_a_pipeline_splits_at_opening_and_decoding():
    for opening, decoding in (
        ("DecordInit", "DecordDecode"),
        ("mmaction.PyAVInit", "PyAVDecode"),
        ("OpenVideo", "DecodeVideo"),
    ):
        pipeline = [{"type": opening}, *SAMPLING, {"type": decoding}, *PREPROCESSING]
        assert split_pipeline(pipeline) == (SAMPLING, PREPROCESSING)


def test_a_joined_pipeline_splits_into_the_same_parts_and_builds():
    joined = join_pipeline(SAMPLING, PREPROCESSING)
    assert split_pipeline(joined) == (SAMPLING, PREPROCESSING)
    assert len(Compose(joined).transforms) == 5


def test_other_pipelines_are_not_split():
    assert split_pipeline([OpenVideo(), *SAMPLING]) is None
    assert split_pipeline([{"type": "DecodeVideo"}, {"type": "OpenVideo"}]) is None
    assert split_pipeline([{"type": lambda sample: sample}]) is None
