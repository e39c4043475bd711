import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equicon.hands._rendered.jpeg import _CHROMINANCE, _LUMINANCE, compress


def photo(seed: int, *shape: int) -> torch.Tensor:
    coarse = torch.rand(shape[0], 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, shape[1:], mode="bilinear") * 0.6 + 0.2


def reference(image: torch.Tensor, quality: float) -> torch.Tensor:
    """Compress an image whose sides are multiples of 8 block by block, with the definition of the transform."""
    red, green, blue = (image.double() * 255).unbind(0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = [luma - 128, (blue - luma) / 1.772, (red - luma) / 1.402]
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    n = torch.arange(8).double()
    transform = torch.cos((2 * n + 1) * n[:, None] * torch.pi / 16) * 0.5
    transform[0] = 8**-0.5
    for plane, table in zip(planes, (_LUMINANCE, _CHROMINANCE, _CHROMINANCE), strict=True):
        steps = ((torch.tensor(table) * scale + 50) / 100).floor().clamp(1, 255)
        for y in range(0, plane.shape[0], 8):
            for x in range(0, plane.shape[1], 8):
                block = transform @ plane[y : y + 8, x : x + 8] @ transform.t()
                plane[y : y + 8, x : x + 8] = transform.t() @ ((block / steps).round() * steps) @ transform
    luma, blue, red = planes[0] + 128, planes[1], planes[2]
    red, blue = luma + 1.402 * red, luma + 1.772 * blue
    return torch.stack([red, (luma - 0.299 * red - 0.114 * blue) / 0.587, blue]) / 255


@given(seed=st.integers(0, 2**32), quality=st.floats(5.0, 95.0))
def test_it_is_the_quantised_cosine_transform(seed, quality):
    image = photo(seed, 1, 16, 24)
    error = (compress(image, torch.tensor([quality]))[0] - reference(image[0], quality)).abs()
    assert error.median() < 1e-5  # a coefficient on the brink may fall to the other side


@pytest.mark.parametrize("quality", [20.0, 50.0, 90.0])
@given(seed=st.integers(0, 2**32))
def test_it_keeps_the_mean(quality, seed):
    image = photo(seed, 3, 32, 32) + 0.05 * torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    means = compress(image, torch.full((3,), quality)).mean((2, 3)) - image.mean((2, 3))
    scale = 50.0 / quality if quality < 50 else 2.0 - quality / 50.0
    assert means.abs().max() < (16 + 17 * 1.8) * scale / 16 / 255 + 1e-3  # half a step of the constant coefficients


@given(seed=st.integers(0, 2**32))
def test_a_better_quality_loses_less_and_the_best_almost_nothing(seed):
    image = photo(seed, 4, 24, 24)
    image = image[:1].expand(4, -1, -1, -1)
    lost = (compress(image, torch.tensor([10.0, 40.0, 80.0, 100.0])) - image).square().mean((1, 2, 3))
    assert lost[0] > lost[1] > lost[2] > lost[3]
    assert lost[3] < 1e-5


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 30), (37, 37)])
def test_any_size_and_any_batch(height, width):
    images, quality = photo(0, 5, height, width), torch.tensor([20.0, 30.0, 50.0, 70.0, 90.0])
    together = compress(images, quality)
    assert together.shape == images.shape
    for i in range(5):
        assert torch.equal(compress(images[i : i + 1], quality[i : i + 1])[0], together[i])


@pytest.mark.parametrize("quality", [10, 30, 80])
def test_it_does_what_a_jpeg_file_does(quality):
    cv2 = pytest.importorskip("cv2")
    grain = 0.05 * torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    image = ((photo(3, 1, 64, 64) + grain) * 255).round() / 255
    pixels = (image[0] * 255).byte().permute(1, 2, 0).flip(-1).contiguous().numpy()
    whole = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, file = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality, *whole])
    theirs = torch.from_numpy(cv2.imdecode(file, cv2.IMREAD_COLOR)).flip(-1).permute(2, 0, 1) / 255
    apart = (compress(image, torch.tensor([float(quality)]))[0] - theirs).square().mean().sqrt()
    lost = (theirs - image[0]).square().mean().sqrt()
    assert apart < 0.007  # it rounds to bytes on the way
    assert lost > 2 * apart
