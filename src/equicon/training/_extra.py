"""What is not there without the extra ``train``, told in one way."""

from importlib.util import find_spec


def need(*modules: str) -> None:
    """Check that modules are installed, before they are imported.

    Args:
        *modules: Their names.

    Raises:
        ModuleNotFoundError: If one is not.

    Examples:
        >>> need("torch")
        >>> try: need("torch", "nonsense")
        ... except ModuleNotFoundError as error: print(error)
        not installed: nonsense. Install the extra: pip install 'equicon[train]', or in a clone -e '.[train]'.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        names = ", ".join(missing)
        how = "pip install 'equicon[train]', or in a clone -e '.[train]'"
        raise ModuleNotFoundError(f"not installed: {names}. Install the extra: {how}.")
