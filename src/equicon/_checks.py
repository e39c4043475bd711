"""Shape, type and range checks, with one wording for every error.

A message reads ``argument: expected what, got what. What to do about it.`` Configuration is checked where it is given
(``__post_init__``), tensors once at the public boundary. No check looks at the value of a tensor that may live on an
accelerator: that would wait for the device.
"""

import operator
import sys
from collections.abc import Sequence, Sized
from typing import Any, TypeAlias

import torch
from torch import Tensor

from equicon._torch import in_function_transform, is_tracing

Size: TypeAlias = tuple[int, int]
"""Height and width in pixels."""
Counted: TypeAlias = Tensor | Sized | int
"""A batch, or how many it has."""

LARGEST = 1e4
"""Of factors, and 1 over it the smallest: a product of several is then finite in float32, as is its inverse, and one
alone in half precision. Beyond it nothing is left of a picture."""


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
    came = got if isinstance(got, str) else describe(got)  # a text is a description made by the caller
    text = f"{argument}: expected {expected}, got {came}.{' ' + fix if fix else ''}"
    # Names of files need not be UTF-8, and what Python makes of those ends a programme that prints it.
    return text.encode(errors="backslashreplace").decode()


def check_number(argument: str, value: Any, *, low: float = -float("inf"), high: float = float("inf")) -> float:
    """Check for a finite number in [low, high] and return it as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise type_error(argument, "a number", describe(value))
    if not low <= value <= high or abs(value) > sys.float_info.max:
        raise value_error(argument, f"a number {_span(low, high)}", value)
    return float(value)


def check_positive(argument: str, value: Any) -> float:
    """Check for a finite number above zero and return it as a float."""
    if check_number(argument, value) <= 0:
        raise value_error(argument, "a number above 0", value)
    return float(value)


def check_factor(argument: str, value: Any) -> float:
    """Check for a number above 0 that neither vanishes nor overflows, and return it as a float."""
    check_positive(argument, value)
    return check_number(argument, value, low=1 / LARGEST, high=LARGEST)


def check_probability(argument: str, value: Any) -> float:
    """Check for a probability and return it as a float."""
    return check_number(argument, value, low=0.0, high=1.0)


def check_int(argument: str, value: Any, *, low: int) -> int:
    """Check for a whole number of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, int | torch.SymInt):
        raise type_error(argument, "a whole number", describe(value))
    if value < low:
        raise value_error(argument, f"a whole number of at least {low}", value)
    return value  # type: ignore[return-value]  # a size that torch.export leaves open is a number to its graph


def check_index(index: int, length: int) -> int:
    """Check the index of an item, and count a negative one from the end."""
    position = operator.index(index)
    if not -length <= position < length:
        raise IndexError(f"index: expected a whole number in [{-length}, {length - 1}], got {position}.")
    return position % length


def check_range(
    argument: str, value: Any, *, low: float = -float("inf"), high: float = float("inf")
) -> tuple[float, float]:
    """Check for a pair (lowest, highest) inside [low, high] and return it as floats."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise type_error(argument, "a pair (lowest, highest)", describe(value))
    first, last = (check_number(argument, v, low=low, high=high) for v in value)
    if first > last:
        raise value_error(argument, "lowest <= highest", value, "Swap the two.")
    return first, last


def check_factors(argument: str, value: Any, *, low: float = 1 / LARGEST, high: float = LARGEST) -> tuple[float, float]:
    """Check for a pair (lowest, highest) inside [low, high], both above 0, and return it as floats."""
    check_positive(argument, check_range(argument, value)[0])
    return check_range(argument, value, low=low, high=high)


def check_symmetric(argument: str, value: Any, *, limit: float = float("inf")) -> tuple[float, float]:
    """Check for a number a, which stands for (−a, a), or a range, inside [−limit, limit], and return the range."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return check_range(argument, value, low=-limit, high=limit)
    bound = check_number(argument, value, low=0.0, high=limit)
    return -bound, bound


