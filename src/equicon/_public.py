"""Where public things say they live: in the package that exports them, so that saved files survive a move inside it."""

import inspect
from collections.abc import Iterable
from typing import Any


def claim(names: Iterable[str], namespace: dict[str, Any]) -> None:
    """Let the classes and functions of a module's ``__all__`` name that module as their own.

    Args:
        names: ``__all__``.
        namespace: ``globals()`` of the module.
    """
    for name in names:
        if inspect.isclass(namespace[name]) or inspect.isfunction(namespace[name]):
            namespace[name].__module__ = namespace["__name__"]
