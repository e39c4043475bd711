import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.loading import load
from kornia.io import ImageLoadType, load_image

show_hands = load("show_hands.py")


def test_a_sheet_of_as_many_hands_as_are_asked_for(tmp_path, capsys):
    out = tmp_path / "new" / "hands.png"
    show_hands.main(["--count", "5", "--columns", "3", "--size", "32", "--domain", "studio", "--out", str(out)])
    sheet = load_image(out, ImageLoadType.RGB8)
    assert sheet.shape == (3, 2 * 33 + 1, 3 * 33 + 1)
    assert sheet[:, 40:, 40:64].any()  # the fifth hand; there is no sixth
    assert not sheet[:, 34:, 67:].any()
    assert capsys.readouterr().out == f"5 hands in {out}\n"
