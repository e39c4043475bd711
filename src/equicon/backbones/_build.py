"""Networks with random weights and without a classifier, by their names."""

from typing import Any

from torch import nn

from equicon._checks import Size, check_number, check_size, value_error
from equicon.backbones._names import QUARTER, TIMM, check_backbone


def build_backbone(arch: str, *, size: Size | None = None, drop_path: float = 0.0) -> nn.Module:
    """Build an encoder with random weights.

    Convention: the state dict has the names of torchvision or of timm, without those of the classifier, so files of
    both libraries fit (see ``load_backbone``).

    Args:
        arch: A name of ``list_backbones``, or ``"timm/"`` and a name of ``timm.list_models``.
        size: Height and width of the images in pixels. A transformer has a position for each patch of such an image,
            and takes no other size; None is the size of its authors. Other networks take any size.
        drop_path: The share of images for which the last block is skipped in training, in [0, 1). The shares of the
            blocks below fall linearly to 0 (stochastic depth; Huang et al., ECCV 2016).

    Returns:
        A network that maps images (B, 3, H, W) to features (B, width). ``describe_backbone`` gives the width.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If there is no such network, it takes no images of this size, or it has no paths to drop.
        ModuleNotFoundError: If torchvision or timm is needed and not installed.

    Examples:
        >>> encoder = build_backbone("quarter_resnet18")
        >>> encoder(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 128])
    """
    check_backbone(arch)
    size = None if size is None else check_size("size", size)
    drop_path = check_number("drop_path", drop_path, low=0.0, high=1.0 - 1e-6)
    if arch.startswith(TIMM):
        return _of_timm(arch.removeprefix(TIMM), size, drop_path)
    return _of_torchvision(arch, size, drop_path)


def _of_torchvision(arch: str, size: Size | None, drop_path: float) -> nn.Module:
    from torchvision import models
    from torchvision.ops import StochasticDepth

    from equicon.backbones._torchvision import find_family

    options = {}
    if size is not None and arch.startswith("vit_"):
        if size[0] != size[1]:
            fix = f"Take timm/vit_..., or (s, s) for {arch}."
            raise value_error("size", "a square, for a transformer of torchvision", size, fix)
        options = {"image_size": size[0]}
        _check_patches(size, int(arch.rpartition("_")[2]))
    network: Any = _quarter_resnet18() if arch == QUARTER else models.get_model(arch, weights=None, **options)
    if family := find_family(network):
        network.set_submodule(family.classifier, nn.Identity())
    paths = [module for module in network.modules() if isinstance(module, StochasticDepth)]
    if drop_path and not paths:
        raise _no_paths(arch, drop_path)
    for i, path in enumerate(paths):
        path.p = drop_path * i / max(1, len(paths) - 1)
    return network  # type: ignore[no-any-return]


def _of_timm(name: str, size: Size | None, drop_path: float) -> nn.Module:
    import timm

    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    fixed = {} if size is None else {"img_size": size}
    try:
        try:
            network: Any = timm.create_model(name, num_classes=0, **options, **fixed)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
            network = timm.create_model(name, num_classes=0, **options)  # it takes any size
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        raise _no_paths(TIMM + name, drop_path) from error
    if size is not None and hasattr(network, "patch_embed"):
        _check_patches(size, *getattr(network.patch_embed, "patch_size", (1,)))
    return network  # type: ignore[no-any-return]


def _check_patches(size: Size, *patch: int) -> None:
    """Check that patches cover the images, so that no pixels at a border are left out."""
    if size[0] % patch[0] or size[1] % patch[-1]:
        raise value_error("size", f"multiples of {patch[0]}, the side of a patch", size)


def _no_paths(arch: str, drop_path: float) -> ValueError:
    fix = "ConvNeXt, Swin and EfficientNet have, and most networks of timm."
    return value_error("drop_path", f"0, because {arch} has no paths to drop", drop_path, fix)


def _quarter_resnet18() -> Any:
    from torchvision.models.resnet import BasicBlock, ResNet

    network = ResNet(BasicBlock, [2, 2, 2, 2])
    network.conv1, network.bn1 = nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16)
    network.inplanes = 16
    for i, width in enumerate((16, 32, 64, 128)):  # torchvision can only narrow the other kind of block
        setattr(network, f"layer{i + 1}", network._make_layer(BasicBlock, width, 2, 2 if i else 1))
    # Weights are initialised by torch's default, which is smaller than torchvision's. In front of norms, smaller
    # weights learn faster, and pre-training learns more (after 1,000 steps 10.4 px and 64 mm, with torchvision's 11.1
    # and 71; one seed).
    network.fc = nn.Linear(128, 1000)
    return network
