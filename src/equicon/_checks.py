"""Shape, type and range checks, with one wording for every error.

A message reads ``argument: expected what, got what. What to do about it.`` Configuration is checked where it is given
(``__post_init__``), tensors once at the public boundary. No check looks at the value of a tensor that may live on an
accelerator: that would wait for the device.
"""

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from equicon._torch import in_function_transform, is_tracing

Size: TypeAlias = tuple[int, int]
"""Height and width in pixels."""


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
    return f"{argument}: expected {expected}, got {came}.{' ' + fix if fix else ''}"


def check_number(argument: str, value: Any, *, low: float = -float("inf"), high: float = float("inf")) -> float:
    """Check for a finite number in [low, high] and return it as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise type_error(argument, "a number", describe(value))
    if not low <= value <= high or value in (float("inf"), -float("inf")):
        raise value_error(argument, f"a number {_span(low, high)}", value)
    return float(value)


def check_positive(argument: str, value: Any) -> float:
    """Check for a finite number above zero and return it as a float."""
    if check_number(argument, value) <= 0:
        raise value_error(argument, "a number above 0", value)
    return float(value)


def check_probability(argument: str, value: Any) -> float:
    """Check for a probability and return it as a float."""
    return check_number(argument, value, low=0.0, high=1.0)


def check_int(argument: str, value: Any, *, low: int) -> int:
    """Check for a whole number of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise type_error(argument, "a whole number", describe(value))
    if value < low:
        raise value_error(argument, f"a whole number of at least {low}", value)
    return value


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


def check_factors(
    argument: str, value: Any, *, low: float = -float("inf"), high: float = float("inf")
) -> tuple[float, float]:
    """Check for a pair (lowest, highest) inside [low, high], both above 0, and return it as floats."""
    first, last = check_range(argument, value, low=low, high=high)
    return check_positive(argument, first), last


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


def check_batch(argument: str, length: int, expected: int, of: str, fix: str = "") -> None:
    """Check that two batches have the same length."""
    if length != expected:
        raise value_error(argument, f"a batch of {expected}, that of {of}", f"a batch of {length}", fix)


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
    """Whether values stand behind a tensor: not while compiling or tracing, inside ``vmap``, or on the meta device."""
    if torch.compiler.is_compiling() or is_tracing():
        return False
    return type(tensor) in (Tensor, torch.nn.Parameter) and not (tensor.is_meta or in_function_transform())


def readable(tensor: Tensor) -> bool:
    """Whether values may be looked at: they are there, and not on a device that would have to be waited for."""
    return tensor.device.type == "cpu" and concrete(tensor)


def check_affine_values(argument: str, matrix: Tensor) -> None:
    """Check that matrices (B, 3, 3) are finite, affine and invertible, where their values may be looked at."""
    if not readable(matrix) or len(matrix) == 0:
        return
    matrix = matrix.detach().double()
    linear = matrix[:, :2, :2]
    affine = (matrix[:, 2] == matrix.new_tensor([0.0, 0.0, 1.0])).all(-1)
    regular = linear.det().abs() > 1e-12 * linear.square().sum((-2, -1))
    for what, good in (
        ("finite numbers", matrix.isfinite().all(-1).all(-1)),
        ("a last row of (0, 0, 1)", affine),
        ("an invertible matrix", regular),
    ):
        if not bool(good.all()):
            index = int((~good).nonzero()[0])
            raise value_error(argument, what, f"{matrix[index].tolist()} at index {index}")


def _span(low: float, high: float) -> str:
    if high == float("inf"):
        return "that is finite" if low == -float("inf") else f"of at least {low:g}"
    return f"in [{low:g}, {high:g}]"
