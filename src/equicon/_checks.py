"""Shape, type and range checks, with one wording for every error.

A message reads ``argument: expected what, got what. What to do about it.`` Configuration is checked where it is given
(``__post_init__``), tensors once at the public boundary. No check looks at the value of a tensor that may live on an
accelerator: that would wait for the device.
"""

import operator
import sys
from collections.abc import Sequence, Sized
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from equicon._hints import fix_images, fix_shape
from equicon._torch import in_function_transform, is_tracing

Size: TypeAlias = tuple[int, int]
"""Height and width in pixels."""
Counted: TypeAlias = Tensor | Sized | int
"""A batch, or how many it has."""

LARGEST = 1e4
"""Of factors, and 1 over it the smallest: a product of several is then finite in float32, as is its inverse, and one
alone in half precision. Beyond it nothing is left of a picture."""

_FINITE = sys.float_info.max
# As tuples: a compiled graph cannot join types by |, and to join them takes longer than to look.
_NUMPY = (np.ndarray, np.generic)
_TEXT = (str, bytes, bytearray)
_WHOLE = (int, torch.SymInt)


def describe(value: object) -> str:
    """Describe what came, briefly: a tensor by its shape and type, anything else by its type and value."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and type {value.dtype}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def value_error(argument: str, expected: str, got: object, fix: str = "") -> ValueError:
    """Make the ``ValueError`` that names the argument, what was expected, what came and what to do."""
    return ValueError(_message(argument, expected, got, fix))


def type_error(argument: str, expected: str, got: object, fix: str = "") -> TypeError:
    """Make the ``TypeError`` that names the argument, what was expected, what came and what to do."""
    return TypeError(_message(argument, expected, got, fix))


def _message(argument: str, expected: str, got: object, fix: str) -> str:
    # A text is a description made by the caller, who gives a value that may be one by ``describe``: in quotes.
    came = got if isinstance(got, str) else describe(got)
    text = f"{argument}: expected {expected}, got {came}.{' ' + fix if fix else ''}"
    # Names of files need not be UTF-8, and what Python makes of those ends a programme that prints it.
    return text.encode(errors="backslashreplace").decode()


def plain(value: Any) -> Any:
    """Turn numpy's numbers and arrays into Python's numbers and tuples of them, and lists of any kind into tuples."""
    if type(value) is float or type(value) is int:  # nearly all that come, a dozen for each transform that is drawn
        return value
    if isinstance(value, _NUMPY):
        value = value.tolist()
    several = isinstance(value, Sequence) and not isinstance(value, _TEXT)  # a list, or one of a configuration's
    return tuple(plain(item) for item in value) if several else value


def plain_fields(config: object) -> None:
    """Make the fields of a frozen dataclass plain: it hashes, compares and prints, and nobody changes it from outside.

    It comes before the checks, which then see what is kept.
    """
    for name, value in vars(config).items():
        object.__setattr__(config, name, plain(value))


def check_number(argument: str, value: Any, *, low: float = -float("inf"), high: float = float("inf")) -> float:
    """Check for a finite number in [low, high], of Python or numpy, and return it as a float."""
    number = plain(value)
    if not _is_number(number):
        raise type_error(argument, "a number", describe(value), _fix_number(value))
    if not (low <= number <= high and abs(number) <= _FINITE):
        raise value_error(argument, f"a number {_span(low, high)}", number)
    return float(number)


def check_positive(argument: str, value: Any) -> float:
    """Check for a finite number above zero and return it as a float."""
    number = check_number(argument, value)
    if number <= 0:
        raise value_error(argument, "a number above 0", plain(value))
    return number


def check_factor(argument: str, value: Any, *, low: float = 1 / LARGEST, high: float = LARGEST) -> float:
    """Check for a number above 0 that neither vanishes nor overflows, and return it as a float."""
    check_positive(argument, value)
    return check_number(argument, value, low=low, high=high)


def check_probability(argument: str, value: Any) -> float:
    """Check for a probability and return it as a float."""
    return check_number(argument, value, low=0.0, high=1.0)


def check_int(argument: str, value: Any, *, low: int) -> int:
    """Check for a whole number of at least ``low``, of Python or numpy, and return it as Python's."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, _WHOLE):
        raise type_error(argument, "a whole number", describe(value), _fix_number(value))
    if number < low:
        raise value_error(argument, f"a whole number of at least {low}", number)
    return number  # type: ignore[return-value]  # a size that torch.export leaves open is a number to its graph


