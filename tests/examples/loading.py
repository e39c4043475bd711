"""How tests get at the examples, which are scripts and no package."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def load(path: str) -> ModuleType:
    """Load ``examples/<path>``, once, with its folder first on the path meanwhile, as Python runs a script.

    It has its plain name, so that a script that others import is there once, whoever loads it first.
    """
    script = EXAMPLES / path
    sys.path.insert(0, str(script.parent))
    try:
        module = importlib.import_module(script.stem)
    finally:
        sys.path.remove(str(script.parent))
    assert module.__file__ == str(script), f"another module has the name of {script}: {module.__file__}"
    return module


def load_anew(script: str, patch: pytest.MonkeyPatch) -> ModuleType:
    """Load a script of examples or benchmarks, whose path is from the root, for this test alone.

    A recipe whose packages are not installed skips the test.
    """
    path = ROOT / script
    patch.syspath_prepend(str(path.parent))  # as Python does with a script's folder
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, path.stem, module)  # where dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as missing:
        if not script.startswith("examples/recipes/"):
            raise
        pytest.skip(f"the recipe needs {missing.name}: pip install -e '.[recipes]'")
    return module
