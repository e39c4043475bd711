import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

import equicon as eq
from equicon.recipes import (
    SiameseModel,
    build_encoder,
    make_head,
    parse_pretrain_args,
    pretrain_optimizer,
    pretrain_views,
)


def model() -> SiameseModel:
    encoder, width = build_encoder("quarter_resnet18", "none")
    return SiameseModel(encoder, make_head(width, 16, 4), eq.PeCLRLoss())


def test_the_default_is_adam_with_two_groups_as_it_was():
    built = model()
    optimizer = pretrain_optimizer(built, parse_pretrain_args("", []))
    assert type(optimizer) is torch.optim.Adam
    assert [(g["weight_decay"], g["times"]) for g in optimizer.param_groups] == [(1e-6, 1.0), (0.0, 1.0)]
    several = [p for p in built.parameters() if p.ndim > 1]
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [id(p) for p in several]


def test_adamw_and_rates_by_layer_of_the_encoder_alone():
    built = model()
    args = parse_pretrain_args("", ["--optimizer", "adamw", "--layer-decay", "0.5", "--weight-decay", "0.05"])
    optimizer = pretrain_optimizer(built, args)
    assert type(optimizer) is torch.optim.AdamW
    times = {id(p): group["times"] for group in optimizer.param_groups for p in group["params"]}
    assert times[id(built.encoder.layer4[1].conv1.weight)] == 1.0
    assert times[id(built.encoder.layer4[0].conv1.weight)] == 0.5
    assert times[id(built.encoder.conv1.weight)] == 0.5**8
    assert {times[id(p)] for p in built.head.parameters()} == {1.0}


def test_views_are_blurred_where_a_blur_is_given():
    plain, blurred = (pretrain_views(parse_pretrain_args("", words)) for words in ([], ["--blur", "1"]))
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    views = [
        chain.sample(1, generator=torch.Generator().manual_seed(1))(images, size=(64, 64))[0]
        for chain in (plain, blurred)
    ]
    assert views[1].std() < 0.9 * views[0].std()
