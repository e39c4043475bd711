"""Set ``__module__`` of public objects to the package that exports them, so that pickles survive moves inside it."""

import inspect
from collections.abc import Iterable
from typing import Any


def claim(names: Iterable[str], namespace: dict[str, Any]) -> None:
    """Set ``__module__`` of the classes and functions in a module's ``__all__`` to the name of that module.

    Args:
        names: ``__all__`` of the module.
        namespace: ``globals()`` of the module.
    """
    for name in names:
        if inspect.isclass(namespace[name]) or inspect.isfunction(namespace[name]):
            namespace[name].__module__ = namespace["__name__"]
