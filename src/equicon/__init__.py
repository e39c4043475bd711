"""Equivariant contrastive learning in PyTorch: views come with their matrix, and the loss undoes it on embeddings."""

from equicon import draw, metrics, presets
from equicon._averages.views import ViewAverage, average_views
from equicon._groups.affine import Affine
from equicon._groups.bounds import ClippedBoxes
from equicon._groups.element import GroupElement
from equicon._labels.sides import SIDE_PAIRS, swap_sides
from equicon._losses.consistency import ConsistencyLoss
from equicon._losses.grad_cache import GradCache
from equicon._losses.levels import LossLevels, nt_xent_levels
from equicon._losses.ntxent import NTXentLoss, nt_xent
from equicon._losses.peclr import PeCLRLoss
from equicon._pretrained.encoders import Pretrained, list_pretrained, pretrained, save_pretrained
from equicon._public import claim
from equicon._representations.base import Representation
from equicon._representations.heatmaps import Heatmaps
from equicon._representations.peclr import PeCLRPoints
from equicon._representations.points import Points
from equicon._representations.sums import DirectSum, Invariant
from equicon._transforms.action import Action
from equicon._transforms.appearance import Appearance
from equicon._transforms.base import Compose, EquivariantTransform, RandomApply
from equicon._transforms.filter import Filter
from equicon._transforms.filters import RandomErasing, RandomGaussianBlur, RandomSobel
from equicon._transforms.geometric import (
    RandomAffine,
    RandomHorizontalFlip,
    RandomRotation,
    RandomScale,
    RandomShear,
    RandomTranslate,
    RandomVerticalFlip,
)
from equicon._transforms.noise import RandomGaussianNoise
from equicon._transforms.photometric import ColorJitter, Normalize, RandomGrayscale
from equicon._transforms.resized_crop import RandomResizedCrop
from equicon._views.color import ColorMap, Normalization
from equicon._views.view import Backend
from equicon._views.warp import Mode, PaddingMode
from equicon._weights import load_weights

__version__ = "0.2.0"

__all__ = [
    "SIDE_PAIRS",
    "Action",
    "Affine",
    "Appearance",
    "Backend",
    "ClippedBoxes",
    "ColorJitter",
    "ColorMap",
    "Compose",
    "ConsistencyLoss",
    "DirectSum",
    "EquivariantTransform",
    "Filter",
    "GradCache",
    "GroupElement",
    "Heatmaps",
    "Invariant",
    "LossLevels",
    "Mode",
    "NTXentLoss",
    "Normalization",
    "Normalize",
    "PaddingMode",
    "PeCLRLoss",
    "PeCLRPoints",
    "Points",
    "Pretrained",
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
    "ViewAverage",
    "average_views",
    "draw",
    "list_pretrained",
    "load_weights",
    "metrics",
    "nt_xent",
    "nt_xent_levels",
    "presets",
    "pretrained",
    "save_pretrained",
    "swap_sides",
]

claim(__all__, globals())
