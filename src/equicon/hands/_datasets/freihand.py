"""FreiHAND: photographs of hands with their 21 joints in space (Zimmermann et al., ICCV 2019, arXiv 1909.04349)."""

import os
import re
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Literal, Self, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from equicon._checks import check_index, check_int, check_probability, describe, is_several, type_error, value_error
from equicon._plane.values import has_inverse, is_affine
from equicon.data._reading import read_rgb
from equicon.data._records import check_records, check_there, read_records
from equicon.hands._camera import in_front
from equicon.hands._skeleton import JOINT_NAMES, VERTICES, Hand

_VERSIONS = {"training": (0, 1, 2, 3), "evaluation": (0,)}
BLOCK = 64  # neighbouring samples that make a group


@final
class FreiHAND(Dataset[Hand]):
    """The FreiHAND data set as it lies on disk.

    A training *sample* is one hand with its labels. It was photographed before a green screen (version 0), and in
    three more versions the background is replaced: 1 homogenised, 2 sample-coloured, 3 automatically coloured. The data
    set goes through all samples in one version, then in the next: item ``i`` is sample ``i % len(data.samples)``. So
    split it with ``holdout``, by sample; splitting by item would put the same hand on both sides.

    Opening it reads the annotations and lists the images, but opens none. The labels are a few tensors, which the
    workers of a ``DataLoader`` share. An image that cannot be read raises ``CorruptImage``; ``SkipCorrupt(data)`` goes
    on without it.

    A training set may be incomplete on disk. It then has the versions that are there, and those annotated samples that
    have an image there, which must be there in each of these versions. ``left_out`` counts the other samples. An
    evaluation set must be complete, since a prediction belongs to an image only by its place.

    Args:
        root: The folder with ``training/rgb/00000000.jpg``, ``training_K.json``, ``training_xyz.json`` and
            ``training_scale.json``, or the same for ``evaluation``. The set and its images may have any size.
        split: ``"training"`` or ``"evaluation"``.
        versions: Which versions, in this order; by default all that are on disk. Evaluation has version 0 only.

    Attributes:
        K: Intrinsics (n, 3, 3) of the n samples, float32.
        xyz: Joints (n, 21, 3) in metres, float32, as a property.
        verts: Vertices (n, 778, 3) of the hand's mesh in metres, float32, as a property that reads them on first
            access.
        scale: Length (n,) in metres of the bone from joint 9 to joint 10, float32.
        samples: Numbers (n,) of the samples in the annotation files.
        left_out: How many of the annotated samples have no image.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, a file is missing, damaged or disagrees with the others, or a
            record is invalid: a K without focal lengths, a joint behind the camera, a scale of 0.

    Examples:
        >>> import tempfile
        >>> root = tempfile.mkdtemp()
        >>> write_freihand(root, num_samples=10)
        >>> train, val = FreiHAND(root).holdout(0.2)
        >>> len(train), len(val), len(val.select(versions=[0]))
        (32, 8, 2)
        >>> image, xyz, K = train[0]
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: Literal["training", "evaluation"] = "training",
        *,
        versions: Sequence[int] | None = None,
    ) -> None:
        if split not in _VERSIONS:
            fix = "For a validation set, hold out samples of training: FreiHAND(root).holdout(0.1)."
            raise value_error("split", "'training' or 'evaluation'", describe(split), fix)
        self.root = Path(root)
        self.split = split
        self._folder = self.root / split / "rgb"
        self.versions = _check_versions(_VERSIONS[split] if versions is None else versions, split)
        if split == "training" and not (self._file("K").exists() or self._folder.exists()):
            self._check_not_evaluation()
        self.K = self._read("K", 3, 3)
        focal = (self.K.diagonal(dim1=1, dim2=2) > 0).all(-1)
        good = focal & torch.from_numpy(is_affine(self.K) & has_inverse(self.K))
        check_records(self._file("K"), self.K, good, "intrinsics: focal lengths above 0, last row (0, 0, 1)")
        self.samples = torch.arange(len(self.K), device="cpu")
        self._records = len(self.K)
        self.scale = self._read("scale")
        check_records(self._file("scale"), self.scale, self.scale > 0, "a length above 0")
        # The labels of the evaluation came years after its images, and old copies lack them.
        self._labelled = split == "training" or self._file("xyz").exists()
        joints = (len(JOINT_NAMES), 3)
        if self._labelled:
            self._xyz = self._read("xyz", *joints)
            check_records(self._file("xyz"), self._xyz, in_front(self._xyz), "joints in front of the camera: z above 0")
        else:
            self._xyz = self.K.new_full((self._records, *joints), torch.nan)
        self._verts: Tensor | None = None
        there = self._list_images()
        if split == "training":
            self._keep_what_is_there(there, every=versions is None)
        self.left_out = self._records - len(self.samples)
        self._check_images(there, numbered=versions is None or max(self.versions) > 0)

    @property
    def xyz(self) -> Tensor:
        """Joints (n, 21, 3) in metres. If they are not on disk, this raises a ``ValueError``, and items have NaN."""
        if not self._labelled:
            raise self._lacks("xyz")
        return self._xyz

    @property
    def verts(self) -> Tensor:
        """Vertices (n, 778, 3) of the MANO mesh in metres. If they are not on disk, this raises a ``ValueError``.

        The file is large, 1.5 GB for 0.3 GB of numbers. It is read on first access, which takes half a minute. Access
        the vertices before you split the data or start workers, so that parts and workers need not read the file.
        """
        if self._verts is None:
            if not self._file("verts").exists():
                raise self._lacks("verts")
            every = self._read("verts", VERTICES, 3)
            # A copy of all would double the memory.
            whole = torch.equal(self.samples, torch.arange(len(every), device="cpu"))
            self._verts = every if whole else every[self.samples]
        return self._verts

    @property
    def instances(self) -> Tensor:
        """The number in the files of each item's sample, (len,) int64. Versions of one sample have the same number.

        Give them to a contrastive loss as ``labels``, so that versions of one hand are not each other's negatives.
        """
        return self.samples.repeat(len(self.versions))

    @property
    def groups(self) -> Tensor:
        """The group of each item, (len,) int64, for ``GroupedBatchSampler``: 64 neighbouring samples in one version.

        Samples lie in the order of their recording, so neighbours mostly show one person at one place. Versions are
        separate groups, because their backgrounds would tell images apart.
        """
        versions = torch.tensor(self.versions, device="cpu").repeat_interleave(len(self.samples))
        return self.instances // BLOCK * len(_VERSIONS["training"]) + versions

    def path(self, index: int) -> Path:
        """Return the path of the file with an item's image."""
        return self._locate(check_index(index, len(self)))[0]

    def __len__(self) -> int:
        """Return the number of images: samples times versions."""
        return len(self.versions) * len(self.samples)

    def __getitem__(self, index: int) -> Hand:
        """Read one image, as RGB, and its labels. Raise ``CorruptImage`` if the image cannot be read."""
        position = check_index(index, len(self))
        path, sample = self._locate(position)
        image = read_rgb(path, position)
        # Cloned, so that writing into an item does not reach the data set.
        return Hand(image, self._xyz[sample].clone(), self.K[sample].clone())

    def select(self, samples: Sequence[int] | Tensor | None = None, *, versions: Sequence[int] | None = None) -> Self:
        """Keep some samples, or some versions of their photographs.

        Args:
            samples: Positions in [0, n) in this data set, in the order wanted; by default all.
            versions: As in the constructor; by default those of this data set.

        Returns:
            The smaller data set.

        Raises:
            TypeError: If the samples are not whole numbers.
            ValueError: If no samples are given, one is out of range, or a version does not exist or is not on disk.
        """
        part = copy(self)
        if versions is not None:
            part.versions = _check_versions(versions, self.split)
        if samples is not None:
            chosen, count = torch.as_tensor(samples, device="cpu"), len(self.samples)
            if chosen.ndim != 1 or len(chosen) == 0:
                raise value_error("samples", "at least one position, in a list or a tensor (n,)", describe(samples))
            if chosen.is_floating_point() or chosen.dtype == torch.bool:
                raise type_error("samples", "whole numbers", chosen, "For a mask, give mask.nonzero()[:, 0].")
            chosen = chosen.long()  # torch takes uint8 for a mask, and supports other unsigned types poorly
            low, high = int(chosen.min()), int(chosen.max())
            if low < 0 or high >= count:
                raise value_error("samples", f"positions in [0, {count - 1}]", f"some from {low} to {high}")
            part.K, part.scale, part._xyz = self.K[chosen], self.scale[chosen], self._xyz[chosen]
            part._verts = None if self._verts is None else self._verts[chosen]
            part.samples = self.samples[chosen]
        if not set(part.versions) <= set(self.versions):
            part._check_images(part._list_images(), numbered=True)
        return part

    def holdout(self, fraction: float, *, seed: int = 0) -> tuple[Self, Self]:
        """Split in two by sample, at random but reproducibly: no version of a sample is on both sides.

        Args:
            fraction: Share of the samples to hold out, in (0, 1). It is rounded, and each side gets at least one
                sample.
            seed: Seed of the split, at least 0.

        Returns:
            The rest and the held-out part, both in the order of this data set.

        Raises:
            TypeError: If an argument is not a number.
            ValueError: If the fraction is not in (0, 1), or there is only one sample.
        """
        count = len(self.samples)
        fraction = check_probability("fraction", fraction)
        if fraction in (0, 1) or count < 2:
            raise value_error("fraction", "a share in (0, 1) of two samples or more", f"{fraction} of {count}")
        held = min(max(round(fraction * count), 1), count - 1)
        generator = torch.Generator().manual_seed(check_int("seed", seed, low=0))
        order = torch.randperm(count, generator=generator, device="cpu")
        return self.select(order[held:].sort().values), self.select(order[:held].sort().values)

    def _file(self, kind: str) -> Path:
        return self.root / f"{self.split}_{kind}.json"

    def _lacks(self, kind: str) -> ValueError:
        fix = "Copy it there from FreiHAND's archives. The evaluation's labels are in another archive than its images."
        return value_error(kind, f"the labels in {self._file(kind)}", "no such file", fix)

    def _locate(self, position: int) -> tuple[Path, int]:
        """Return an item's file, and its place among the samples."""
        version, sample = divmod(position, len(self.samples))
        return self._folder / self._image(self.versions[version], int(self.samples[sample])), sample

    def _image(self, version: int, sample: int) -> str:
        return f"{version * self._records + sample:08d}.jpg"

    def _read(self, kind: str, *shape: int) -> Tensor:
        check_there(self.root, self._file(kind))
        like = None if kind == "K" else (self._file("K"), self._records)
        return read_records(self._file(kind), shape, like=like)

    def _list_images(self) -> set[str]:
        check_there(self.root, self._folder)
        return {path.name for path in self._folder.iterdir() if re.fullmatch(r"\d{8}\.jpg", path.name)}

    def _keep_what_is_there(self, there: set[str], *, every: bool) -> None:
        """Leave out samples without any image and, if ``every``, versions without any. Without any images, keep all."""
        number_of = range(self._records)
        found = {v: [s for s in number_of if self._image(v, s) in there] for v in _VERSIONS[self.split]}
        kept = sorted(set().union(*found.values()))
        if every and kept:
            self.versions = tuple(version for version, samples in found.items() if samples)
        if 0 < len(kept) < self._records:
            self.samples = torch.tensor(kept, device="cpu")
            self.K, self.scale, self._xyz = (each[self.samples] for each in (self.K, self.scale, self._xyz))

    def _check_images(self, there: set[str], *, numbered: bool) -> None:
        """Check that each sample has all versions and, if ``numbered``, that no file's number is beyond them."""
        records = f"{self._records} records in {self._file('K').name}"
        for version in self.versions:
            for sample in self.samples.tolist():
                name = self._image(version, sample)
                if name not in there:
                    wanted = f"version {version} of sample {sample} (there are {records})"
                    fix = "Unpack the images again, or choose only versions that are there."
                    raise value_error(str(self._folder / name), wanted, f"no such file among {len(there)}", fix)
        past = self._image(len(_VERSIONS["training"]), 0)
        if numbered and (beyond := [name for name in there if name >= past]):
            # Versions begin at multiples of the number of records. With too few records, images get other hands'
            # labels.
            fix = "Take images and annotations from the same copy."
            raise value_error(str(self._folder / min(beyond)), f"no image past those of the {records}", "one", fix)

    def _check_not_evaluation(self) -> None:
        if (self.root / "evaluation").is_dir():
            fix = "FreiHAND's training set is an archive of its own: unpack it there too."
            alone = f"{self.root}, which holds evaluation alone"
            raise value_error("root", "a data set with training/ and training_K.json", alone, fix)


def _check_versions(versions: Sequence[int], split: str) -> tuple[int, ...]:
    every = _VERSIONS[split]
    if not is_several(versions):
        fix = "Write (0,) for the photographs alone."
        raise type_error("versions", "a sequence of whole numbers", describe(versions), fix)
    versions = [check_int("versions", version, low=0) for version in versions]
    if not versions or len(set(versions)) < len(versions) or not set(versions) <= set(every):
        raise value_error("versions", f"different versions of {split}, out of {every}", tuple(versions))
    return tuple(versions)
