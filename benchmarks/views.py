"""Measure the time of views against Kornia, torchvision, OpenCV and bare interpolation: one table for each setting.

python benchmarks/views.py                                     (CPU, and the GPU if there is one; about two minutes)
python benchmarks/views.py --settings 64:224:128 --rounds 25
"""

import argparse
import itertools
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

os.environ.update(KINETO_LOG_LEVEL="99", TORCH_CPP_LOG_LEVEL="ERROR")  # the profiler would print a lot

import cv2
import kornia
import kornia.augmentation as ka
import torch
import torch.nn.functional as F
import torchvision
import torchvision.transforms.v2 as tv
from kornia.geometry.transform import warp_affine
from memory import peak_megabytes
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

import equicon as eq

BARE = "bare affine_grid + grid_sample"
NORMALIZE = eq.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
GEOMETRY: list[eq.EquivariantTransform] = [
    eq.RandomRotation(45),
    eq.RandomAffine(0, 0.1, (0.8, 1.2)),
    eq.RandomResizedCrop((0.25, 1.0)),
]
COLOR: list[eq.EquivariantTransform] = [eq.ColorJitter(0.4, 0.4, 0.4, 0.1), eq.RandomGrayscale(0.2)]
CHAINS = {
    "geometry": eq.Compose(GEOMETRY),
    "geometry and colour": eq.Compose([*GEOMETRY, *COLOR]),
    "PeCLR preset": eq.presets.peclr(),
}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        work: The work that is timed, sampling included.
        rival: The row of another library to compare with.
        moved: The bytes that any implementation has to move: it reads the input once and writes the output once.
    """

    work: Callable[[], Any]
    rival: str = ""
    moved: int = 0


def read_settings(description: str, settings: list[str], rounds: int, argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the options of a benchmark of views, with the given defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--settings",
        nargs="+",
        metavar="BATCH:SOURCE:VIEW",
        default=settings,
        help="batch size, side of the images [pixels] and side of the views [pixels]; one table for each",
    )
    turns = "timings of each row; the rows take turns"
    parser.add_argument("--rounds", type=int, default=rounds, metavar="N", help=turns)
    return parser.parse_args(argv)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    usual = ["64:224:128", "256:224:128", "32:64:64", "16:480:224"]
    return read_settings((__doc__ or "").partition("\n")[0], usual, 11, argv)


def kornia_chain(name: str, view: int) -> ka.AugmentationSequential:
    """Build a chain of ``CHAINS`` with Kornia's augmentations, which resample one after the other."""
    color = [ka.ColorJitter(0.4, 0.4, 0.4, 0.1, p=1.0), ka.RandomGrayscale(p=0.2)]
    geometry = [
        ka.RandomRotation(45.0, p=1.0),
        ka.RandomAffine(0.0, translate=(0.1, 0.1), scale=(0.8, 1.2), p=1.0),
        ka.RandomResizedCrop((view, view), scale=(0.25, 1.0), p=1.0),
    ]
    preset = [
        ka.RandomAffine(45.0, translate=(15 / 128, 15 / 128), scale=(1 / 1.5, 1 / 0.9), p=1.0),
        ka.Resize((view, view)),
        ka.ColorJitter(0.5, 0.1, 0.5, 0.01, p=1.0),
    ]
    parts = {"geometry": geometry, "geometry and colour": geometry + color, "PeCLR preset": preset}[name]
    return ka.AugmentationSequential(*parts, data_keys=["input"], same_on_batch=False)


def torchvision_chain(name: str, view: int) -> tv.Compose:
    """Build a chain of ``CHAINS`` with torchvision's transforms, for one image at a time."""
    color = [tv.ColorJitter(0.4, 0.4, 0.4, 0.1), tv.RandomGrayscale(0.2)]
    bilinear = tv.InterpolationMode.BILINEAR
    geometry = [
        tv.RandomRotation(45, bilinear),
        tv.RandomAffine(0, (0.1, 0.1), (0.8, 1.2), interpolation=bilinear),
        tv.RandomResizedCrop(view, (0.25, 1.0), antialias=True),
    ]
    preset = [
        tv.RandomAffine(45, (15 / 128, 15 / 128), (1 / 1.5, 1 / 0.9), interpolation=bilinear),
        tv.Resize(view, antialias=True),
        tv.ColorJitter(0.5, 0.1, 0.5, 0.01),
    ]
    return tv.Compose({"geometry": geometry, "geometry and colour": geometry + color, "PeCLR preset": preset}[name])


