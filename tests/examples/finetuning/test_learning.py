from pathlib import Path

import pytest
import torch

torchvision = pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.finetuning.running import TOY, curves, finetune_freihand, run, short
from torch import nn

import equicon as eq
from equicon.hands import pose_errors, project
from equicon.recipes import TUNED, FinetuneData, _beside, load_finetune_data
from equicon.training import Checkpoints


def begin(folder: Path, *words: object):
    args = finetune_freihand.parse_args([str(word) for word in (*TOY, *words)])
    run = finetune_freihand.Run(args, Checkpoints(folder))
    run.start(FinetuneData([], [], 8, ""), None)
    return run


@pytest.mark.slow
def test_learns_the_hands_that_it_sees(tmp_path, monkeypatch):
    def build(*_: str, **options: object) -> tuple[nn.Module, int]:
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 64), nn.ReLU()), 64

    monkeypatch.setattr(_beside, "build_encoder", build)
    still = ["--degrees", 0, "--scale", 1, 1, "--translate", 0, "--jitter", 0, 0, 0, 0]
    run("--hands", 8, "--batch-size", 8, "--epochs", 200, "--validate-every", 100, *still, "--out", tmp_path)
    loss = [value for _, value in curves(tmp_path)["training/loss"]]
    assert sum(loss[-5:]) < 0.1 * sum(loss[:5])

    args = finetune_freihand.parse_args(["--resume", "--out", str(tmp_path)])
    labelled = load_finetune_data(args, quiet=True).labelled
    ended = finetune_freihand.Run(args, Checkpoints(tmp_path))
    ended.start(FinetuneData(labelled, labelled, 8, ""), Checkpoints(tmp_path / "checkpoints").load())
    hands, joints = finetune_freihand.predict(ended)
    errors = pose_errors(joints[TUNED], hands.xyz, hands.K)
    mean = pose_errors(hands.xyz.mean(0).expand(8, 21, 3), hands.xyz, hands.K)
    assert errors.px < 0.2 * mean.px
    assert errors.mm < 0.3 * mean.mm
    assert errors.pa_mm < 0.5 * mean.pa_mm
    assert hands.image.shape == (8, 3, 32, 32)


def test_the_refinement_learns_faster_and_biases_and_norms_are_not_decayed(tiny, tmp_path):
    started = begin(tmp_path, "--weight-decay", 0.5)
    names = {parameter: name for name, parameter in started.models.kept.named_parameters()}
    found = {
        names[parameter]: (group["weight_decay"], group["times"])
        for group in started.optimizer.param_groups
        for parameter in group["params"]
    }
    assert found.keys() == set(names.values())
    for name, parameter in started.models.kept.named_parameters():
        decay = 0.5 if parameter.ndim > 1 else 0
        assert found[name] == (decay, 10 if name.startswith("refine.") else 1), name


def test_hands_are_validated_in_plain_views_of_what_is_around_them(tiny, tmp_path, monkeypatch):
    words = ["--hands", 8, "--holdout", 0.9]
    started = begin(tmp_path, *words)
    started.data = load_finetune_data(started.args, quiet=True)
    with torch.no_grad():
        started.models.kept.refine[6].weight.normal_()
    joints = []
    for batch in (128, 3):
        monkeypatch.setattr(finetune_freihand, "VALIDATION_BATCH", batch)
        started.model.train()
        joints.append(finetune_freihand.predict(started)[1][TUNED])
        torch.rand(1)
    torch.testing.assert_close(joints[0], joints[1], atol=1e-4, rtol=1e-3)  # no chance, and no batch's own statistics

    hand = next(iter(torch.utils.data.DataLoader(started.data.validation, len(started.data.validation))))
    view = finetune_freihand.make_view(hand, eq.Compose([eq.Normalize.imagenet()]), started)
    low, high = view.xy.amin(1), view.xy.amax(1)
    torch.testing.assert_close((high - low).amax(-1), torch.full((len(low),), 0.7 * 32))
    torch.testing.assert_close((high + low) / 2, torch.full((len(low), 2), 16.0))
    torch.testing.assert_close(view.xy, project(view.xyz, view.K))


def test_rates_follow_the_schedule_in_every_group_and_long_gradients_are_clipped(tiny, root, tmp_path, monkeypatch):
    seen, lengths = [], []
    step = torch.optim.AdamW.step

    def note(optimizer, *others):
        seen.append([group["lr"] / group["times"] for group in optimizer.param_groups])
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        lengths.append(float(nn.utils.get_total_norm([parameter.grad for parameter in parameters])))
        return step(optimizer, *others)

    monkeypatch.setattr(torch.optim.AdamW, "step", note)
    run(*short(root, "--epochs", 1, "--warmup", 0.5), "--out", tmp_path)
    rates = [rate for _, rate in curves(tmp_path)["training/learning rate"]]
    assert rates[:3] == pytest.approx([0.001, 0.002, 0.003])
    assert seen == [pytest.approx([rate] * len(seen[0])) for rate in rates]
    assert max(lengths) == pytest.approx(1, rel=1e-3)  # clipped


@pytest.mark.parametrize("kind", ["none", "encoder.pt", "released"])
def test_starts_from_what_pre_training_left(tmp_path, kind):
    torch.manual_seed(9)
    resnet = torchvision.models.resnet18()
    resnet.fc = nn.Identity()
    state = {name: torch.rand_like(value) if value.is_floating_point() else value + 3 for name, value in
             resnet.state_dict().items()}  # fmt: skip
    children = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool")
    official = {
        f"encoder.features.{children.index(name.split('.', 1)[0])}.{name.split('.', 1)[1]}": value
        for name, value in state.items()
    }
    torch.save(state if kind == "encoder.pt" else {"state_dict": official, "epoch": 3}, tmp_path / "weights.pt")
    started = begin(tmp_path, "--arch", "resnet18", "--weights", "none" if kind == "none" else tmp_path / "weights.pt")
    for name, value in started.models.kept.encoder.state_dict().items():
        assert torch.equal(value, state[name]) == (kind != "none"), name
    assert started.models.kept.head.in_features == 512
