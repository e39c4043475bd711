"""Views by Triton: a kernel reads images as they are stored and writes what the encoder takes.

It computes what ``warp`` and ``color`` do in separate steps, and is tested to agree with them. A program makes one
tile of one view. Contrast needs the mean of the whole view, so with it the kernel leaves the colours as they were read
and the sum of each tile, and a second kernel finishes the view where it lies.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from equicon._checks import Size
from equicon._plane.frames import pixel_from_unit, unit_from_pixel
from equicon._views.color import ColorMap, Normalization
from equicon._views.warp import FIRST, SECOND, PaddingMode

_TILE = 16  # pixels to either side: what a turned tile reads lies close together


def fused_view(
    images: Tensor,
    matrix: Tensor,
    size: Size,
    last: int,
    color: ColorMap | None,
    normalization: Normalization | None,
    dtype: torch.dtype,
    memory_format: torch.memory_format,
    padding_mode: PaddingMode,
) -> Tensor:
    """Make views (B, 3, h, w) of images (B, 3, H, W) from levels 0 to ``last``."""
    height, width = source = (images.shape[-2], images.shape[-1])
    batch, (rows, columns) = len(images), size
    views = torch.empty(batch, 3, rows, columns, dtype=dtype, device=images.device, memory_format=memory_format)
    if batch == 0:
        return views
    scale = 1 / 255 if images.dtype == torch.uint8 else 1.0
    unit, pixel = unit_from_pixel(size), pixel_from_unit(source)
    geometry = (matrix.float().contiguous(), (min(source) / min(size)) ** 2)
    options: dict[str, Any] = {"LAST": last, "FIRST": FIRST**2, "SECOND": SECOND**2, "TILE": _TILE}

    waits = color is not None and color.uses_mean
    colors = geometry[0] if color is None else color.matrix.float().contiguous()
    normal = (*normalization.mean, *normalization.std) if normalization else (0.0,) * 3 + (1.0,) * 3
    tiles = triton.cdiv(rows, _TILE) * triton.cdiv(columns, _TILE)
    sums = views.new_empty(batch, 3, tiles if waits else 0, dtype=torch.float32)
    # Until the mean is known, colours wait where the views will be. float16 is finer than bfloat16 in [0, 1].
    waiting = views.view(torch.float16) if waits and dtype == torch.bfloat16 else views

    with torch.cuda.device_of(images):
        halved = images
        if last > 1:
            shape = (batch, 3, triton.cdiv(height, 2), triton.cdiv(width, 2))
            # Means of uint8 keep all that half-precision views show of them; other images may be out of its range.
            short = images.dtype == torch.uint8 and dtype.itemsize == 2
            halved = views.new_empty(shape, dtype=torch.float16 if short else torch.float32)
            cells = triton.cdiv(shape[2], _TILE) * triton.cdiv(shape[3], _TILE)
            _halve[(cells * batch,)](
                images, *images.stride(), height, width, *geometry, scale, halved, *halved.stride(), **options
            )
        _interpolate[(tiles * batch,)](
            images, *images.stride(), height, width, *geometry, scale, halved, *halved.stride(),
            waiting, *views.stride(), rows, columns,
            unit.scale_x, unit.offset_x, unit.offset_y, pixel.scale_x, pixel.offset_x, pixel.offset_y,
            colors, sums, *normal,
            COLOR=color is not None, WAITS=waits,
            FADES=padding_mode == "zeros", FOLDS=padding_mode == "reflection", **options,
        )  # fmt: skip
        if waits:
            means = sums.sum(-1) / (rows * columns)
            _finish[(tiles * batch,)](
                waiting, views, *views.stride(), rows, columns, colors, means, *normal, TILE=_TILE
            )  # fmt: skip
    return views


@triton.jit
def _tile(rows, columns, TILE: tl.constexpr):
    """Tell which image and which of its tiles this program makes, and the places in it."""
    across = tl.cdiv(columns, TILE)
    tiles = tl.cdiv(rows, TILE) * across
    image, tile = tl.program_id(0) // tiles, tl.program_id(0) % tiles
    place = tl.arange(0, TILE * TILE)
    y, x = (tile // across) * TILE + place // TILE, (tile % across) * TILE + place % TILE
    return image.to(tl.int64), tile, tiles, y, x, (y < rows) & (x < columns)


@triton.jit
def _level(matrix, square_ratio, LAST: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr):
    """Choose the level of an image by the shrink of its matrix, as ``warp.levels`` does."""
    determinant = tl.load(matrix) * tl.load(matrix + 4) - tl.load(matrix + 1) * tl.load(matrix + 3)
    square = square_ratio / tl.abs(determinant)
    level = 0
    if LAST >= 1:
        level += (square >= FIRST).to(tl.int32)
    for k in tl.static_range(2, LAST + 1):
        level += (square >= SECOND * (1 << (2 * (k - 2)))).to(tl.int32)
    return level


@triton.jit
def _halve(
    images, image_b, image_c, image_y, image_x, height, width, matrix, square_ratio, scale,
    halved, halved_b, halved_c, halved_y, halved_x,
    LAST: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Halve images as often as their levels ask for, those that need it."""
    b, _, _, y, x, _ = _tile(tl.cdiv(height, 2), tl.cdiv(width, 2), TILE)
    level = _level(matrix + b * 9, square_ratio, LAST, FIRST, SECOND)
    if level > 1:
        stride = 1 << (level - 1)
        inside = (y < tl.cdiv(height, stride)) & (x < tl.cdiv(width, stride))
        for channel in tl.static_range(3):
            total = tl.zeros([TILE * TILE], tl.float32)
            tap = 0
            while tap < stride * stride:  # not range: the interpreter of Triton 3.6 takes no tensor there
                row = tl.minimum(y * stride + tap // stride, height - 1)
                column = tl.minimum(x * stride + tap % stride, width - 1)
                pixel = images + b * image_b + row * image_y + column * image_x
                total += tl.load(pixel, mask=inside, other=0).to(tl.float32)
                tap += 1
            place = halved + b * halved_b + channel * halved_c + y * halved_y + x * halved_x
            tl.store(place, total * (scale / (stride * stride)), mask=inside)
            images += image_c


@triton.jit
def _interpolate(
    images, image_b, image_c, image_y, image_x, height, width, matrix, square_ratio, scale,
    halved, halved_b, halved_c, halved_y, halved_x,
    views, view_b, view_c, view_y, view_x, rows, columns,
    unit_scale, unit_x, unit_y, pixel_scale, pixel_x, pixel_y,
    colors, sums, mean_r, mean_g, mean_b, std_r, std_g, std_b,
    COLOR: tl.constexpr, WAITS: tl.constexpr, FADES: tl.constexpr, FOLDS: tl.constexpr,
    LAST: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Read a tile of a view from its level, and write it: coloured and normalised, or to wait for its mean."""
    b, tile, tiles, y, x, inside = _tile(rows, columns, TILE)
    matrix += b * 9
    # The inverse of the matrix, from the view's units to the source's.
    m00, m01, m10, m11 = tl.load(matrix), tl.load(matrix + 1), tl.load(matrix + 3), tl.load(matrix + 4)
    u = x * unit_scale + unit_x - tl.load(matrix + 2)
    v = y * unit_scale + unit_y - tl.load(matrix + 5)
    scaled = pixel_scale / (m00 * m11 - m01 * m10)
    source_x = (m11 * u - m01 * v) * scaled + pixel_x
    source_y = (m00 * v - m10 * u) * scaled + pixel_y
    lost = (source_x + source_y) * 0  # a matrix that is not finite or has no inverse shows, as with torch
    weight = lost + 1
    if FADES:  # zeros beyond the source: how much of a bilinear read lies on its pixels
        covered_x = tl.minimum(tl.maximum(tl.minimum(source_x + 1, width - source_x), 0.0), 1.0)
        covered_y = tl.minimum(tl.maximum(tl.minimum(source_y + 1, height - source_y), 0.0), 1.0)
        weight = covered_x * covered_y
    if FOLDS:
        source_x, source_y = _folded(source_x, width), _folded(source_y, height)
    seen = inside & (weight > 0)

    level = _level(matrix, square_ratio, LAST, FIRST, SECOND)
    if level < 2:
        red, green, blue = _read(
            images + b * image_b, image_c, image_y, image_x, height, width, source_y, source_x, level, seen,
            TAPS=2 if LAST == 0 else 3,
        )  # fmt: skip
        weight *= scale
    else:
        stride = 1 << (level - 1)
        level_y, level_x = (source_y + 0.5) / stride - 0.5, (source_x + 0.5) / stride - 0.5
        red, green, blue = _read(
            halved + b * halved_b, halved_c, halved_y, halved_x,
            tl.cdiv(height, stride), tl.cdiv(width, stride), level_y, level_x, 1, seen, TAPS=3,
        )  # fmt: skip
    red, green, blue = red * weight + lost, green * weight + lost, blue * weight + lost

    if WAITS:
        sums += b * 3 * tiles + tile
        tl.store(sums, tl.sum(red))
        tl.store(sums + tiles, tl.sum(green))
        tl.store(sums + 2 * tiles, tl.sum(blue))
    else:
        if COLOR:
            red, green, blue = _product(colors + b * 36, red, green, blue)
            red, green, blue = _clamped(red), _clamped(green), _clamped(blue)
        red, green, blue = (red - mean_r) / std_r, (green - mean_g) / std_g, (blue - mean_b) / std_b
    _write(views + b * view_b + y * view_y + x * view_x, view_c, red, green, blue, inside)


@triton.jit
def _finish(
    waiting, views, view_b, view_c, view_y, view_x, rows, columns,
    colors, means, mean_r, mean_g, mean_b, std_r, std_g, std_b, TILE: tl.constexpr,
):  # fmt: skip
    """Colour and normalise a tile of a view, now that the view's mean is known."""
    b, _, _, y, x, inside = _tile(rows, columns, TILE)
    colors, means = colors + b * 36, means + b * 3
    of_mean_r, of_mean_g, of_mean_b = _product(colors + 3, tl.load(means), tl.load(means + 1), tl.load(means + 2))
    offset = b * view_b + y * view_y + x * view_x
    red = tl.load(waiting + offset, mask=inside, other=0).to(tl.float32)
    green = tl.load(waiting + offset + view_c, mask=inside, other=0).to(tl.float32)
    blue = tl.load(waiting + offset + 2 * view_c, mask=inside, other=0).to(tl.float32)
    red, green, blue = _product(colors, red, green, blue)
    red, green, blue = _clamped(red + of_mean_r), _clamped(green + of_mean_g), _clamped(blue + of_mean_b)
    red, green, blue = (red - mean_r) / std_r, (green - mean_g) / std_g, (blue - mean_b) / std_b
    _write(views + offset, view_c, red, green, blue, inside)


@triton.jit
def _read(image, image_c, image_y, image_x, height, width, y, x, boxed, seen, TAPS: tl.constexpr):
    """Read three channels of a level bilinearly, of the averages of 2 × 2 neighbours where ``boxed`` (1, else 0)."""
    first_y, y0, y1, y2 = _taps(y, height, boxed)
    first_x, x0, x1, x2 = _taps(x, width, boxed)
    red, green, blue = tl.zeros_like(x0), tl.zeros_like(x0), tl.zeros_like(x0)
    for j in tl.static_range(TAPS):
        row = tl.minimum(first_y + j, height - 1)
        weight_y = y0 if j == 0 else y1 if j == 1 else y2
        for i in tl.static_range(TAPS):
            column = tl.minimum(first_x + i, width - 1)
            weight = weight_y * (x0 if i == 0 else x1 if i == 1 else x2)
            place, read = image + row * image_y + column * image_x, seen & (weight > 0)
            red += weight * tl.load(place, mask=read, other=0).to(tl.float32)
            # One after the other: twice the stride may be beyond what an int32 holds.
            place += image_c
            green += weight * tl.load(place, mask=read, other=0).to(tl.float32)
            place += image_c
            blue += weight * tl.load(place, mask=read, other=0).to(tl.float32)
    return red, green, blue


@triton.jit
def _folded(place, count):
    """Fold places back at the outermost pixels' centres, as ``frames.reflected`` does; ``_taps`` does what is left."""
    last = count - 1.0
    period = tl.maximum(2 * last, 1.0)  # a single pixel is everywhere
    place = tl.abs(place)
    return last - tl.abs(place - tl.floor(place / period) * period - last)


@triton.jit
def _taps(place, count, boxed):
    """Tell the first of three neighbouring pixels, and the weight of each: two suffice where not boxed."""
    half = boxed * 0.5
    place = tl.minimum(tl.maximum(place - half, 0.0), count - 1.0 - boxed)
    first = tl.floor(place)
    t = place - first
    return first.to(tl.int32), (1 - t) * (1 - half), t * (1 - boxed) + half, t * half


@triton.jit
def _product(matrix, red, green, blue):
    """Multiply by a block of 3 × 3 of a colour map's 6 × 6."""
    return (
        tl.load(matrix) * red + tl.load(matrix + 1) * green + tl.load(matrix + 2) * blue,
        tl.load(matrix + 6) * red + tl.load(matrix + 7) * green + tl.load(matrix + 8) * blue,
        tl.load(matrix + 12) * red + tl.load(matrix + 13) * green + tl.load(matrix + 14) * blue,
    )


@triton.jit
def _clamped(value):
    return tl.minimum(tl.maximum(value, 0.0), 1.0)


@triton.jit
def _write(view, view_c, red, green, blue, inside):
    kind = view.dtype.element_ty
    tl.store(view, red.to(kind), mask=inside)
    tl.store(view + view_c, green.to(kind), mask=inside)
    tl.store(view + 2 * view_c, blue.to(kind), mask=inside)
