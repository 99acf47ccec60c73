"""The whole config of a run is checked before anything is built."""

from pathlib import Path

import pytest

import kinema.engine  # noqa: F401  # registers loops and hooks
from kinema.config import Config
from kinema.config.checking import check_parts, problems_of
from kinema.engine.plan import DEFAULT_TYPES, SECTIONS
from kinema.errors import ConfigError, ConfigProblemsError, RegistryError

TEXT = """\
model = dict(
    type="Recognizer2D",
    backbone=dict(type="ResNet", depht=50),
    cls_head=dict(type="TSNHed", num_classes=4, in_channels=2048))
train_dataloader = dict(
    batch_size=2, workers=2,
    sampler=dict(type="DefaultSampler", shufle=True),
    dataset=dict(
        type="VideoDataset", ann_file="list.txt",
        pipeline=[
            dict(type="DecordInit"),
            dict(type="SampleFrames", clip_len="eight"),
            dict(type="Resise", scale=(-1, 256))]))
optim_wrapper = dict(optimizer=dict(type="SGDD", lr=0.1), constructor="NoConstructor", paramwise_cfg=dict(a=1))
param_scheduler = [dict(type="LinearLR", start_facto=0.1, by_epoch=True, convert_to_iter_based=True)]
default_hooks = dict(checkpoint=dict(intervall=1))
custom_hooks = [dict(type="NoHook", priority="LOW")]
val_evaluator = dict(type="AccMetric", metric_option=dict())
variable = dict(type="Nothing that is looked up")
"""

VIDEOS = {"type": "VideoDataset", "ann_file": "list.txt", "pipeline": [{"type": "DecordInit"}]}


def read(folder: Path, text: str) -> Config:
    (folder / "run.py").write_text(text)
    return Config.fromfile(folder / "run.py")


def test_all_unknown_parts_and_keywords_are_named_at_once_with_their_lines(tmp_path: Path) -> None:
    config = read(tmp_path, TEXT)
    config.merge_from_dict({"model.backbone.wrong": 1})
    with pytest.raises(ConfigProblemsError, match="^the config has 13 problems:\n") as caught:
        check_parts(config, DEFAULT_TYPES)
    problems = [line.replace(f"{tmp_path.resolve()}/", "") for line in caught.value.problems]
    assert problems == [
        "run.py:3: model.backbone: ResNet has no keyword 'depht' (did you mean depth?)",
        "command line: model.backbone: ResNet has no keyword 'wrong'" + problems[1].partition("'wrong'")[2],
        "run.py:4: model.cls_head: TSNHed is not in the model registry: did you mean TSNHead or TSMHead or TRNHead?"
        " (one of your own is imported by custom_imports)",
        "run.py:14: optim_wrapper.optimizer: SGDD is not in the optimizer registry: did you mean SGD or ASGD?"
        " (one of your own is imported by custom_imports)",
        "run.py:14: optim_wrapper.constructor: NoConstructor is not in the optim wrapper constructor registry"
        + problems[4].partition("registry")[2],
        "run.py:15: param_scheduler.0: LinearLR has no keyword 'start_facto' (did you mean start_factor?)",
        "run.py:18: val_evaluator: AccMetric has no keyword 'metric_option' (did you mean metric_options?)",
        "run.py:16: default_hooks.checkpoint: CheckpointHook has no keyword 'intervall' (did you mean interval?)",
        "run.py:17: custom_hooks.0: NoHook is not in the hook registry" + problems[8].partition("registry")[2],
        "run.py:7: train_dataloader.sampler: DefaultSampler has no keyword 'shufle' (did you mean shuffle?)",
        "run.py:12: train_dataloader.dataset.pipeline.1.clip_len must be a number, got 'eight'",
        "run.py:13: train_dataloader.dataset.pipeline.2: Resise is not in the transform registry:"
        " did you mean Resize?" + problems[11].partition("Resize?")[2],
        "run.py:6: train_dataloader: a data loader has no keyword 'workers' (did you mean num_workers?)",
    ]


def test_one_problem_is_one_line(tmp_path: Path) -> None:
    config = read(tmp_path, 'model = dict(\n    type="Recogniser2D")\n')
    with pytest.raises(
        ConfigError, match=r"^/.*run\.py:2: model: Recogniser2D is not in the model .* Recognizer2D"
    ) as caught:
        check_parts(config)
    assert not isinstance(caught.value, ConfigProblemsError)
    with pytest.raises(ConfigError, match=r"^model: Recogniser2D is not in the model"):
        check_parts(config.to_dict())  # which comes from no file


def test_parts_that_are_there_are_no_problem(tmp_path: Path) -> None:
    class Own:
        def __init__(self, **anything: int) -> None: ...

    config = {
        "model": {
            "type": "mmaction.Recognizer3D",
            "backbone": {"type": "torchvision.resnet18", "anything": 1},
            "neck": {"type": Own, "size": 3},
            "cls_head": {
                "type": "I3DHead",
                "num_classes": 4,
                "in_channels": 512,
                "init_cfg": {"type": "Normal", "std": 0.1},
            },
            "data_preprocessor": {"type": "ActionDataPreprocessor", "format_shape": "NCTHW"},
            "extra": {"norm_cfg": {"type": "BN3d", "requires_grad": True}},
        },
        "train_dataloader": {"dataset": {"type": "RepeatDataset", "times": 2, "dataset": VIDEOS}},
        "optim_wrapper": {"optimizer": {"type": "AdamW", "lr": 0.1}},
    }
    problems = list(problems_of(config, DEFAULT_TYPES))
    assert [problem.path for problem in problems] == ["model.extra"]


