"""PeCLR in Lightning: views on the device, matrices in the batch, and a run that resumes to the same weights.

python examples/recipes/lightning_simclr.py      (a minute on a CPU; needs lightning and torchvision)
"""

import argparse
from typing import Any

import lightning as L
import torch
import torchvision
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

import equicon as eq
from equicon.data import GroupedBatchSampler
from equicon.hands import Hand, SyntheticHands
from equicon.probes import Features, probe


class PeCLR(L.LightningModule):
    """A ResNet of torchvision, a projection head and the loss."""

    def __init__(self, arch: str) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.encoder = torchvision.models.get_model(arch, weights=None)
        width, self.encoder.fc = self.encoder.fc.in_features, nn.Identity()
        self.head = nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 128, bias=False))
        self.criterion = eq.PeCLRLoss(temperature=0.1, gather_distributed=True)
        self.seen: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: tuple[Tensor, Tensor, eq.Affine, eq.Affine], batch_idx: int) -> Tensor:
        x1, x2, g1, g2 = batch
        z1, z2 = self.head(self.encoder(torch.cat([x1, x2]))).chunk(2)
        loss: Tensor = self.criterion(z1, z2, g1, g2)
        self.log("loss", loss, batch_size=len(x1), on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.seen.append((self.encoder(batch[0]).float(), batch[1]))

    def on_validation_epoch_end(self) -> None:
        z, xy = (torch.cat(parts) for parts in zip(*self.seen, strict=True))
        self.seen.clear()
        found = probe(Features(z[::2], xy[::2]), Features(z[1::2], xy[1::2]))
        self.log("joints_px", found.px, batch_size=len(z), sync_dist=True)
        self.print(f"epoch {self.current_epoch}: a linear probe misses the joints by {found.px:.2f} pixels")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 1e-3)


class HandViews(L.LightningDataModule):
    """Rendered hands, and the views of each batch, which are made once the batch is on its device."""

    trainer: L.Trainer

    def __init__(self, count: int, batch_size: int, size: int = 32) -> None:
        super().__init__()
        self.size, self.batch_size = (size, size), batch_size
        self.train_hands = SyntheticHands(count, size, context=3, scenes=8)
        self.val_hands = SyntheticHands(count // 2, size, seed=1)
        self.augment = eq.Compose([eq.presets.peclr(), eq.Normalize.imagenet()])
        self.drawn = 0  # training batches so far

    def on_after_batch_transfer(self, batch: Hand, dataloader_idx: int) -> tuple[Any, ...]:
        if not self.trainer.training:
            return eq.Normalize.imagenet()(batch.image)[0], batch.xy
        count = self.drawn * self.trainer.world_size + self.trainer.global_rank
        draw = torch.Generator().manual_seed(count)
        self.drawn += 1
        frame = self.train_hands.frame(len(batch.image), device=batch.image.device)
        x1, g1 = self.augment(batch.image, size=self.size, frame=frame, generator=draw)
        x2, g2 = self.augment(batch.image, size=self.size, frame=frame, generator=draw)
        return x1, x2, g1, g2

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.drawn = state_dict["drawn"]

    def train_dataloader(self) -> DataLoader[Hand]:
        part = {"rank": self.trainer.global_rank, "num_replicas": self.trainer.world_size}
        sampler = GroupedBatchSampler(self.train_hands.groups, self.batch_size, 2, **part)
        sampler.set_epoch(self.drawn // len(sampler))  # not 0 after a resumption
        return DataLoader(self.train_hands, batch_sampler=sampler)

    def val_dataloader(self) -> DataLoader[Hand]:
        return DataLoader(self.val_hands, batch_size=self.batch_size)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--arch", default="resnet18", help="a ResNet of torchvision (default: %(default)s)")
    parser.add_argument("--hands", type=int, default=512, help="hands to render (default: 512)")
    parser.add_argument("--batch-size", type=int, default=64, help="images in a batch of all devices")
    parser.add_argument("--epochs", type=int, default=2, help="epochs, including those before a resumption")
    parser.add_argument("--devices", type=int, default=1, help="devices, or processes on a CPU (default: 1)")
    parser.add_argument("--out", default="runs/lightning", help="folder for checkpoints")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    L.seed_everything(0)  # for the initial weights; the views and the order of the hands have their own seeds
    saver = ModelCheckpoint(args.out, save_last="link", enable_version_counter=False)
    trainer = L.Trainer(
        max_epochs=args.epochs, devices=args.devices, callbacks=[saver], use_distributed_sampler=False,
        sync_batchnorm=torch.cuda.is_available(), num_sanity_val_steps=0, logger=False, enable_progress_bar=False,
    )  # fmt: skip
    trainer.fit(PeCLR(args.arch), HandViews(args.hands, args.batch_size), ckpt_path="last" if args.resume else None)
    trainer.print(f"loss {trainer.callback_metrics.get('loss', torch.nan):.4f}, saved to {saver.last_model_path}")


if __name__ == "__main__":
    main()
