"""Pre-train a backbone of timm, with the normalisation that the model asks for and a head for m points.

python examples/recipes/timm_backbone.py                                 (half a minute on a CPU; needs timm)
python examples/recipes/timm_backbone.py --model test_vit --size 64      (a small vision transformer)

``timm.create_model(name, checkpoint_path=...)`` loads the encoder that is saved.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import nn

import equicon as eq
from equicon.data import GroupedBatchSampler
from equicon.hands import SyntheticHands


def make_encoder(name: str, size: int) -> Any:
    """Make a backbone without its classifier, for square views of this size."""
    encoder = timm.create_model(name, pretrained=False, num_classes=0)
    if hasattr(encoder, "set_input_size"):  # a transformer
        encoder.set_input_size(img_size=(size, size))
    return encoder


def make_normalize(encoder: nn.Module) -> eq.Normalize:
    """Take the mean and standard deviation that belong to the model. They are not ImageNet's for all models."""
    data = resolve_model_data_config(encoder)
    return eq.Normalize(data["mean"], data["std"])


def make_head(width: int, points: int = 64) -> nn.Module:
    """Make a projection head with 2m outputs: m points (x, y)."""
    return nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 2 * points, bias=False))


def train(model: nn.Module, augment: eq.Compose, hands: SyntheticHands, epochs: int, batch_size: int) -> None:
    criterion = eq.PeCLRLoss(temperature=0.1)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    sampler = GroupedBatchSampler(hands.groups, batch_size, groups_per_batch=2)
    size, images = (hands.size, hands.size), hands.render(range(len(hands))).image
    for epoch in range(epochs):
        for batch in sampler:
            frame = hands.frame(len(batch))
            x1, g1 = augment(images[batch], size=size, frame=frame)
            x2, g2 = augment(images[batch], size=size, frame=frame)
            z1, z2 = model(torch.cat([x1, x2])).chunk(2)
            loss = criterion(z1, z2, g1, g2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: loss {loss.item():.3f}")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="test_resnet", help="name of a model of timm (default: %(default)s)")
    parser.add_argument("--size", type=int, default=32, help="height and width of the views (default: 32)")
    parser.add_argument("--hands", type=int, default=256, help="hands to render (default: 256)")
    parser.add_argument("--epochs", type=int, default=4, help="epochs (default: 4)")
    parser.add_argument("--batch-size", type=int, default=64, help="images in a batch (default: 64)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/timm"), help="folder for the encoder (default: %(default)s)"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> nn.Module:
    args = parse_args(argv)
    torch.manual_seed(0)
    encoder = make_encoder(args.model, args.size)
    model = nn.Sequential(encoder, make_head(encoder.head_hidden_size))
    normalize = make_normalize(encoder)
    augment = eq.Compose([eq.presets.peclr(), normalize])
    hands = SyntheticHands(args.hands, args.size, context=3, scenes=4)  # three times as wide as the views
    print(f"{args.model}: {encoder.head_hidden_size} features, mean {normalize.mean}, std {normalize.std}")
    train(model, augment, hands, args.epochs, args.batch_size)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.save(encoder.state_dict(), args.out / "encoder.pt")
    print(f"saved to {args.out / 'encoder.pt'}")
    return model


if __name__ == "__main__":
    main()