def test_parts_of_mmaction2_that_are_not_there_yet_are_one_line(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """\
model = dict(
    type="RecognizerGCN", backbone=dict(type="STGCN", graph_cfg=dict(mode="stgcn_spatial")),
    cls_head=dict(type="GCNHead"), train_cfg=dict(sampler=dict(type="OfAnotherProject")))
train_dataloader = dict(dataset=dict(type="PoseDataset", pipeline=[dict(type="PoseDecode")]))
val_dataloader = dict(dataset=dict(type="mmaction.PoseDataset", pipeline=[dict(type="PoseDecode")]))
""",
    )
    with pytest.raises(
        RegistryError,
        match=r"run\.py:2: model: RecognizerGCN, STGCN, GCNHead, PoseDataset, PoseDecode of MMAction2"
        r" are not in Kinema yet \(skeletons\): docs/compat\.md says what there is$",
    ):
        check_parts(config, DEFAULT_TYPES)
    config.merge_from_dict({"optim_wrapper": {"optimizer": {"type": "SGDD"}}})
    with pytest.raises(ConfigProblemsError, match=r"^the config has 2 problems:\n.*GCNHead, .*\n.*SGDD is not in"):
        check_parts(config, DEFAULT_TYPES)


SECTIONS_TEXT = """\
_base_ = "base.py"
train_dataloder = dict(batch_size=4)
train_dataloader = dict(
    batch_size="four",
    num_worker=2,
    sampler=[dict(type="DefaultSampler")],
    dataset=dict(type="VideoDataset", pipeline=[[dict(type="DecordInit")], dict(clip_len=8)]))
optim_wrapper = dict(
    optimizer=dict(lr=0.1),
    clip_grad=dict(max_nrom=40),
    paramwise_cfg=dict(norm_decay_mul=0.0))
default_hooks = dict(chekpoint=dict(type="CheckpointHook", interval=1), other=dict(interval=1))
train_cfg = dict(max_epoch=3)
randomness = dict(sed=1)
env_cfg = dict(dist_cfg=dict(bakend="nccl"))
custom_hooks = dict(type="EMAHook")
"""


def test_wrong_keys_kinds_and_places_of_a_whole_run_are_named_at_once(tmp_path: Path) -> None:
    model = 'dict(type="Recognizer2D", backbone=dict(type="ResNet", depth=50), cls_head=dict(type="TSNHead"))'
    (tmp_path / "base.py").write_text(f"model = {model}\n")
    config = read(tmp_path, SECTIONS_TEXT)
    with pytest.raises(ConfigProblemsError) as caught:
        check_parts(config, DEFAULT_TYPES, SECTIONS)
    folder = f"{tmp_path.resolve()}/"
    beginnings = [
        problem.replace(folder, "").partition("; ")[0].partition("? ")[0] for problem in caught.value.problems
    ]
    assert beginnings == [
        "run.py:2: the config's key 'train_dataloder' is not known: did you mean train_dataloader",
        "run.py:16: custom_hooks must be a list such as [dict(type='EMAHook')], got ConfigDict: {'type': 'EMAHook'}",
        "run.py:10: optim_wrapper.clip_grad has no 'max_nrom': did you mean max_norm?",
        "run.py:13: train_cfg has no 'max_epoch': did you mean max_epochs?",
        "run.py:14: randomness has no 'sed': did you mean seed?",
        "run.py:15: env_cfg.dist_cfg has no 'bakend': did you mean backend?",
        "run.py:12: default_hooks has no 'chekpoint': did you mean checkpoint?",
        beginnings[7],
        "base.py:1: model.cls_head: TSNHead needs num_classes, in_channels",
        "run.py:9: optim_wrapper.optimizer needs 'type', such as type='SGD'",
        "run.py:11: optim_wrapper.paramwise_cfg has no key 'norm_decay_mul': did you mean norm_decay_mult?",
        "run.py:6: train_dataloader.sampler must be a dict such as dict(type='DefaultSampler'), got list: [{'type':"
        " 'DefaultSampler'}]",
        "run.py:7: train_dataloader.dataset: VideoDataset needs ann_file",
        "run.py:7: train_dataloader.dataset.pipeline.0 must be a dict such as dict(type='Resize'), got list: [{'type':"
        " 'DecordInit'}]",
        "run.py:7: train_dataloader.dataset.pipeline.1 needs 'type', such as type='Resize'",
        "run.py:5: train_dataloader: a data loader has no keyword 'num_worker' (did you mean num_workers?)",
        "run.py:4: train_dataloader.batch_size must be a number, got 'four'",
    ]
    assert beginnings[7].startswith("run.py:12: default_hooks.other needs 'type': the hooks that every run has are ")
