import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.hooks.receptive_fields import Conv2dRFSearchOp, RFSearchHook, expand_rates, get_single_padding
from kinema.registry import HOOKS

SEARCH: dict[str, Any] = dict(
    step=0,
    max_step=12,
    search_interval=2,
    exp_rate=0.5,
    init_alphas=0.01,
    mmin=1,
    mmax=24,
    num_branches=2,
    skip_layer=["stem"],
)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.conv0 = nn.Conv2d(3, 4, 3, padding=2, dilation=2, stride=2)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, (1, 5), padding=(0, 4), dilation=(1, 2)))

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.block(self.conv0(x))
        return output


@pytest.mark.parametrize(
    ("dilation", "branches", "expected"),
    [((4, 4), 2, [(2, 2), (6, 6)]), ((4, 2), 3, [(2, 1), (4, 2), (6, 3)]), ((1, 1), 2, [(1, 1), (2, 2)])],
)
def test_dilations_lie_around_the_one_that_is(dilation: Any, branches: int, expected: Any) -> None:
    assert expand_rates(dilation, {**SEARCH, "num_branches": branches}) == [
        (max(rows, 1), max(columns, 1)) for rows, columns in expected
    ]
    assert expand_rates((40, 40), {**SEARCH, "num_branches": 3}) == [(20, 20), (40, 40), (24, 24)]


def test_branches_share_one_weight_and_keep_the_size() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, padding=4, dilation=4, groups=1)
    searched = Conv2dRFSearchOp(conv, {**SEARCH, "num_branches": 3}, verbose=False)
    assert searched.dilation_rates == [(2, 2), (4, 4), (6, 6)]
    x = torch.randn(2, 3, 17, 17)
    with torch.no_grad():
        searched.branch_weights.copy_(torch.tensor([1.0, -2.0, 1.0]))
    plain = [nn.functional.conv2d(x, conv.weight, conv.bias, padding=rate, dilation=rate) for rate in (2, 4, 6)]
    torch.testing.assert_close(searched(x), 0.25 * plain[0] + 0.5 * plain[1] + 0.25 * plain[2])
    with torch.no_grad():
        searched.branch_weights.copy_(torch.tensor([0.0, 1.0, 3.0]))
    searched.estimate_rates()
    assert (conv.dilation, conv.padding, searched.dilation_rates) == ((6, 6), (6, 6), [(6, 6)])  # 5.5, rounded to even
    assert searched(x).shape == plain[0].shape
    searched.expand_rates()
    assert searched.dilation_rates == [(3, 3), (6, 6), (9, 9)]
    assert get_single_padding(5, stride=2, dilation=3) == 6
    with pytest.raises(ConfigError, match="num_branches of a receptive field search must be 2 or 3, got 4"):
        Conv2dRFSearchOp(conv, {**SEARCH, "num_branches": 4})


def test_a_search_moves_dilations_and_its_file_sets_them(tmp_path: Path) -> None:
    model = Net()
    shape = model(torch.zeros(1, 3, 20, 20)).shape
    hook = HOOKS.build(dict(type="RFSearchHook", config=dict(search=SEARCH), verbose=False))
    hook.init_model(model)
    wrapped = [name for name, part in model.named_modules() if isinstance(part, Conv2dRFSearchOp)]
    assert wrapped == ["conv0", "block.1"]  # not the stem, nor 1x1
    assert model.block[1].dilation_rates == [(1, 1), (1, 3)]  # no dilation across one row
    assert model(torch.zeros(1, 3, 20, 20)).shape == shape
    with torch.no_grad():
        model.conv0.branch_weights.copy_(torch.tensor([0.0, 1.0]))
    for _ in range(2):
        hook.after_train_iter(SimpleNamespace(model=model, work_dir=tmp_path), 0)  # counts epochs alone
        hook.after_train_epoch(SimpleNamespace(model=model, work_dir=tmp_path))
    file = tmp_path / "local_search_config_step2.json"
    assert json.loads(file.read_text())["structure"] == {"conv0": [3, 3], "block.1": [1, 2]}
    fixed = Net()
    RFSearchHook("fixed_single_branch", dict(search=SEARCH), str(file), verbose=False).init_model(fixed)
    assert (fixed.conv0.dilation, fixed.block[1].dilation) == ((3, 3), (1, 2))
    assert fixed(torch.zeros(1, 3, 20, 20)).shape == shape
    several = Net()
    RFSearchHook("fixed_multi_branch", dict(search=SEARCH), str(file), by_epoch=False).init_model(several)
    assert several.conv0.dilation_rates == [(2, 2), (4, 4)]


def test_nonsense_of_a_search_is_named() -> None:
    with pytest.raises(ConfigError, match="mode of RFSearchHook must be search, .* got 'find'"):
        RFSearchHook("find", dict(search=SEARCH))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"RFSearchHook needs config=dict\(search="):
        RFSearchHook()
    with pytest.raises(ConfigError, match=r"rfstructure_file has no dilation of module\.conv0"):
        RFSearchHook("fixed_single_branch", dict(search=SEARCH)).init_model(Net())
