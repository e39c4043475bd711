"""Shape, type and range checks, with one wording for every error.

A message reads ``argument: expected what, got what. What to do about it.`` Configuration is checked where it is given
(``__post_init__``), tensors once at the public boundary. No check reads the values of a tensor on an accelerator, since
that would wait for the device.
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
"""A batch, or its length."""

LARGEST = 1e4
"""Largest factor that is accepted; the smallest is 1 / LARGEST. Products of several such factors and their inverses are
finite in float32, and a single factor is finite in half precision. Beyond it nothing is left of a picture."""

_FINITE = sys.float_info.max
# Tuples, because a compiled graph cannot evaluate int | float, and to evaluate it takes longer than the check.
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
    # A str is a finished description. A caller whose value may be a str itself passes describe(value), in quotes.
    came = got if isinstance(got, str) else describe(got)
    text = f"{argument}: expected {expected}, got {came}.{' ' + fix if fix else ''}"
    # File names need not be UTF-8. Python holds such names with surrogates, and to print those raises an error.
    return text.encode(errors="backslashreplace").decode()


def plain(value: Any) -> Any:
    """Turn numpy's numbers and arrays into Python's numbers and tuples, and lists of any kind into tuples."""
    if type(value) is float or type(value) is int:  # the usual case: each draw of a transform checks about a dozen
        return value
    if isinstance(value, _NUMPY):
        value = value.tolist()
    several = isinstance(value, Sequence) and not isinstance(value, _TEXT)  # also a configuration library's list
    return tuple(plain(item) for item in value) if several else value


def plain_fields(config: object) -> None:
    """Make the fields of a frozen dataclass plain, so that it hashes, compares and prints, and nobody can change it.

    Call it before the checks, so that they see the values that are stored.
    """
    for name, value in vars(config).items():
        object.__setattr__(config, name, plain(value))


def check_number(argument: str, value: Any, *, low: float = -float("inf"), high: float = float("inf")) -> float:
    """Check for a finite Python or numpy number in [low, high] and return it as a float."""
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
    """Check for a whole Python or numpy number of at least ``low`` and return it as an int."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, _WHOLE):
        raise type_error(argument, "a whole number", describe(value), _fix_number(value))
    if number < low:
        raise value_error(argument, f"a whole number of at least {low}", number)
    return number  # type: ignore[return-value]  # a SymInt, torch.export's open size, acts as an int in its graph


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
    """Check for a progress bar, which is a callable such as ``tqdm``, or None."""
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
    lowest, highest = _pair(argument, value, "(lowest, highest)", "For one fixed value a, write (a, a).")
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
    """Turn a value that passed ``check_symmetric`` into a range (lowest, highest)."""
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


def check_images(images: Any, *, masks: bool = False, clips: bool = False) -> Tensor:
    """Check for a batch of images (B, C, H, W), uint8 or floating, that is not empty in C, H or W.

    With ``masks``, whole numbers of any type and bool are allowed too; with ``clips``, clips (B, T, C, H, W) too.
    """
    shape = "(B, C, H, W), or of clips (B, T, C, H, W)" if clips else "(B, C, H, W)"
    if not isinstance(images, Tensor):
        fix = "Convert it with torch.from_numpy or torch.stack."
        raise type_error("images", f"a tensor {shape}", describe(images), fix)
    if images.ndim != 4 and not (clips and images.ndim == 5):
        raise value_error("images", f"a batch of shape {shape}", images, fix_images(images))
    if images.dtype.is_complex or not (masks or images.dtype == torch.uint8 or images.is_floating_point()):
        fix = "Masks go through Affine.masks. Divide a picture by its type's largest value."
        raise type_error("images", "uint8, or a floating type with values in [0, 1]", images, fix)
    if 0 in images.shape[1:]:
        frame = "one frame, " if images.ndim == 5 else ""
        raise value_error("images", f"at least {frame}one channel and one pixel", images)
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
    """Return the length of a batch. ``len`` would fix a size that ``torch.export`` leaves open."""
    if isinstance(batch, Tensor):
        return batch.shape[0]
    return batch if isinstance(batch, _WHOLE) else batch.__len__()


def check_batch(argument: str, batch: Counted, expected: Counted, of: str, fix: str = "") -> None:
    """Check that two batches have the same length."""
    found, wanted = count(batch), count(expected)
    if found != wanted:
        raise value_error(argument, f"a batch of {wanted}, like {of}", f"a batch of {found}", fix)


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
    """Whether a tensor holds values. It does not while compiling or tracing, inside ``vmap``, or on the meta device."""
    if torch.compiler.is_compiling() or is_tracing():
        return False
    return type(tensor) in (Tensor, torch.nn.Parameter) and not (tensor.is_meta or in_function_transform())


def readable(tensor: Tensor) -> bool:
    """Whether the values of a tensor can be read without waiting for a device: it holds values and is on the CPU."""
    return tensor.device.type == "cpu" and concrete(tensor)


def check_positive_values(argument: str, values: Tensor) -> None:
    """Check that numbers (...) are finite, above 0, and have a finite reciprocal, if they are ``readable``."""
    if readable(values):
        good = (values.isfinite() & (values > 0) & values.reciprocal().isfinite()).flatten()
        if (bad := first_bad(good)) is not None:
            raise value_error(argument, "finite numbers above 0", f"{float(values.flatten()[bad]):g} at index {bad}")


def first_bad(good: Tensor) -> int | None:
    """Return the index of the first False in ``good`` (n,), or None if there is none."""
    return None if bool(good.all()) else int((~good).nonzero()[0])


def _is_number(value: object) -> bool:
    return type(value) is float or (isinstance(value, Real) and not isinstance(value, bool))


def _fix_number(value: object) -> str:
    """Suggest how to read a number out of a tensor. It is not read here, since that would wait for the device."""
    return f"Read it first: .{'item' if value.numel() == 1 else 'tolist'}()." if isinstance(value, Tensor) else ""


def _span(low: float, high: float) -> str:
    if high == float("inf"):
        return "that is finite" if low == -float("inf") else f"of at least {low:g}"
    return f"in [{low:g}, {high:g}]"
