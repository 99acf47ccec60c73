import pytest

from kinema.errors import ConfigError
from kinema.openmmlab.distribution import connection_of, strategy_of


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
        ({"model_wrapper_cfg": {"type": "Users"}}, {"wrapper": {"type": "Users"}}),
        (
            {"model_wrapper_cfg": {"bucket_cap_mb": 1}, "sync_bn": "torch"},
            {"wrapper": {"type": "MMDistributedDataParallel", "bucket_cap_mb": 1}, "sync_bn": "torch"},
        ),
        ({"cfg": {"find_unused_parameters": True}}, {"find_unused_parameters": True}),
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


@pytest.mark.parametrize(
    ("env_cfg", "expected"),
    [
        ({}, {}),
        ({"cudnn_benchmark": True, "dist_cfg": {}}, {}),
        ({"dist_cfg": {"backend": "nccl"}}, {"backend": "nccl"}),
        (
            {"dist_cfg": {"backend": "gloo", "timeout": 90, "port": 29501, "init_backend": "torch"}},
            {"backend": "gloo", "timeout_seconds": 90, "port": 29501},
        ),
    ],
)
def test_a_config_says_how_processes_connect(env_cfg: dict, expected: dict) -> None:
    assert connection_of(env_cfg) == expected


@pytest.mark.parametrize(
    ("dist_cfg", "message"),
    [
        ("nccl", "env_cfg.dist_cfg must be a dict such as"),
        ({"backends": "nccl"}, "env_cfg.dist_cfg has no 'backends': it takes backend, timeout, port, init_backend"),
        ({"backend": 1}, "backend must be a name such as 'nccl' or 'gloo', got 1"),
        ({"init_backend": "deepspeed"}, "init_backend must be 'torch', got 'deepspeed'"),
        ({"timeout": 0}, "timeout must be seconds above 0, got 0"),
        ({"port": 70000}, "port must be a whole number from 1 to 65535, got 70000"),
    ],
)
def test_a_connection_that_does_not_fit_is_named(dist_cfg: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        connection_of({"dist_cfg": dist_cfg})
