"""Train on many GPUs, with the images of all GPUs as negatives.

torchrun --nproc-per-node gpu examples/many_gpus.py          (all GPUs of a machine)
torchrun --nproc-per-node 2 examples/many_gpus.py            (two processes on a CPU)
python examples/many_gpus.py                                 (one process, which has the same loss for the same images)

The only difference to a single process is ``gather_distributed=True``. The loss is then the loss of the batches of all
processes, taken as one batch. ``DistributedDataParallel`` averages the gradients over the processes. This average is
the gradient of that loss.
"""

import argparse
import os
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import equicon as eq


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="training steps (default: 20)")
    batch = "images in a batch, over all processes (default: 64)"
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help=batch)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    many = "RANK" in os.environ
    rank, world, local = (int(os.environ.get(name, 0)) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    world = max(1, world)
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if many:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")

    torch.manual_seed(0)  # the same weights in all processes
    model: nn.Module = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(1024, 64, bias=False)
    ).to(device)
    if many:
        model = DistributedDataParallel(model, device_ids=[local] if device.type == "cuda" else None)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    augment = eq.Compose([eq.presets.peclr(), eq.Normalize.imagenet()])
    criterion = eq.PeCLRLoss(0.2, gather_distributed=True)

    generator = torch.Generator().manual_seed(0)  # all draw the same images and transforms; each uses its own part
    for step in range(args.steps):
        images = torch.rand(args.batch_size, 3, 32, 32, generator=generator)
        actions = [augment.sample(args.batch_size, generator=generator) for _ in range(2)]
        part = slice(rank * args.batch_size // world, (rank + 1) * args.batch_size // world)
        mine = [action[part].to(device) for action in actions]
        x1, x2 = (action(images[part].to(device, non_blocking=True)) for action in mine)
        z1, z2 = model(torch.cat([x1, x2])).chunk(2)
        loss = criterion(z1, z2, mine[0].affine, mine[1].affine)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if rank == 0 and (step % 5 == 0 or step == args.steps - 1):
            print(f"step {step}: {loss.item():.5f} over {args.batch_size} images on {world} processes", flush=True)
    if many:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
