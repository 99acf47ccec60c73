import pytest

from kinema.errors import ConfigError
from kinema.openmmlab.distribution import strategy_of


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {}),
        ({"find_unused_parameters": True, "sync_bn": "torch"}, {"find_unused_parameters": True, "sync_bn": "torch"}),
        (
            {"model_wrapper_cfg": {"type": "mmengine.MMDistributedDataParallel", "find_unused_parameters": True}},
            {"name": "ddp", "find_unused_parameters": True},
        ),
        ({"model_wrapper_cfg": {"static_graph": True}}, {"name": "ddp", "static_graph": True}),
        ({"model_wrapper_cfg": {"type": "MMFullyShardedDataParallel"}}, {"name": "fsdp2"}),
        ({"strategy": {"type": "DDPStrategy"}}, {"name": "ddp"}),
        ({"strategy": "fsdp2"}, {"name": "fsdp2"}),
        ({"strategy": {"broadcast_buffers": False}}, {"name": "auto", "broadcast_buffers": False}),
        ({"strategy": None, "model_wrapper_cfg": None, "sync_bn": None, "find_unused_parameters": False}, {}),
    ],
)
def test_a_config_names_its_strategy(config: dict, expected: dict) -> None:
    assert strategy_of(config) == expected


def test_a_strategy_or_option_that_there_is_not_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"strategy.type='DeepSpeedStrategy' is no strategy of Kinema: there are auto, "
    ):
        strategy_of({"strategy": {"type": "DeepSpeedStrategy"}})
    with pytest.raises(
        ConfigError, match="strategy='dpp' is no strategy of Kinema: there are auto, single, ddp, fsdp2"
    ):
        strategy_of({"strategy": "dpp"})
    with pytest.raises(
        ConfigError, match=r"model_wrapper_cfg.cpu_offload is no option of a strategy: there are find_un"
    ):
        strategy_of({"model_wrapper_cfg": {"type": "MMFullyShardedDataParallel", "cpu_offload": True}})
