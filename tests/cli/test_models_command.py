import json
import os
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.errors import ConfigError
from kinema.models import zoo


def kinema(*arguments):
    return CliRunner().invoke(app, ["models", *arguments])


def rows_of(result):
    """Cells of a table whose columns have names and no gaps."""
    lines = [line for line in result.stdout.splitlines() if line.strip() and "─" not in line]
    return [line.split() for line in lines]


def test_the_list_tells_what_a_model_costs_sees_and_reaches():
    result = kinema("slowonly_r5[0]")
    header, row = rows_of(result)
    assert header == ["name", "params", "GFLOPs", "input", "top-1", "views", "weights"]
    assert row[:-2] == ["slowonly_r50", "32.45", "20.87", "4", "x", "16,", "224", "72.68", "K400", "10", "x", "3"]
    assert row[-2:] == ["Apache-2.0", zoo.card("slowonly_r50").weights.url]
    assert "GFLOPs: billions of multiply-adds" in result.stderr
    assert "8 spread, 224" in kinema("tsn_r50*").stdout
    assert [line[0] for line in rows_of(kinema())[1:]] == zoo.names()


def test_a_single_name_shows_the_model_in_full():
    text = kinema("x3d_s").stdout
    assert text.startswith("x3d_s\n  what        X3D, small: 13 small frames.\n")
    assert zoo.card("x3d_s").weights.url in text.splitlines()[-3]
    assert "top-1 73.30 % on Kinetics-400" in text
    assert "over 10 x 3 views (clips x crops) of 182 px" in text
    assert "published: 2.97 for 13 frames of 192 px, norms, ReLUs and pooling counted too" in " ".join(text.split())
    assert "converted from a file of Facebook Research" in text
    assert "clips of 13 frames 6 apart, 160 x 160 pixels" in text
    # Encoder and classifier may be two files.
    both = kinema("vjepa2_vit_large").stdout
    assert "\n  weights     https://dl.fbaipublicfiles.com/vjepa2/vitl.pt\n" in both
    assert "\n  classifier  https://dl.fbaipublicfiles.com/vjepa2/evals/ssv2-vitl-16x2x3.pt\n" in both


def test_weights_are_shown_for_all_that_match():
    text = kinema("tsn_r*", "--weights").stdout
    assert [block.partition("\n")[0] for block in text.split("\n\n")] == [
        "tsn_r101",
        "tsn_r18",
        "tsn_r50",
        "tsn_r50_flow",
    ]
    assert "3 times 5 frames of optical flow from all of the video, 224 x 224 pixels" in text
    assert "weights     none published" in text
    assert "weights     the file is not published" in kinema("tsm_mobilenetv2").stdout
    assert "8 single frames from all of the video" in text


def test_json_is_one_value():
    cards = json.loads(kinema("x3d_*", "--json").stdout)
    assert [card["name"] for card in cards] == ["x3d_l", "x3d_m", "x3d_s", "x3d_xs"]
    assert cards[2]["result"]["weights"]["url"] == zoo.card("x3d_s").weights.url
    assert cards[2]["stated_cost"] == {"gflops": 2.96754376, "frames": 13, "size": 192, "counts": "elements"}
    assert [card["name"] for card in json.loads(kinema("x3d_s", "--json").stdout)] == ["x3d_s"]


def test_layers_are_counted():
    result = kinema("tsn_r18", "--layers")
    header, first, backbone, stem, *_ = rows_of(result)
    assert header == ["layer", "type", "output", "params", "GFLOPs", "share"]
    assert first == ["tsn_r18", "Recognizer2D", "11.382", "14.509", "100.0%"]
    assert backbone[:3] == ["backbone", "ResNet", "8x512x7x7"]
    # 8 frames, 112 x 112 places, 64 x 3 channels, 7 x 7 values.
    assert stem == ["conv1", "ConvModule", "8x64x112x112", "0.010", f"{8 * 112**2 * 64 * 3 * 49 / 1e9:.3f}", "6.5%"]
    assert "--depth 3 shows more" in result.stderr
    assert len(rows_of(kinema("tsn_r18", "--layers", "--depth", "1"))) == 4
    assert [row[0] for row in rows_of(kinema("tsn_r18", "--layers", "--depth", "3"))[3:6]] == ["conv1", "conv", "bn"]


def test_layers_as_json_are_one_value():
    found = json.loads(kinema("compact3d", "--layers", "--depth", "1", "--json").stdout)
    assert found["name"] == "compact3d"
    assert found["input_shape"] == [1, 1, 3, 8, 56, 56]
    assert [layer["path"] for layer in found["layers"]] == ["", "data_preprocessor", "backbone", "cls_head"]
    assert sum(layer["multiply_adds"] for layer in found["layers"][1:]) == found["multiply_adds"]


def test_wrong_requests_name_the_way_out():
    near = kinema("slowonly_r52").exception
    assert isinstance(near, ConfigError)
    assert str(near).startswith("no model is called 'slowonly_r52': did you mean slowonly_r50")
    with pytest.raises(ConfigError, match=r"no model is called like 'resnet\*': there are: c2d_r101_nopool, "):
        raise kinema("resnet*").exception
    with pytest.raises(
        ConfigError, match=r"--layers counts one model, but 4 match: give one of x3d_l, x3d_m, x3d_s, \.\.\."
    ):
        raise kinema("x3d_*", "--layers").exception
    useless = kinema("x3d_s", "--depth", "2")
    assert useless.exit_code == 2
    assert "it goes with --layers" in useless.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.slow
@pytest.mark.parametrize(("columns", "last"), [(80, "input"), (100, "views"), (120, "weights")])
def test_tables_fit_a_terminal(columns, last):
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "kinema.cli", "models"]
    environment = os.environ | {"COLUMNS": str(columns), "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                text += (piece := os.read(ours, 65536))
            except OSError:  # the other end is closed
                break
            if not piece:
                break
    os.close(ours)
    assert process.returncode == 0
    files = [card.weights or card.encoder for card in map(zoo.card, zoo.names())]
    links = [weights.url for weights in files if weights]
    assert re.findall(r"\x1b\]8;id=\d+;(.+?)\x1b", text.decode()) == (links if last == "weights" else [])
    plain = re.sub(r"\x1b\]8;.*?\x1b\\", "", text.decode())
    lines = re.sub(r"\x1b\[[\d;]*m", "", plain).splitlines()
    assert max(map(len, lines)) <= columns
    assert last in next(line for line in lines if "GFLOPs" in line).split()[-1]
    assert sum(name in plain.split() for name in zoo.names()) == len(zoo.names())  # none is broken into two lines
