import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from equicon.training import is_finite, parameter_groups, plain_state


@given(st.integers(0, 3))
def test_finiteness_is_looked_for_in_everything_nested(depth):
    def nest(value):
        for level in range(depth):
            value = {"a": 1, "b": [value]} if level % 2 else [3.0, value]
        return value

    assert is_finite(nest(torch.ones(3)))
    assert is_finite(nest(torch.tensor(3)))
    assert not is_finite(nest(torch.tensor([1.0, math.nan])))
    assert not is_finite(nest(torch.tensor(-math.inf)))


def test_weights_are_given_in_the_plain_order():
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    state = plain_state(model)
    assert state.keys() == model.state_dict().keys()
    assert all(value.is_contiguous() and value.device.type == "cpu" for value in state.values())
    assert torch.equal(state["weight"], model.weight)


def test_biases_and_norms_do_not_decay_and_a_part_learns_faster():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2, bias=False), nn.Linear(2, 2))
    groups = parameter_groups(model, 0.5, {"3": 10.0})
    found = [(group["weight_decay"], group["times"], [p.ndim for p in group["params"]]) for group in groups]
    assert found == [(0.5, 1, [4, 2]), (0, 1, [1, 1, 1]), (0.5, 10, [2]), (0, 10, [1])]
    assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in model.parameters()}
    assert [group["times"] for group in parameter_groups(model, 0.5)] == [1, 1]


def test_positions_tokens_and_scales_do_not_decay():
    model = nn.Module()
    for name in ("pos_embed", "cls_token", "layer_scale", "relative_position_bias_table", "weight", "frozen"):
        setattr(model, name, nn.Parameter(torch.ones(2, 2, 2)))
    model.frozen.requires_grad_(False)
    decays, free = sorted(parameter_groups(model, 0.5), key=lambda group: -group["weight_decay"])
    assert [id(p) for p in decays["params"]] == [id(model.weight)]
    assert (len(free["params"]), free["weight_decay"]) == (4, 0)


def test_a_parameter_has_a_rate_by_its_own_name():
    model = nn.Module()
    model.pos_embed, model.pos_embeds = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    times = {
        id(p): group["times"] for group in parameter_groups(model, 0.5, {"pos_embed": 0.1}) for p in group["params"]
    }
    assert times == {id(model.pos_embed): 0.1, id(model.pos_embeds): 1.0}


def test_a_part_is_told_by_its_whole_name():
    model = nn.ModuleDict({"re": nn.Linear(1, 1), "refine": nn.Linear(1, 1)})
    slow, _, fast, _ = parameter_groups(model, 0.0, {"refine": 10.0})
    assert (slow["params"], fast["params"]) == ([model["re"].weight], [model["refine"].weight])
    assert (slow["times"], fast["times"]) == (1, 10)
