"""The names that programs give to the weights of one and the same network."""

import re
from collections.abc import Callable, Collection, Mapping

from torch import Tensor

_WRAPPERS = ("", "module.", "backbone.", "encoder.", "model.", "module.backbone.")
_CLASSIFIERS = ("fc.", "head.", "heads.", "head_dist.", "classifier.", "aux_head.", "dino_head.", "ibot_head.")
_UNUSED = ("mask_token", "relative_position_index", "relative_coords_table", "attn_mask")

# A vision transformer's names: in timm, which are those of DINO and DINOv2, and in torchvision.
_TIMM_TO_TORCHVISION = {
    r"^cls_token$": "class_token",
    r"^pos_embed$": "encoder.pos_embedding",
    r"^patch_embed\.proj\.": "conv_proj.",
    r"^blocks\.(\d+)\.": r"encoder.layers.encoder_layer_\1.",
    r"\.norm([12])\.": r".ln_\1.",
    r"\.attn\.qkv\.": ".self_attention.in_proj_",
    r"\.attn\.proj\.": ".self_attention.out_proj.",
    r"\.mlp\.fc1\.": ".mlp.0.",
    r"\.mlp\.fc2\.": ".mlp.3.",
    r"^norm\.": "encoder.ln.",
}
_TORCHVISION_TO_TIMM = {
    r"^class_token$": "cls_token",
    r"^encoder\.pos_embedding$": "pos_embed",
    r"^conv_proj\.": "patch_embed.proj.",
    r"^encoder\.layers\.encoder_layer_(\d+)\.": r"blocks.\1.",
    r"\.ln_([12])\.": r".norm\1.",
    r"\.self_attention\.in_proj_": ".attn.qkv.",
    r"\.self_attention\.out_proj\.": ".attn.proj.",
    r"\.mlp\.(0|linear_1)\.": ".mlp.fc1.",
    r"\.mlp\.(3|linear_2)\.": ".mlp.fc2.",
    r"^encoder\.ln\.": "norm.",
}
# DINOv2 (Oquab et al. 2023) as it was released: blocks in chunks, registers, gated hidden layers.
_DINOV2_TO_TIMM = {
    r"^blocks\.\d+\.(\d+)\.": r"blocks.\1.",
    r"^register_tokens$": "reg_token",
    r"\.mlp\.w12\.": ".mlp.fc1.",
    r"\.mlp\.w3\.": ".mlp.fc2.",
}
# Torchvision before 0.12 named the layers of its transformers' perceptrons.
_OLD_TORCHVISION = {r"\.mlp\.linear_1\.": ".mlp.0.", r"\.mlp\.linear_2\.": ".mlp.3."}
_DIALECTS: tuple[dict[str, str], ...] = (
    {},
    _TIMM_TO_TORCHVISION,
    _TORCHVISION_TO_TIMM,
    _DINOV2_TO_TIMM,
    _OLD_TORCHVISION,
)


def translate(state: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
    """Rename the weights to the names that a network wants, as far as a known dialect has them.

    Args:
        state: Tensors by name.
        wanted: The names in the network.

    Returns:
        The tensors by their new names. Classifiers and what no network needs are left out, unless the network wants
        them. All other names stay, so that a check of the names finds what does not fit.
    """
    readings = [_renamed(state, wrapper, dialect) for wrapper in _WRAPPERS for dialect in _DIALECTS]
    best = max(readings, key=lambda names: len(names.keys() & set(wanted)))  # of equal ones the first: as it is
    return {name: value for name, value in best.items() if name in wanted or not _is_left_out(name)}


def _renamed(state: Mapping[str, Tensor], wrapper: str, dialect: Mapping[str, str]) -> dict[str, Tensor]:
    rename = _renamer(dialect)
    return {rename(name.removeprefix(wrapper)): value for name, value in state.items() if name.startswith(wrapper)}


def _renamer(dialect: Mapping[str, str]) -> Callable[[str], str]:
    def rename(name: str) -> str:
        for pattern, new in dialect.items():
            name = re.sub(pattern, new, name)
        return name

    return rename


def _is_left_out(name: str) -> bool:
    return name.startswith(_CLASSIFIERS) or name.rpartition(".")[2] in _UNUSED
