"""Train on a Hugging Face data set of images. Workers decode the pictures; the views are made on the device.

python examples/recipes/huggingface_images.py      (half a minute on a CPU; needs datasets and pillow)

The data set is made in memory, from rendered hands of several sizes. Yours comes from ``datasets.load_dataset``, for
example of a folder: ``load_dataset("imagefolder", data_dir="photos", split="train")``. The rest stays the same.
"""

import argparse
import io
from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader

import equicon as eq
from equicon.hands import SyntheticHands
from equicon.testing import check_pipeline

STORED, VIEW = (64, 64), (48, 48)  # sizes of the squares that go to the device, and of the views


def to_png(image: Tensor) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "png")
    return file.getvalue()


def make_dataset(count: int) -> datasets.Dataset:
    """Make a data set of PNG files in three sizes, none of them square."""
    rendered = [SyntheticHands(count // 3, size, seed=size).render(range(count // 3)).image for size in (64, 80, 96)]
    pictures = [{"bytes": to_png(image[:, 4:-4])} for images in rendered for image in images]
    return datasets.Dataset.from_dict({"image": pictures}, datasets.Features({"image": datasets.Image()}))


def to_square(image: Image.Image) -> Tensor:
    """Cut the middle square out of a picture of any size, as a tensor (3, H, W), uint8."""
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"to_square: expected 8 bits a channel, got mode {image.mode}. Scale its values to 0 to 255.")
    square = ImageOps.fit(image.convert("RGB"), STORED)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)


def to_squares(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Transform a batch of rows. Columns other than the image stay as they are."""
    return rows | {"image": [to_square(image) for image in rows["image"]]}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=192, help="pictures in the data set (default: 192)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs (default: 3)")
    parser.add_argument("--batch-size", type=int, default=32, help="images in a batch (default: 32)")
    parser.add_argument("--workers", type=int, default=0, help="worker processes (default: 0)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> nn.Module:
    args = parse_args(argv)
    torch.manual_seed(0)
    rows = make_dataset(args.images)
    print(f"{len(rows)} pictures of {len({row['image'].size for row in rows})} sizes")
    loader = DataLoader(
        rows.with_transform(to_squares),
        batch_size=args.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=args.workers,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(512, 128, bias=False),  # 64 points (x, y)
    ).to(device)
    augment = eq.Compose([eq.presets.peclr(), eq.Normalize.imagenet()])
    criterion = eq.PeCLRLoss(temperature=0.1)
    optimizer = torch.optim.Adam(encoder.parameters(), 1e-3)
    first = next(iter(loader))["image"]
    check_pipeline(first, augment, size=VIEW, padding_mode="reflection")
    for epoch in range(args.epochs):
        for batch in loader:
            images = batch["image"].to(device, non_blocking=True)  # uint8
            x1, g1 = augment(images, size=VIEW, padding_mode="reflection")
            x2, g2 = augment(images, size=VIEW, padding_mode="reflection")
            z1, z2 = encoder(torch.cat([x1, x2])).chunk(2)
            loss = criterion(z1, z2, g1, g2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: loss {loss.item():.3f}, from batches of {images.dtype} {tuple(images.shape)}")
    return encoder


if __name__ == "__main__":
    main()
