"""The weights that torchvision and timm publish, which they download and keep."""

from collections.abc import Mapping

from torch import Tensor

from equicon.backbones._names import QUARTER, TIMM, check_backbone


def hub_weights(arch: str) -> Mapping[str, Tensor]:
    """Fetch the published weights of a network, for ``load_backbone``. The library downloads them once and keeps them.

    Args:
        arch: A name of ``list_backbones``: torchvision's first weights for ImageNet. Or ``"timm/NAME"``: the weights
            that timm prefers, or those that the name says after a dot, as in
            ``"timm/vit_small_patch14_dinov2.lvd142m"``.

    Returns:
        The tensors by name.

    Raises:
        ValueError: If there is no such network, or its authors publish no weights.
        OSError: If the weights cannot be downloaded. The message says where they are.
        ModuleNotFoundError: If torchvision or timm is needed and not installed.

    Examples:
        >>> encoder = build_backbone("resnet50")
        >>> load_backbone(encoder, hub_weights("resnet50"))  # doctest: +SKIP
    """
    check_backbone(arch)
    return _of_timm(arch) if arch.startswith(TIMM) else _of_torchvision(arch)


def _of_torchvision(arch: str) -> Mapping[str, Tensor]:
    if arch == QUARTER:
        raise ValueError(f"torchvision has none for {arch}")
    from torchvision.models import get_model_weights

    known = [*get_model_weights(arch)]
    weights = next((each for each in known if each.name == "IMAGENET1K_V1"), known[0])
    try:
        state: Mapping[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except Exception as error:  # no network, no room, or a damaged file in torch's cache
        raise OSError(f"{weights.url} could not be downloaded: {_first_line(error)}") from error
    return state


def _of_timm(arch: str) -> Mapping[str, Tensor]:
    import timm

    name = arch.removeprefix(TIMM)
    config = timm.get_pretrained_cfg(name)
    if config is None or not (config.hf_hub_id or config.url):
        raise ValueError(f"timm has none for {arch}")
    try:
        state: Mapping[str, Tensor] = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    except Exception as error:  # no network, HF_HUB_OFFLINE, no room, or a damaged file in the cache
        place = f"https://huggingface.co/{config.hf_hub_id}" if config.hf_hub_id else config.url
        raise OSError(f"{place} could not be downloaded: {_first_line(error)}") from error
    return state


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")
