"""The effect of JPEG compression on a picture: its coefficients in blocks of 8 × 8 pixels lose precision."""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

# The tables of ITU-T T.81 (1992), annex K, for luminance and chrominance.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_TABLES = torch.tensor([_LUMINANCE, _CHROMINANCE, _CHROMINANCE], dtype=torch.float32, device="cpu")
# The orthonormal cosine transform of 8 values: row k is the k-th frequency. Even rows are symmetric, odd ones
# antisymmetric, so sums and differences of mirrored values need half of it each.
_COSINES = torch.tensor(
    [[(0.5 if k else 8**-0.5) * math.cos((2 * n + 1) * k * math.pi / 16) for n in range(4)] for k in range(8)],
    dtype=torch.float32,
    device="cpu",
)


def compress(image: Tensor, quality: Tensor) -> Tensor:
    """Compress images (B, 3, H, W) in [0, 1] with a quality (B,) from 1 to 100, and decompress them.

    Quantisation is as in JPEG, with the scale of the quality as in the Independent JPEG Group's library, but without
    rounding to bytes and without subsampling of colour. All operations are elementwise, so an image's result does not
    depend on its batch.
    """
    height, width = image.shape[-2:]
    full = pad(image, (0, -width % 8, 0, -height % 8), mode="replicate")
    planes = _to_luma(full * 255.0).unflatten(3, (-1, 8)).unflatten(2, (-1, 8))  # (B, 3, rows, 8, columns, 8)
    blocks = planes.permute(3, 5, 0, 1, 2, 4)
    shape = blocks.shape
    blocks = blocks.flatten(4).contiguous()
    scale = torch.where(quality < 50, 5000.0 / quality, 200.0 - 2.0 * quality)[:, None, None, None]
    steps = ((_TABLES.to(image.device) * scale + 50.0) / 100.0).floor().clamp(1.0, 255.0).permute(2, 3, 0, 1)[..., None]
    cosines = _COSINES.to(image.device)
    coefficients = _forward(_forward(blocks, cosines).transpose(0, 1), cosines).transpose(0, 1)
    coefficients = (coefficients / steps).round() * steps
    blocks = _backward(_backward(coefficients, cosines).transpose(0, 1), cosines).transpose(0, 1)
    planes = blocks.reshape(shape).permute(2, 3, 4, 0, 5, 1).flatten(4).flatten(2, 3)
    return _from_luma(planes[..., :height, :width]) / 255.0


def _forward(values: Tensor, cosines: Tensor) -> Tensor:
    """Transform along the first dimension of 8."""
    mirrored = values.flip(0)
    result = torch.empty_like(values)
    for parity, half in enumerate((values[:4] + mirrored[:4], values[:4] - mirrored[:4])):
        result[parity::2] = _weigh(cosines[parity::2], half)
    return result


def _backward(values: Tensor, cosines: Tensor) -> Tensor:
    even, odd = (_weigh(cosines[parity::2].t(), values[parity::2]) for parity in (0, 1))
    return torch.cat([even + odd, (even - odd).flip(0)])


def _weigh(weights: Tensor, values: Tensor) -> Tensor:
    """Multiply a (4, 4) matrix with (4, ...), in a fixed order."""
    columns = [column.view(-1, *(1,) * (values.ndim - 1)) for column in weights.unbind(1)]
    total = columns[0] * values[0]
    for column, value in zip(columns[1:], values[1:], strict=True):
        total = total + column * value
    return total


def _to_luma(image: Tensor) -> Tensor:
    red, green, blue = image.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([luma - 128.0, (blue - luma) / 1.772, (red - luma) / 1.402], dim=1)


def _from_luma(planes: Tensor) -> Tensor:
    luma, blue, red = planes.unbind(1)
    luma = luma + 128.0
    red, blue = luma + 1.402 * red, luma + 1.772 * blue
    return torch.stack([red, (luma - 0.299 * red - 0.114 * blue) / 0.587, blue], dim=1)
