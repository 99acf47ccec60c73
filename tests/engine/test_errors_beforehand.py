"""What a user gets wrong is one line, before the training begins where it can be known."""

import pytest
from toy_run import ToyModel, run_config

from kinema.engine import Hook, Runner
from kinema.errors import CheckpointError, ConfigError
from kinema.evaluation import AccMetric, BaseMetric, Evaluator
from kinema.registry import METRICS


class Trains(Hook):
    def before_train(self, runner):
        raise AssertionError("the training began")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            dict(default_hooks=dict(checkpoint=dict(save_best="f1"))),
            r"^save_best='f1' is no metric of the evaluation: it has acc/top1, acc/mean1$",
        ),
        (
            dict(custom_hooks=[dict(type="EarlyStoppingHook", monitor="loss", strict=True), Trains()]),
            r"^EarlyStoppingHook: monitor='loss' is no metric of the evaluation: it has acc/top1, acc/mean1$",
        ),
    ],
)
def test_a_metric_that_does_not_exist_is_named_before_the_training(tmp_path, changes, message):
    config = run_config(tmp_path, **{"custom_hooks": [Trains()], **changes})
    with pytest.raises(ConfigError, match=message):
        Runner.from_cfg(config).train()


def test_a_run_that_is_refused_leaves_an_earlier_one_in_its_place(tmp_path):
    Runner.from_cfg(run_config(tmp_path, epochs=1)).train()
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match="save_best='f1'"):
        Runner.from_cfg(run_config(tmp_path, default_hooks=dict(checkpoint=dict(save_best="f1")))).train()
    assert {path.name for path in tmp_path.iterdir()} == before
    assert (tmp_path / "checkpoints" / "last").read_text() == "step_00000004\n"


class WiderModel(ToyModel):
    def __init__(self):
        super().__init__()
        self.layers.append(self.layers[4].__class__(2, 2))


def test_resuming_with_another_model_is_one_line(tmp_path):
    Runner.from_cfg(run_config(tmp_path, epochs=1)).train()
    with pytest.raises(CheckpointError) as caught:
        Runner.from_cfg(run_config(tmp_path, epochs=2, resume=True, model=dict(type=WiderModel))).train()
    text = str(caught.value)
    assert "\n" not in text
    assert "step_00000004" in text
    assert "layers.5" in text
    assert "resume with the model and the optimizer that it was saved with" in text


def test_a_keyword_that_a_loader_does_not_have_is_named_before_its_use(tmp_path):
    config = run_config(tmp_path, epochs=1)
    config |= dict(
        test_dataloader=dict(config["val_dataloader"], pipeline=[]),
        test_evaluator=dict(type=AccMetric),
        test_cfg=dict(type="TestLoop"),
    )
    runner = Runner.from_cfg(config)
    runner.train()  # which needs no test
    with pytest.raises(ConfigError, match=r"^test_dataloader: a data loader has no keyword 'pipeline'; its keywords: "):
        runner.test()
    config["val_dataloader"] = dict(config["val_dataloader"], batchsize=1)
    with pytest.raises(ConfigError, match=r"^val_dataloader: a data loader has no keyword 'batchsize' \(did you mean"):
        Runner.from_cfg(config)


def test_metrics_say_which_numbers_they_give():
    metrics = [
        AccMetric(metric_options=dict(top_k_accuracy=dict(topk=(1, 3)))),
        METRICS.build(dict(type="Top1Interval")),
    ]
    names = ["acc/top1_low", "acc/top1_high", "loss", "num_clips", "num_sources"]
    assert Evaluator(metrics).names() == ["acc/top1", "acc/top3", "acc/mean1", *names]
    assert Evaluator(AccMetric("mean_class_accuracy", prefix="test")).names() == ["test/mean1"]


class Own(BaseMetric):
    def process(self, data_batch, data_samples): ...

    def compute_metrics(self, results):
        return {}


def test_metrics_of_users_need_not_say():
    assert Evaluator([AccMetric(), Own()]).names() is None
