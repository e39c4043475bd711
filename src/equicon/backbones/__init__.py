"""Networks of torchvision, of timm, or of your own, under one small protocol.

An encoder is a plain ``torch.nn.Module`` that maps images (B, 3, H, W) to features (B, width). It has no classifier,
and its parameters have the names of the library that it comes from. You can import this module with the core of equicon
alone. To build networks, install the extra ``train`` for torchvision's, and ``timm`` for timm's.
"""

from equicon._public import claim
from equicon.backbones._build import build_backbone
from equicon.backbones._checkpoint import checkpoint_blocks
from equicon.backbones._describe import Backbone, describe_backbone, feature_map
from equicon.backbones._family import BackboneInfo
from equicon.backbones._hub import hub_weights
from equicon.backbones._layers import freeze_blocks, layer_rates
from equicon.backbones._load import load_backbone
from equicon.backbones._names import list_backbones

__all__ = [
    "Backbone",
    "BackboneInfo",
    "build_backbone",
    "checkpoint_blocks",
    "describe_backbone",
    "feature_map",
    "freeze_blocks",
    "hub_weights",
    "layer_rates",
    "list_backbones",
    "load_backbone",
]

claim(__all__, globals())