def each_image(chain: tv.Compose, images: Tensor) -> Tensor:
    return torch.stack([chain(image) for image in images])


def opencv(images: list[Any], chain: eq.Compose, source: int, view: int) -> list[Any]:
    """Warp each image (H, W, 3) of type uint8 once, by the fused matrix."""
    matrices = chain.sample(len(images)).affine.pixels((source, source), (view, view))[:, :2].numpy()
    return [cv2.warpAffine(image, matrix, (view, view)) for image, matrix in zip(images, matrices, strict=True)]


def one_kornia_warp(images: Tensor, chain: eq.Compose, size: tuple[int, int]) -> Tensor:
    affine = chain.sample(len(images), device=images.device).affine
    matrices = affine.pixels((images.shape[-2], images.shape[-1]), size)[:, :2]
    views: Tensor = warp_affine(images, matrices, size, align_corners=True)
    return views


def bare(images: Tensor, theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Interpolate and do nothing else: two functions of torch, with matrices that were drawn before."""
    grid = F.affine_grid(theta, [len(images), 3, *size], align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def plain(images: Tensor, chain: eq.Compose, size: tuple[int, int]) -> Tensor:
    """Make views without anti-aliasing."""
    action = chain.sample(len(images), device=images.device)
    views = action.affine.warp(images, size, antialias=False)
    return views if action.color is None else action.color.apply(views)


def by_backend(backend: str, chain: eq.Compose, size: tuple[int, int], images: Tensor) -> Tensor:
    """Make views with the named backend."""
    before = os.environ.get("EQUICON_BACKEND")
    os.environ["EQUICON_BACKEND"] = backend
    try:
        return chain(images, size=size)[0]
    finally:
        if before is None:
            del os.environ["EQUICON_BACKEND"]
        else:
            os.environ["EQUICON_BACKEND"] = before


def rows(batch: int, source: int, view: int, device: str) -> dict[str, Row]:
    size, pixels, shown = (view, view), batch * 3 * source**2, batch * 3 * view**2
    # On a GPU, several batches take turns, because a single one would stay in the cache.
    batches = [
        torch.randint(0, 256, (batch, 3, source, source), dtype=torch.uint8, device=device)
        for _ in range(4 if device == "cuda" else 1)
    ]
    stored, images = itertools.cycle(batches), itertools.cycle([one.float() / 255 for one in batches])
    # Images and views are square, so equicon's unit frame equals torch's.
    theta = CHAINS["geometry"].sample(batch, device=device).affine.inverse().matrix[:, :2]
    table: dict[str, Row] = {BARE: Row(lambda: bare(next(images), theta, size))}
    for name, chain in CHAINS.items():
        rival = f"Kornia, {name}"
        table[rival] = Row(partial(on_next, kornia_chain(name, view), images))
        if device == "cpu":
            each = partial(each_image, torchvision_chain(name, view))
            for kind, given in (("uint8", stored), ("float", images)):
                table[f"torchvision each image, {name}, {kind}"] = Row(partial(on_next, each, given))
        for kind, given, bytes_of in (("uint8", stored, 1), ("float", images, 4)):
            moved = pixels * bytes_of + shown * 4
            ours = partial(chain, size=size)
            table[f"equicon, {name}, {kind}"] = Row(partial(on_next, ours, given), rival, moved)
            without = partial(plain, chain=chain, size=size)
            table[f"equicon, {name}, {kind}, not anti-aliased"] = Row(partial(on_next, without, given), rival, moved)
            for backend in ("torch", "kornia") if device == "cuda" else ("kornia",):
                work = partial(on_next, partial(by_backend, backend, chain, size), given)
                table[f"equicon, {name}, {kind}, by {backend}"] = Row(work, rival, moved)
    written: dict[str, Any] = {"size": size, "dtype": torch.bfloat16, "memory_format": torch.channels_last}
    whole = eq.Compose([*CHAINS["PeCLR preset"].transforms, NORMALIZE])
    moved, rival = pixels + shown * 2, "Kornia, PeCLR preset"
    table["equicon, preset, normalised, uint8 to bfloat16 NHWC"] = Row(
        partial(on_next, partial(whole, **written), stored), rival, moved
    )
    if device == "cuda":
        flat = eq.Compose([*CHAINS["PeCLR preset"].transforms[:3], eq.ColorJitter(0.5, 0, 0.5, 0.01), NORMALIZE])
        table["  the same, from a CUDA graph"] = Row(captured(whole, batches[0], written), rival, moved)
        table["  the same without contrast, from a CUDA graph"] = Row(captured(flat, batches[0], written), rival, moved)
    else:
        arrays = [image.permute(1, 2, 0).contiguous().numpy() for image in batches[0]]
        table["OpenCV each image, one warp, uint8"] = Row(partial(opencv, arrays, CHAINS["geometry"], source, view))
    table["one kornia.warp_affine"] = Row(
        partial(on_next, partial(one_kornia_warp, chain=CHAINS["geometry"], size=size), images)
    )
    return table


def on_next(work: Callable[[Tensor], Any], batches: Iterator[Tensor]) -> Any:
    return work(next(batches))


def captured(chain: eq.Compose, images: Tensor, written: dict[str, Any]) -> Callable[[], None]:
    """Capture a whole view in a CUDA graph. Each replay draws new parameters."""
    generator, side = torch.Generator("cuda").manual_seed(0), torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        chain(images, generator=generator, **written)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        chain(images, generator=generator, **written)
    return graph.replay


def milliseconds(work: Callable[[], Any], device: str) -> float:
    if device == "cpu":
        start = time.perf_counter()
        work()
        return 1e3 * (time.perf_counter() - start)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    for _ in range(10):
        work()
    last.record()
    last.synchronize()
    return float(first.elapsed_time(last)) / 10


def launches(work: Callable[[], Any]) -> int:
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        work()
        torch.cuda.synchronize()
    on_device = [event for event in found.key_averages() if str(event.device_type).endswith("CUDA")]
    return sum(event.count for event in on_device if not event.key.startswith(("Memcpy", "Memset")))


def bandwidth() -> float:
    """Measure the device's bandwidth with a copy of 1 GB, in bytes per millisecond. Reads and writes count."""
    data = torch.empty(2**28, device="cuda")
    copy = torch.empty_like(data)
    return 2 * data.nbytes / statistics.median(milliseconds(lambda: copy.copy_(data), "cuda") for _ in range(11))


def measure(setting: str, device: str, rounds: int) -> None:
    batch, source, view = map(int, setting.split(":"))
    torch.manual_seed(0)
    table = rows(batch, source, view, device)
    for row in table.values():  # compile, and fill caches
        row.work()
    times: dict[str, list[float]] = {name: [] for name in table}
    for _ in tqdm(range(rounds), desc=f"{device}, {setting}", leave=False):
        for name, row in table.items():
            times[name].append(milliseconds(row.work, device))
    medians = {name: statistics.median(values) for name, values in times.items()}
    floor = medians[BARE]
    rate = bandwidth() if device == "cuda" else 0.0

    print(f"\n{batch} images of {source} × {source} to {view} × {view}, {device}, medians of {rounds}")
    more = "  launches  × bandwidth floor" if device == "cuda" else ""
    print(f"{'':54s}      ms  images/s  peak MB  × bare  Kornia's / this{more}")
    for name, row in table.items():
        ms = medians[name]
        rival = f"{medians[row.rival] / ms:10.1f}" if row.rival else " " * 10
        hidden = name.startswith("OpenCV") or "graph" in name  # torch does not count this memory
        peak = " " * 8 if hidden else f"{peak_megabytes(row.work, device):8.0f}"
        line = f"{name:54s}{ms:8.2f}{1e3 * batch / ms:10.0f} {peak}{ms / floor:8.2f}{rival}"
        if device == "cuda":
            count = "" if "graph" in name else str(launches(row.work))
            line += f"{count:>10s}" + (f"{ms * rate / row.moved:10.1f}" if row.moved else "")
        print(line.rstrip())


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    versions = f"torch {torch.__version__}, kornia {kornia.__version__}, torchvision {torchvision.__version__}"
    print(
        f"{date.today()}, {platform.machine()}, {torch.get_num_threads()} threads, {versions}, OpenCV {cv2.__version__}"
    )
    if torch.cuda.is_available():
        print(torch.cuda.get_device_name())
    cv2.setNumThreads(torch.get_num_threads())
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for setting in args.settings:
            measure(setting, device, args.rounds)


if __name__ == "__main__":
    main()