def check_size(argument: str, value: Any) -> Size:
    """Check for a size (height, width) in pixels, both at least 1."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise type_error(argument, "a pair (height, width)", describe(value), "Write (s, s) for a square.")
    height, width = (check_int(argument, v, low=1) for v in value)
    return height, width


def check_images(images: Any) -> Tensor:
    """Check for a batch of images (B, C, H, W), uint8 or floating, that is not empty in C, H or W."""
    if not isinstance(images, Tensor):
        raise type_error(
            "images", "a tensor (B, C, H, W)", describe(images), "Convert it with torch.from_numpy or torch.stack."
        )
    if images.ndim != 4:
        fix = "Add the batch dimension: images[None]." if images.ndim == 3 else ""
        raise value_error("images", "a batch of shape (B, C, H, W)", images, fix)
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise type_error("images", "uint8, or a floating type with values in [0, 1]", images)
    if 0 in images.shape[1:]:
        raise value_error("images", "at least one channel and one pixel", images)
    return images


def check_floating(argument: str, value: Any, shape: str, *, last: tuple[int, ...], ndim: int | None = None) -> Tensor:
    """Check for a floating tensor whose last dimensions are ``last`` (and that has ``ndim`` of them, if given)."""
    if not isinstance(value, Tensor):
        raise type_error(argument, f"a tensor {shape}", describe(value), "Convert it with torch.as_tensor.")
    if value.shape[-len(last) :] != last or (ndim is not None and value.ndim != ndim):
        raise value_error(argument, f"a tensor of shape {shape}", value)
    if not value.is_floating_point():
        raise type_error(argument, "a floating type", value, "Convert it with .float().")
    return value


def count(batch: Counted) -> int:
    """Count a batch. ``len`` would make a fixed number of a size that ``torch.export`` leaves open."""
    if isinstance(batch, int | torch.SymInt):
        return batch
    return batch.shape[0] if isinstance(batch, Tensor) else batch.__len__()


def check_batch(argument: str, batch: Counted, expected: Counted, of: str, fix: str = "") -> None:
    """Check that two batches have the same length."""
    found, wanted = count(batch), count(expected)
    if found != wanted:
        raise value_error(argument, f"a batch of {wanted}, that of {of}", f"a batch of {found}", fix)


def as_tuples(config: object) -> None:
    """Turn the lists of a frozen dataclass into tuples, so that it hashes, and cannot be changed from outside."""
    for name, value in vars(config).items():
        if isinstance(value, list):
            object.__setattr__(config, name, tuple(value))


def check_choice(argument: str, value: object, known: Sequence[str]) -> None:
    """Check for one of the known names."""
    if value not in known:
        raise value_error(argument, f"one of {', '.join(known)}", value)


def concrete(tensor: Tensor) -> bool:
    """Whether values stand behind a tensor: not while compiling or tracing, nor inside ``vmap`` and its like."""
    if torch.compiler.is_compiling() or is_tracing():
        return False
    return type(tensor) in (Tensor, torch.nn.Parameter) and not in_function_transform()


def readable(tensor: Tensor) -> bool:
    """Whether values may be looked at: they are there, and not on a device that would have to be waited for."""
    return tensor.device.type == "cpu" and concrete(tensor)


def check_positive_values(argument: str, values: Tensor) -> None:
    """Check that numbers (...) are finite, above 0 and may be divided by, where they may be looked at."""
    if readable(values):
        good = (values.isfinite() & (values > 0) & values.reciprocal().isfinite()).flatten()
        if not bool(good.all()):
            index = int((~good).nonzero()[0])
            raise value_error(
                argument, "finite numbers above 0", f"{float(values.flatten()[index]):g} at index {index}"
            )


def _span(low: float, high: float) -> str:
    if high == float("inf"):
        return "that is finite" if low == -float("inf") else f"of at least {low:g}"
    return f"in [{low:g}, {high:g}]"
