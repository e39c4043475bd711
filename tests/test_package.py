"""The package as its users get it."""

import inspect
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import equicon as eq
import equicon.hands
import equicon.presets
import equicon.testing

ROOT = Path(__file__).parents[1]
MODULES = [eq, equicon.hands, equicon.presets, equicon.testing]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_all_names_exist_and_are_documented(module):
    assert module.__doc__
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, name


def test_the_version_stands_in_one_place_and_in_the_changelog():
    assert version("equicon") == eq.__version__
    assert f"## [{eq.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_core_imports_without_the_extras():
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torchvision', 'tqdm', 'matplotlib', 'tensorboard', 'cv2', 'PIL'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import equicon, equicon.hands, equicon.testing, equicon.presets\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_imports_point_one_way():
    order = [
        {"_checks", "_distributed"}, {"_matrix", "_negatives"}, {"_frames", "_random"}, {"_warp", "_color"},
        {"_triton"}, {"_view"}, {"_affine"}, {"_action", "_representation", "_grad_cache"}, {"_transform", "_ntxent"},
        {"_geometric", "_photometric", "_appearance", "_peclr"}, {"presets"}, {"testing"},
    ]  # fmt: skip
    rank = {name: i for i, names in enumerate(order) for name in names}
    source = ROOT / "src" / "equicon"
    modules = {path.stem for path in source.glob("*.py")} - {"__init__"}
    assert modules == set(rank)
    for name in modules:
        text = (source / f"{name}.py").read_text(encoding="utf-8")
        for imported in re.findall(r"^from equicon\.(\w+) import", text, re.MULTILINE):
            assert rank[imported] < rank[name], f"{name} imports {imported}"
    for path in (source / "hands").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for imported in re.findall(r"^from equicon\.(\w+)(?:\.\w+)? import", text, re.MULTILINE):
            assert imported in {"_checks", "_frames", "_affine", "hands"}, f"{path.name} imports {imported}"


def test_core_dependencies_are_few():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[^\w-]", d)[0] for d in project["dependencies"]}
    assert names == {"torch", "kornia", "numpy"}
