from pathlib import Path

import pytest
from torch import nn


@pytest.mark.usefixtures("shim")
def test_initialisation_is_in_the_file_of_the_current_logger(tmp_path: Path) -> None:
    from mmengine.logging import MMLogger
    from mmengine.model import BaseModule, update_init_info

    class Net(BaseModule):
        def __init__(self) -> None:
            super().__init__({"type": "Constant", "layer": "Linear", "val": 3})
            self.fc = nn.Linear(1, 1)
            self.conv = nn.Conv1d(1, 1, 1)

        def init_weights(self) -> None:
            super().init_weights()

    logger = MMLogger.get_instance(str(tmp_path), log_file=tmp_path / "log.txt")
    Net().init_weights()
    logger.info("own")
    lines = (tmp_path / "log.txt").read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if "fc.weight" in line)
    assert lines[place + 1] == "ConstantInit: val=3, bias=0 "
    assert sum("own" in line for line in lines) == 1

    net = Net()
    net._params_init_info = {
        parameter: {"init_info": "", "tmp_mean_value": parameter.detach().mean()} for parameter in net.parameters()
    }
    nn.init.constant_(net.fc.weight, 7)
    update_init_info(net, "by hand")
    assert net._params_init_info[net.fc.weight]["init_info"] == "by hand"
    assert net._params_init_info[net.conv.weight]["init_info"] == ""
    net.fc.weight = nn.Parameter(net.fc.weight.detach().clone())
    with pytest.raises(ValueError, match=r"parameter fc\.weight of Net was added while it was initialised"):
        update_init_info(net, "again")
