"""The parameters of a model: grouped for an optimizer, as a state that loads anywhere, and checked to be finite."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

_POSITIONS = {"pos_embed", "pos_embedding", "absolute_pos_embed", "relative_position_bias_table"}
_TOKENS = {"cls_token", "class_token", "dist_token", "reg_token", "register_tokens", "mask_token"}
_SCALES = {"layer_scale", "gamma", "logit_scale"}
_WITHOUT_DECAY = _POSITIONS | _TOKENS | _SCALES
"""Names of parameters that have no weight decay though some have several dimensions."""


def parameter_groups(
    model: nn.Module, weight_decay: float, times: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Group parameters for an optimizer: biases and norms have no weight decay, and parts may have rates of their own.

    Nor have the position embeddings, class tokens, registers and layer scales of the networks of torchvision and timm.
    Parameters that need no gradient are left out.

    Args:
        model: The model.
        weight_decay: The weight decay of all other parameters.
        times: The factor on the learning rate, by the name of a part or a parameter of the model, such as
            ``equicon.backbones.layer_rates`` gives. All other parts have a factor of 1.

    Returns:
        Groups with ``params``, ``weight_decay`` and ``times``. The training loop sets ``lr`` to its learning rate
        multiplied by ``times``.

    Examples:
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
        >>> [(g["weight_decay"], g["times"], len(g["params"])) for g in parameter_groups(model, 0.1, {"1": 10.0})]
        [(0.1, 1.0, 1), (0.0, 1.0, 1), (0.1, 10.0, 1), (0.0, 10.0, 1)]
    """
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = next((f for part, f in (times or {}).items() if f"{name}.".startswith(f"{part}.")), 1.0)
        decays = parameter.ndim > 1 and name.rpartition(".")[2] not in _WITHOUT_DECAY
        groups.setdefault((decays, factor), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": weight_decay * decays, "times": factor}
        for (decays, factor), parameters in groups.items()
    ]


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """Give the weights on the CPU and without channels-last strides, so that they load anywhere.

    Examples:
        >>> model = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        >>> plain_state(model)["weight"].is_contiguous()
        True
    """
    return {name: value.cpu().contiguous() for name, value in model.state_dict().items()}


def is_finite(state: Any) -> bool:
    """Say whether all tensors in nested dicts and lists are finite.

    Examples:
        >>> is_finite({"a": torch.ones(2), "b": [torch.tensor(float("nan"))]})
        False
    """
    if isinstance(state, Tensor):
        return bool(state.isfinite().all())
    if isinstance(state, dict):
        state = list(state.values())
    return not isinstance(state, list) or all(map(is_finite, state))
