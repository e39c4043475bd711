"""The package as its users get it."""

import inspect
import pickle
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import equicon as eq
import equicon.backbones
import equicon.data
import equicon.hands
import equicon.keypoints
import equicon.metrics
import equicon.presets
import equicon.probes
import equicon.show
import equicon.testing
import equicon.training

ROOT = Path(__file__).parents[1]
MODULES = [
    eq, eq.backbones, eq.data, eq.draw, eq.hands, eq.keypoints, eq.metrics, eq.presets, eq.probes, eq.show,
    eq.testing, eq.training,
]  # fmt: skip


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_public_things_say_that_they_live_where_they_are_exported(module):
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__module__ == module.__name__, name
            assert pickle.loads(pickle.dumps(value)) is value


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
        "        extras = 'torchvision', 'safetensors', 'tqdm', 'matplotlib', 'tensorboard', 'cv2', 'PIL'\n"
        "        extras += 'av', 'timm', 'pycocotools'\n"
        "        if name.split('.')[0] in extras:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import equicon, equicon.backbones, equicon.data, equicon.hands, equicon.keypoints, equicon.metrics\n"
        "import equicon.probes, equicon.show, equicon.testing, equicon.training\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


ROOMS = [
    {"_devices", "_extra", "_hints", "_public", "_torch"}, {"_checks", "_exact", "_weights"},
    {"_plane", "draw", "metrics"}, {"_views"}, {"_groups"}, {"_transforms", "_representations", "_labels"},
    {"_losses", "presets", "_averages"}, {"backbones"}, {"_pretrained"}, {"testing", "show"}, {"data"}, {"probes"},
    {"hands", "keypoints", "training"}, {"recipes"},
]  # fmt: skip
SOURCE = ROOT / "src" / "equicon"


def imports() -> dict[str, set[str]]:
    """Read which modules each module imports as it is imported itself."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        text = path.read_text(encoding="utf-8")
        found[module] = set(re.findall(r"^from equicon\.([\w.]+) import", text, re.MULTILINE))
        for names in re.findall(r"^from equicon import (.+)", text, re.MULTILINE):
            found[module] |= set(names.split(", "))
    del found["__init__"]
    return found


def test_imports_of_rooms_point_one_way():
    rank = {name: i for i, names in enumerate(ROOMS) for name in names}
    assert {module.split(".")[0] for module in imports()} == set(rank)
    for module, imported in imports().items():
        here = module.split(".")[0]
        for room in {name.split(".")[0] for name in imported} - {here}:
            assert rank[room] < rank[here], f"{module} imports {room}"


def test_imports_of_modules_make_no_circle():
    left = imports()
    packages = {module for module in left if any(other.startswith(f"{module}.") for other in left)}
    while left:
        free = [m for m, names in left.items() if not {n for n in names if n in left and (m in packages) <= (n != m)}]
        assert free, f"a circle among {sorted(left)}"
        for module in free:
            del left[module]


def test_rooms_are_of_a_size_that_a_stranger_can_take_in():
    tops = [path for path in SOURCE.iterdir() if path.suffix == ".py"]
    assert len(tops) <= 12
    assert len([path for path in (SOURCE / "hands").iterdir() if path.name != "__pycache__"]) <= 8
    for path in [*SOURCE.rglob("*.py"), *(ROOT / "examples").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        assert path.read_text(encoding="utf-8").count("\n") <= 300, path


def test_the_library_sets_no_environment_variable_and_no_number_of_threads():
    settings = (
        r"environ\[[^]]+\]\s*\|?=(?!=)|environ\.(setdefault|update|pop|clear)|environ\s*\|="
        r"|(put|unset)env|set_num_(interop_)?threads"
    )
    assert all(re.search(settings, text) for text in ('os.environ["A"] = "b"', "os.environ.setdefault('A', 'b')"))
    assert not re.search(settings, 'os.environ["RANK"] == 1, os.environ.get("A")')
    for path in SOURCE.rglob("*.py"):
        assert not re.search(settings, path.read_text(encoding="utf-8")), path


def test_core_dependencies_are_few():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[^\w-]", d)[0] for d in project["dependencies"]}
    assert names == {"torch", "kornia", "numpy", "typing-extensions"}
