"""The gallery: every public thing that has a look has its picture, and the page names every picture."""

import ast
import inspect
import re
from pathlib import Path
from typing import get_args

import pytest

pytest.importorskip("matplotlib", reason="the gallery needs matplotlib")

from examples.loading import load
from PIL import Image

import equicon as eq

gallery = load("gallery.py")
DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "gallery.md").read_text(encoding="utf-8")
KEPT = sorted((DOCS / "images" / "gallery").glob("*"))


def public(kind: type) -> set[str]:
    """Name the public classes of a kind that one can make."""
    values = {name: getattr(eq, name) for name in eq.__all__}
    return {
        name
        for name, value in values.items()
        if inspect.isclass(value) and issubclass(value, kind) and not inspect.isabstract(value)
    }


FEW = {"RandomRotation", "padding", "Points"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in gallery.PICTURES]
)
def test_the_script_draws_each_picture(name, tmp_path, capsys):
    out = tmp_path / "new"
    gallery.main(["--width", "200", "--only", name, "--out", str(out)])
    with Image.open(out / f"{name}.png") as picture:
        assert picture.width == 200
        assert picture.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
        assert len(picture.convert("RGB").getcolors()) > 20
    assert capsys.readouterr().out == f"1 pictures in {out}\n"


def test_the_same_picture_is_drawn_again(tmp_path):
    written = []
    for folder in ("first", "second"):
        gallery.main(["--width", "200", "--only", "RandomGaussianNoise", "--out", str(tmp_path / folder)])
        written.append((tmp_path / folder / "RandomGaussianNoise.png").read_bytes())
    assert written[0] == written[1]


def test_every_transform_representation_and_preset_has_a_picture():
    wanted = public(eq.EquivariantTransform) | public(eq.Representation) | set(eq.presets.__all__)
    assert {"RandomRotation", "Appearance", "DirectSum", "peclr"} <= wanted
    assert wanted <= set(gallery.PICTURES)


@pytest.mark.parametrize(("picture", "modes"), [("padding", eq.PaddingMode), ("interpolation", eq.Mode)])
def test_every_mode_has_a_panel_and_is_on_the_page(picture, modes):
    written = {text.get_text() for text in gallery.PICTURES[picture](200).figure.texts}
    for mode in get_args(modes):
        assert any(f'mode="{mode}"' in text for text in written), mode
        assert f'"{mode}"' in PAGE


def test_the_page_names_all_pictures_and_no_others():
    named = re.findall(r"\]\(images/gallery/(\w+)\.png\)", PAGE)
    assert len(set(named)) == len(named)
    assert set(named) == set(gallery.PICTURES)
    assert {path.name for path in KEPT} == {f"{name}.png" for name in named}


def test_the_kept_pictures_are_small_and_white():
    assert sum(path.stat().st_size for path in KEPT) < 2.5e6
    for path in KEPT:
        assert path.stat().st_size < 120e3, path.name
        with Image.open(path) as picture:
            assert picture.width == gallery.WIDTH
            assert picture.convert("RGB").getpixel((1, 1)) == (255, 255, 255)


def test_the_page_has_the_code_of_each_picture_of_a_transform():
    shown = []
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
            code = ast.unparse(node)
            if isinstance(node, ast.Call) and names == {"eq"} and re.match(r"eq\.(Random|ColorJitter)\w*\(", code):
                shown.append(eval(code, {"eq": eq}))
    for name, row in gallery.ROWS.items():
        parts = row.transform.transforms if name == "Compose" else [row.transform]
        if name != "Appearance":  # a module is equal to itself alone
            assert all(part in shown for part in parts), name
