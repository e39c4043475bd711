"""The names of the networks that can be built."""

from difflib import get_close_matches
from importlib.util import find_spec

from equicon._checks import describe, type_error, value_error
from equicon._extra import need

QUARTER = "quarter_resnet18"
"""A ResNet-18 of a quarter of the width, for small views."""

TIMM = "timm/"
"""What the names of timm's networks begin with."""

FAMILIES = ("resnet*", "resnext*", "wide_resnet*", "regnet_*", "efficientnet_*", "convnext_*", "vit_*", "swin_*")
"""The families of torchvision's classifiers that can be built."""


def list_backbones() -> list[str]:
    """List the names that ``build_backbone`` takes, apart from those of timm.

    These are ``"quarter_resnet18"``, which is a ResNet-18 with a quarter of the channels for small views, and the
    families ResNet, ResNeXt, Wide ResNet, RegNet, EfficientNet, ConvNeXt, ViT and Swin of torchvision. ``"timm/"`` and
    a name of ``timm.list_models`` is another choice.

    Raises:
        ModuleNotFoundError: If torchvision is not installed.

    Examples:
        >>> {"quarter_resnet18", "resnet50", "convnext_tiny", "vit_b_16", "swin_t"} <= {*list_backbones()}
        True
    """
    need("torchvision")
    from torchvision import models

    names = (name for family in FAMILIES for name in models.list_models(module=models, include=[family]))
    return [QUARTER, *dict.fromkeys(names)]


def check_backbone(arch: str) -> str:
    """Check that ``arch`` is the name of a network that ``build_backbone`` builds, and return it.

    Args:
        arch: A name of ``list_backbones``, or ``"timm/"`` and a name of ``timm.list_models``.

    Raises:
        TypeError: If it is no text.
        ValueError: If there is no such network. The message names the most similar ones.
        ModuleNotFoundError: If torchvision or timm is needed and not installed.

    Examples:
        >>> check_backbone("vit_b16")
        Traceback (most recent call last):
        ValueError: arch: expected a name of list_backbones() or timm/NAME, got 'vit_b16'. Did you mean vit_b_16, ...?
    """
    if not isinstance(arch, str):
        raise type_error("arch", "the name of a network", describe(arch))
    wanted = "a name of list_backbones() or timm/NAME"
    if arch.startswith(TIMM):
        need("timm", extra="timm")
        import timm

        plain, _, tag = arch.removeprefix(TIMM).partition(".")  # timm names weights after a dot
        if timm.is_model(plain) and (not tag or f"{plain}.{tag}" in timm.list_pretrained()):
            return arch
        known, wanted = [TIMM + name for name in timm.list_models()], "timm/ and a name of timm.list_models()"
    else:
        known = list_backbones()
        if arch in known:
            return arch
    near = get_close_matches(arch, known, 3, 0.5)
    if not arch.startswith(TIMM) and _of_timm(arch):
        near = [TIMM + arch, *near]
    raise value_error("arch", wanted, repr(arch), f"Did you mean {', '.join(near)}?" if near else "")


def _of_timm(name: str) -> bool:
    if find_spec("timm") is None:
        return False
    import timm

    return bool(timm.is_model(name.partition(".")[0]))
