import io
import sys

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.loading import load
from kornia.io import ImageLoadType, load_image

from equicon.hands import SyntheticHands

show_hands = load("show_hands.py")


def test_a_sheet_of_as_many_hands_as_are_asked_for(tmp_path, capsys):
    out = tmp_path / "new" / "hands.png"
    show_hands.main(["--count", "5", "--columns", "3", "--size", "32", "--domain", "studio", "--out", str(out)])
    sheet = load_image(out, ImageLoadType.RGB8)
    assert sheet.shape == (3, 2 * 33 + 1, 3 * 33 + 1)
    assert sheet[:, 40:, 40:64].any()  # the fifth hand; there is no sixth
    assert not sheet[:, 34:, 67:].any()
    assert capsys.readouterr().out == f"5 hands in {out}\n"


def test_a_sheet_of_hands_with_surroundings(tmp_path, capsys):
    out = tmp_path / "hands.png"
    options = ["--context", "2", "--scenes", "1", "--clip", "2", "--side", "right", "--domain", "studio"]
    show_hands.main(["--count", "4", "--columns", "2", "--size", "16", *options, "--out", str(out)])
    sheet = load_image(out, ImageLoadType.RGB8).float()
    assert sheet.shape == (3, 2 * 33 + 1, 2 * 33 + 1)
    expected = SyntheticHands(4, 16, domain="studio", context=2.0, scenes=1, clip=2, side="right")[3].image
    assert (sheet[:, 34:66, 34:66] - expected).abs().max() <= 1
    with pytest.raises(SystemExit, match=r"--context: expected a number of at least 1, got float 0\.5"):
        show_hands.main(["--context", "0.5", "--out", str(out)])


def test_a_name_that_the_terminal_cannot_show_is_escaped(tmp_path, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), "ascii")
    with monkeypatch.context() as context:
        context.setattr(sys, "stdout", stdout)
        show_hands.main(["--count", "1", "--size", "32", "--out", str(tmp_path / "é.png")])
        stdout.flush()
    assert stdout.buffer.getvalue().endswith(rb"\xe9.png" + b"\n")