def check_index(index: int, length: int) -> int:
    """Check the index of an item, and count a negative one from the end."""
    position = operator.index(index)
    if not -length <= position < length:
        raise IndexError(f"index: expected a whole number in [{-length}, {length - 1}], got {position}.")
    return position % length


def check_generator(value: object) -> None:
    """Check for a source of randomness, or None for torch's global one."""
    if value is not None and not isinstance(value, torch.Generator):
        fix = "Write torch.Generator().manual_seed(0)."
        raise type_error("generator", "a torch.Generator or None", describe(value), fix)


def check_progress(value: object) -> None:
    """Check for what shows progress, or None for nothing."""
    if value is not None and not callable(value):
        raise type_error("progress", "a callable such as tqdm", describe(value))


def check_bool(argument: str, value: object) -> None:
    """Check for True or False."""
    if not isinstance(value, bool):
        raise type_error(argument, "True or False", describe(value))


def check_range(
    argument: str, value: Any, *, low: float = -float("inf"), high: float = float("inf")
) -> tuple[float, float]:
    """Check for a pair (lowest, highest) inside [low, high] and return it as floats."""
    lowest, highest = _pair(argument, value, "(lowest, highest)", "Write (a, a) for a alone.")
    first, last = (check_number(argument, v, low=low, high=high) for v in (lowest, highest))
    if first > last:
        raise value_error(argument, "lowest <= highest", (lowest, highest), "Swap the two.")
    return first, last


def check_number_or_range(argument: str, value: Any, *, low: float, high: float) -> None:
    """Check for a number, or a pair (lowest, highest), inside [low, high]."""
    if is_several(value):
        check_range(argument, value, low=low, high=high)
    else:
        check_number(argument, value, low=low, high=high)


def check_factors(argument: str, value: Any, *, low: float = 1 / LARGEST, high: float = LARGEST) -> tuple[float, float]:
    """Check for a pair (lowest, highest) inside [low, high], both above 0, and return it as floats."""
    first, last = check_range(argument, value)
    return check_factor(argument, first, low=low, high=high), check_factor(argument, last, low=low, high=high)


def check_symmetric(argument: str, value: Any, *, limit: float) -> None:
    """Check for a number a, which stands for (−a, a), or a range, inside [−limit, limit]."""
    check_number_or_range(argument, value, low=-limit if is_several(value) else 0.0, high=limit)


def symmetric(value: float | tuple[float, float]) -> tuple[float, float]:
    """Read the range of what ``check_symmetric`` has let pass."""
    return value if isinstance(value, tuple) else (-value, value)


def is_several(value: object) -> bool:
    """Whether a value is a list, a tuple or an array of things."""
    return isinstance(plain(value), tuple)


def _pair(argument: str, value: Any, names: str, fix: str) -> tuple[Any, Any]:
    pair = value if type(value) is tuple else plain(value)
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise type_error(argument, f"a pair {names}", describe(value), fix if _is_number(pair) else _fix_number(value))
    return pair[0], pair[1]


def check_size(argument: str, value: Any) -> Size:
    """Check for a size (height, width) in pixels, both at least 1."""
    height, width = _pair(argument, value, "(height, width)", "Write (s, s) for a square.")
    return check_int(argument, height, low=1), check_int(argument, width, low=1)


