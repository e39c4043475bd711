"""Equivariant contrastive learning in PyTorch: views that know their matrix, and a loss that undoes it."""

from equicon import presets
from equicon._action import Action
from equicon._affine import Affine
from equicon._appearance import Appearance, RandomErasing, RandomGaussianBlur, RandomGaussianNoise, RandomSobel
from equicon._geometric import (
    RandomAffine,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomScale,
    RandomShear,
    RandomTranslate,
    RandomVerticalFlip,
)
from equicon._grad_cache import GradCache
from equicon._ntxent import NTXentLoss, nt_xent
from equicon._peclr import PeCLRLoss
from equicon._photometric import ColorJitter, Normalize, RandomGrayscale
from equicon._representation import DirectSum, Invariant, PeCLRPoints, Points, Representation
from equicon._transform import Compose, EquivariantTransform, RandomApply

__version__ = "0.1.0"

__all__ = [
    "Action",
    "Affine",
    "Appearance",
    "ColorJitter",
    "Compose",
    "DirectSum",
    "EquivariantTransform",
    "GradCache",
    "Invariant",
    "NTXentLoss",
    "Normalize",
    "PeCLRLoss",
    "PeCLRPoints",
    "Points",
    "RandomAffine",
    "RandomApply",
    "RandomErasing",
    "RandomGaussianBlur",
    "RandomGaussianNoise",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomScale",
    "RandomShear",
    "RandomSobel",
    "RandomTranslate",
    "RandomVerticalFlip",
    "Representation",
    "nt_xent",
    "presets",
]
