"""The check for packages of an extra, with one message for all programs."""

from importlib.util import find_spec


def need(*modules: str, extra: str = "train") -> None:
    """Check that modules are installed, before the program imports them.

    Args:
        *modules: The names of the modules.
        extra: The extra of equicon that installs them.

    Raises:
        ModuleNotFoundError: If a module is not installed.

    Examples:
        >>> need("torch")
        >>> try: need("torch", "gone")
        ... except ModuleNotFoundError as error: print(error)
        not installed: gone. Install the extra: pip install 'equicon[train]', or in a clone pip install -e '.[train]'.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        names = ", ".join(missing)
        how = f"pip install 'equicon[{extra}]', or in a clone pip install -e '.[{extra}]'"
        raise ModuleNotFoundError(f"not installed: {names}. Install the extra: {how}.")
