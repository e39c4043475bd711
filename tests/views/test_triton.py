"""The kernels against the separate steps: on a GPU where there is one, else by Triton's interpreter."""

import subprocess
import sys
from typing import get_args

import pytest
import torch
from registry import TRANSFORMS
from torch.testing import assert_close

import equicon as eq
from equicon._views.color import ColorMap, Normalization
from equicon._views.warp import last_level, levels, read_all

pytest.importorskip("triton", reason="Triton comes with the CUDA builds of torch")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NORMALIZE = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
COLORS = eq.Compose([eq.ColorJitter(0.5, 0.3, 0.4, 0.1), eq.RandomGrayscale(0.3)])
# One rounding of what may be 2.6 after a normalisation, or what float32 loses of a coordinate and a sum.
paddings = pytest.mark.parametrize("padding_mode", get_args(eq.PaddingMode))
TOLERANCE = {torch.float32: 5e-5, torch.float16: 3e-3, torch.bfloat16: 2e-2}


def make_images(size: tuple[int, int], dtype: torch.dtype = torch.uint8, batch: int = 3) -> torch.Tensor:
    images = torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(0))
    return ((images * 255).round().to(torch.uint8) if dtype == torch.uint8 else images.to(dtype)).to(DEVICE)


def make_matrix(shrinks: list[float]) -> torch.Tensor:
    """Turn, shear, shift, flip, and shrink the pictures in their frame by known factors."""
    generator = torch.Generator().manual_seed(0)
    turn = eq.RandomAffine(180, 0.1, shear=10).sample(len(shrinks), generator=generator).affine
    shrink = eq.Affine.from_linear(torch.diag_embed(1 / torch.tensor(shrinks)[:, None] * torch.tensor([1.0, -1.0])))
    return (shrink @ turn).matrix.to(DEVICE)


def separately(images, matrix, size, color, normalization, dtype, memory_format, padding_mode):
    source = (images.shape[-2], images.shape[-1])
    last = last_level(source, size)
    level = levels(matrix, source, size, last)
    views = read_all(images, matrix, size, level, last, "bilinear", padding_mode)
    views = views if color is None else color.apply(views)
    views = views if normalization is None else normalization.apply(views)
    return views.to(dtype, memory_format=memory_format)


def compare(
    images: torch.Tensor,
    matrix: torch.Tensor,
    size: tuple[int, int],
    color: ColorMap | None = None,
    normalization: Normalization | None = None,
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.contiguous_format,
    padding_mode: eq.PaddingMode = "zeros",
) -> None:
    from equicon._views.triton import fused_view

    kept = images.clone()
    last = last_level((images.shape[-2], images.shape[-1]), size)
    fused = fused_view(images, matrix, size, last, color, normalization, dtype, memory_format, padding_mode)
    expected = separately(images, matrix, size, color, normalization, dtype, memory_format, padding_mode)
    assert fused.stride() == expected.stride()
    assert_close(fused, expected, atol=TOLERANCE[dtype], rtol=0)
    assert images.equal(kept)


def make_colors(matrix: torch.Tensor, uses_mean: bool) -> ColorMap:
    color = COLORS if uses_mean else eq.ColorJitter(0.5, 0.0, 0.4, 0.1)
    drawn = color.sample(len(matrix), generator=torch.Generator().manual_seed(1), device=DEVICE).color
    assert drawn is not None
    assert drawn.uses_mean == uses_mean
    return drawn


@pytest.mark.parametrize(
    ("size", "out", "padding_mode"),
    [
        *((size, out, "zeros") for size in ((40, 48), (37, 23)) for out in ((10, 12), (17, 11))),
        *(((37, 23), (10, 12), padding_mode) for padding_mode in ("border", "reflection")),
    ],
)
def test_every_level_is_read_as_the_separate_steps_read_it(size, out, padding_mode):
    ratio, last = min(size) / min(out), last_level(size, out)
    matrix = make_matrix([1 / ratio, 1.6 / ratio, 1.0, 1.95])
    assert set(levels(matrix, size, out, last).tolist()) == set(range(last + 1))
    compare(make_images(size, batch=4), matrix, out, padding_mode=padding_mode)


@paddings
@pytest.mark.parametrize("name", [name for name, entry in TRANSFORMS.items() if entry.geometric])
def test_views_of_the_registry_are_those_of_the_separate_steps(name, padding_mode):
    action = TRANSFORMS[name].transform.sample(1, generator=torch.Generator().manual_seed(0), device=DEVICE)
    # A view that is longer than its source shows what is outside, whatever the transform.
    compare(make_images((12, 14), batch=1), action.affine.matrix, (9, 16), action.color, padding_mode=padding_mode)


@paddings
def test_what_is_far_outside_is_folded_many_times(padding_mode):
    shift = torch.tensor([[5.3, -3.8], [-17.2, 0.4], [0.1, 30.7]])
    away = eq.Affine.from_linear(torch.eye(2).expand(3, 2, 2), shift).matrix.to(DEVICE)
    for size, out in (((8, 11), (8, 9)), ((12, 10), (9, 9))):
        compare(make_images(size), away, out, padding_mode=padding_mode)


def test_a_magnified_image_has_one_level():
    assert last_level((16, 16), (40, 40)) == 0
    compare(make_images((16, 16)), make_matrix([0.8, 1.0, 1.1]), (40, 40))


