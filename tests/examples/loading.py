"""How tests get at the examples, which are scripts and no package."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).parents[2] / "examples"


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