def check_images(images: Any, *, masks: bool = False) -> Tensor:
    """Check for a batch of images (B, C, H, W), uint8 or floating, that is not empty in C, H or W.

    Where masks will do, it is of whole numbers or bool as well.
    """
    if not isinstance(images, Tensor):
        fix = "Convert it with torch.from_numpy or torch.stack."
        raise type_error("images", "a tensor (B, C, H, W)", describe(images), fix)
    if images.ndim != 4:
        raise value_error("images", "a batch of shape (B, C, H, W)", images, fix_images(images))
    if images.dtype.is_complex or not (masks or images.dtype == torch.uint8 or images.is_floating_point()):
        fix = "Masks are moved by Affine's warp(masks, mode='nearest'); divide a picture by its type's largest value."
        raise type_error("images", "uint8, or a floating type with values in [0, 1]", images, fix)
    if 0 in images.shape[1:]:
        raise value_error("images", "at least one channel and one pixel", images)
    return images


def check_floating(argument: str, value: Any, shape: str, *, last: tuple[int, ...], ndim: int | None = None) -> Tensor:
    """Check for a floating tensor whose last dimensions are ``last`` (and that has ``ndim`` of them, if given)."""
    if not isinstance(value, Tensor):
        raise type_error(argument, f"a tensor {shape}", describe(value), "Convert it with torch.as_tensor.")
    if value.shape[-len(last) :] != last or (ndim is not None and value.ndim != ndim):
        raise value_error(argument, f"a tensor of shape {shape}", value, fix_shape(argument, value, last, ndim))
    if not value.is_floating_point():
        raise type_error(argument, "a floating type", value, "Convert it with .float().")
    return value


def count(batch: Counted) -> int:
    """Count a batch. ``len`` would make a fixed number of a size that ``torch.export`` leaves open."""
    if isinstance(batch, Tensor):
        return batch.shape[0]
    return batch if isinstance(batch, _WHOLE) else batch.__len__()


def check_batch(argument: str, batch: Counted, expected: Counted, of: str, fix: str = "") -> None:
    """Check that two batches have the same length."""
    found, wanted = count(batch), count(expected)
    if found != wanted:
        raise value_error(argument, f"a batch of {wanted}, that of {of}", f"a batch of {found}", fix)


def check_matrix_type(dtype: Any) -> torch.dtype:
    """Check the type of a matrix; half precision becomes float32."""
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise type_error("dtype", "float32 or float64", describe(dtype))
    return torch.float64 if dtype == torch.float64 else torch.float32


def check_choice(argument: str, value: object, known: Sequence[str]) -> None:
    """Check for one of the known names."""
    if value not in known:
        raise value_error(argument, f"one of {', '.join(known)}", describe(value))


def concrete(tensor: Tensor) -> bool:
    """Whether values stand behind a tensor: not while compiling or tracing, inside ``vmap``, or on the meta device."""
    if torch.compiler.is_compiling() or is_tracing():
        return False
    return type(tensor) in (Tensor, torch.nn.Parameter) and not (tensor.is_meta or in_function_transform())


def readable(tensor: Tensor) -> bool:
    """Whether values may be looked at: they are there, and not on a device that would have to be waited for."""
    return tensor.device.type == "cpu" and concrete(tensor)


def check_positive_values(argument: str, values: Tensor) -> None:
    """Check that numbers (...) are finite, above 0 and may be divided by, where they may be looked at."""
    if readable(values):
        good = (values.isfinite() & (values > 0) & values.reciprocal().isfinite()).flatten()
        if (bad := first_bad(good)) is not None:
            raise value_error(argument, "finite numbers above 0", f"{float(values.flatten()[bad]):g} at index {bad}")


def first_bad(good: Tensor) -> int | None:
    """Find the first of (n,) that is not good; None where all are."""
    return None if bool(good.all()) else int((~good).nonzero()[0])


def _is_number(value: object) -> bool:
    return type(value) is float or (isinstance(value, Real) and not isinstance(value, bool))


def _fix_number(value: object) -> str:
    """Say how to get at a number that a tensor holds: to read it here would wait for its device."""
    return f"Read it first: .{'item' if value.numel() == 1 else 'tolist'}()." if isinstance(value, Tensor) else ""


def _span(low: float, high: float) -> str:
    if high == float("inf"):
        return "that is finite" if low == -float("inf") else f"of at least {low:g}"
    return f"in [{low:g}, {high:g}]"