@pytest.mark.parametrize("color", [None, "pixels", "mean"])
@pytest.mark.parametrize("normalization", [None, NORMALIZE], ids=["plain", "normalized"])
@pytest.mark.parametrize(
    ("stored", "written", "memory_format"),
    [
        (torch.uint8, torch.bfloat16, torch.channels_last),
        (torch.uint8, torch.float32, torch.contiguous_format),
        (torch.float32, torch.float16, torch.contiguous_format),
        (torch.bfloat16, torch.float32, torch.channels_last),
    ],
)
def test_colour_normalisation_types_and_memory_formats(color, normalization, stored, written, memory_format):
    matrix = make_matrix([0.8, 1.3])
    drawn = None if color is None else make_colors(matrix, color == "mean")
    compare(make_images((24, 30), stored, 2), matrix, (12, 20), drawn, normalization, written, memory_format)


def test_images_may_have_any_strides():
    matrix = make_matrix([0.8, 1.0, 1.3])
    compare(make_images((24, 30)).contiguous(memory_format=torch.channels_last), matrix, (16, 16))
    compare(make_images((48, 60))[:, :, ::2, ::2], matrix, (16, 16))
    compare(make_images((24, 30)).flip(1).transpose(2, 3), matrix, (16, 16))


def test_what_lies_beyond_the_source_is_zero_and_an_empty_batch_is_empty():
    from equicon._views.triton import fused_view

    away = eq.Affine.from_linear(torch.eye(2)[None], torch.tensor([[5.0, 0.0]])).matrix.to(DEVICE)
    plain = (0, None, None, torch.float32, torch.contiguous_format, "zeros")
    assert float(fused_view(make_images((8, 8), batch=1), away, (8, 8), *plain).abs().max()) == 0
    assert fused_view(make_images((8, 8), batch=1)[:0], away[:0], (4, 6), *plain).shape == (0, 3, 4, 6)


@paddings
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numpy, which the interpreter computes with
def test_a_matrix_without_an_inverse_does_not_pass_for_a_black_view(padding_mode):
    from equicon._views.triton import fused_view

    flat = torch.tensor([[[1.0, 1.0, 0.1], [1.0, 1.0, 0.2], [0.0, 0.0, 1.0]]], device=DEVICE)
    lost = flat.clone().fill_(torch.nan)
    for matrix in (flat, lost):
        plain = (1, None, None, torch.float32, torch.contiguous_format, padding_mode)
        view = fused_view(make_images((8, 8), batch=1), matrix, (8, 8), *plain)
        assert not view.isfinite().all()


@pytest.mark.parametrize("values", [1e5, 1e-8])
def test_images_of_any_range_are_kept(values):
    """Without colour, images may be depths or coordinates, which float16 does not hold."""
    images = (make_images((32, 32), torch.float32, 2) * values).bfloat16()
    matrix = make_matrix([1.0, 1.5])
    from equicon._views.triton import fused_view

    last = last_level((32, 32), (8, 8))
    plain = (None, None, torch.bfloat16, torch.contiguous_format, "zeros")
    view = fused_view(images, matrix, (8, 8), last, *plain)
    expected = separately(images, matrix, (8, 8), *plain)
    assert last > 1
    assert_close(view, expected, atol=0.02 * values, rtol=0)


@paddings
def test_a_single_pixel_and_a_single_row(padding_mode):
    compare(make_images((1, 1), batch=1), make_matrix([1.0]), (1, 1), padding_mode=padding_mode)
    compare(make_images((1, 9), batch=1), make_matrix([1.0]), (3, 5), padding_mode=padding_mode)


COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from equicon._views import triton as _triton

NUMBERS = ("square_ratio", "scale", "unit_", "pixel_", "mean_", "std_")


def compiled(kernel, pointers, constants, capability):
    signature = {}
    for name in kernel.arg_names:
        kind = "fp32" if name.startswith(NUMBERS) else "i32"
        signature[name] = "constexpr" if name in constants else pointers.get(name, kind)
    known = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    source = ASTSource(fn=kernel, signature=signature, constexprs=known)
    binary = triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
    assert binary.startswith(b"\\x7fELF"), kernel


floats = {"matrix": "*fp32", "colors": "*fp32", "sums": "*fp32", "means": "*fp32"}
steps = {"LAST": 2, "FIRST": _triton.FIRST**2, "SECOND": _triton.SECOND**2, "TILE": 16}
one = {"image_x": 1, "view_c": 1}  # numbers that are 1 are constants: here of NCHW images and NHWC views
for capability in (75, 90):
    stored = {**floats, "images": "*u8", "halved": "*fp16"}
    compiled(_triton._halve, stored, {**steps, "image_x": 1, "halved_x": 1}, capability)
    flags = {"COLOR": True, "WAITS": True, "FADES": True, "FOLDS": False}
    compiled(_triton._interpolate, {**stored, "views": "*fp16"}, {**steps, **flags, **one}, capability)
    compiled(_triton._finish, {**floats, "waiting": "*fp16", "views": "*bf16"}, {"TILE": 16, "view_c": 1}, capability)
stored |= {"halved": "*u8", "views": "*bf16"}
steps["WAITS"] = False
single = {"height": 1, "width": 1, "rows": 1, "columns": 1}
for padding in ({"FADES": True, "FOLDS": False}, {"FADES": False, "FOLDS": False}, {"FADES": False, "FOLDS": True}):
    compiled(_triton._interpolate, stored, {**steps, **padding, "LAST": 0, "COLOR": True}, 90)
    compiled(_triton._interpolate, stored, {**steps, **padding, "LAST": 1, "COLOR": False, **single}, 90)
"""


@pytest.mark.slow
def test_the_kernels_compile_for_gpus_that_are_not_here(tmp_path):
    # The interpreter takes more than the compiler does: types that change in a loop, for one.
    environment = {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
