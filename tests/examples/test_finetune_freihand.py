import json
import math
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

torchvision = pytest.importorskip("torchvision", reason="the examples need torchvision")

import evaluate_freihand
import finetune_freihand
import tiny_encoder
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

import equicon as eq
from equicon import load_weights
from equicon.hands import FreiHAND, Pose25D, PoseErrors, pose_errors, project, read_pose25d, write_freihand
from equicon.training._batches import seed_of
from equicon.training._checkpoints import Checkpoints
from equicon.training._ranks import Ranks

SCRIPT = Path(finetune_freihand.__file__)
TOY = ["--recipe", "quick", "--size", 32]


def run(*words: object) -> None:
    finetune_freihand.main([str(word) for word in (*TOY, *words)])


def short(root: Path, *words: object) -> list[object]:
    """12 steps, 6 to an epoch; validations after 3, 6, 9 and 12, and checkpoints after every second step too."""
    fixed = ["--data", root, "--holdout", 0.25, "--batch-size", 12, "--epochs", 2, "--lr", 0.003]
    return [*fixed, "--validate-every", 0.5, "--save-every", 0.34, *words]


def reading(out: Path) -> EventAccumulator:
    return EventAccumulator(str(out / "tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()


def curves(out: Path) -> dict[str, list[tuple[int, float]]]:
    """Read all curves but those of time."""
    found = reading(out)
    names = [name for name in found.Tags()["scalars"] if "share" not in name and "per second" not in name]
    return {name: [(event.step, event.value) for event in found.Scalars(name)] for name in names}


def result(out: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((out / "result.json").read_text())
    return found


def same_run(out: Path, other: Path) -> None:
    """Check that two runs gave the same in every bit that they leave behind."""
    ends = [Checkpoints(path / "checkpoints").load() for path in (out, other)]
    for name, value in ends[0]["model"].items():
        assert torch.equal(value, ends[1]["model"][name]), name
    best = [torch.load(path / "best.pt", weights_only=True) for path in (out, other)]
    assert all(torch.equal(value, best[1][name]) for name, value in best[0].items())
    assert curves(out) == curves(other)
    pictures = [[(event.step, event.width) for event in reading(path).Images("skeletons")] for path in (out, other)]
    assert pictures[0] == pictures[1]
    for name in ("validation", "best", "skipped"):
        assert result(out)[name] == result(other)[name]
    assert not list(out.rglob("*.part"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    write_freihand(folder := tmp_path_factory.mktemp("freihand"), 24, size=40)
    return folder


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(finetune_freihand, "build_encoder", tiny_encoder.build_tiny_encoder)


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory):
    """A run without a break."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune_freihand, "build_encoder", tiny_encoder.build_tiny_encoder)
        run(*short(root, "--keep", 99), "--out", out)
    return out


def begin(folder: Path, *words: object, saved=None) -> finetune_freihand.Run:
    args = finetune_freihand.parse_args([str(word) for word in (*TOY, *words)])
    return finetune_freihand.Run(args, 8, Checkpoints(folder), saved)


# --- What a run gives ----------------------------------------------------------------------------------------------


def test_learns_the_hands_that_it_sees(tmp_path, monkeypatch):
    def build(*_: str) -> tuple[nn.Module, int]:
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 64), nn.ReLU()), 64

    monkeypatch.setattr(finetune_freihand, "build_encoder", build)
    still = ["--degrees", 0, "--scale", 1, 1, "--translate", 0, "--jitter", 0, 0, 0, 0]
    run("--hands", 8, "--batch-size", 8, "--epochs", 200, "--validate-every", 100, *still, "--out", tmp_path)
    loss = [value for _, value in curves(tmp_path)["training/loss"]]
    assert sum(loss[-5:]) < 0.1 * sum(loss[:5])

    args = finetune_freihand.parse_args(["--resume", "--out", str(tmp_path)])
    data = load_data(args, quiet=True)
    ended = finetune_freihand.Run(args, 8, Checkpoints(tmp_path), Checkpoints(tmp_path / "checkpoints").load())
    hands, joints = finetune_freihand.predict(ended, Data(data.labelled, data.labelled, 8, ""))
    errors = pose_errors(joints, hands.xyz, hands.K)
    mean = pose_errors(hands.xyz.mean(0).expand(8, 21, 3), hands.xyz, hands.K)
    assert errors.px < 0.2 * mean.px
    assert errors.mm < 0.3 * mean.mm
    assert errors.pa_mm < 0.5 * mean.pa_mm
    assert hands.image.shape == (8, 3, 32, 32)


def test_writes_down_what_one_wants_to_see(whole):
    found = curves(whole)
    assert [step for step, _ in found["training/loss"]] == list(range(12))
    parts = [found[f"training/loss, {name}"] for name in ("2D", "depth", "3D")]
    for step, loss in found["training/loss"]:
        assert loss == pytest.approx(sum(part[step][1] for part in parts), rel=1e-5)
    assert [step for step, _ in found["training/learning rate"]] == list(range(12))
    rows = result(whole)["validation"]
    for name in PoseErrors._fields:
        assert found[f"validation/{name}"] == [(int(step), pytest.approx(row[name])) for step, row in rows.items()]
    assert list(rows) == ["3", "6", "9", "12"]
    assert [event.step for event in reading(whole).Images("skeletons")] == [2, 5, 8, 11]
    spent = {"data", "views", "model", "optimizer"}
    names = reading(whole).Tags()["scalars"]
    assert {name.split("/")[1] for name in names if name.startswith("share of the step/")} == spent
    assert (whole / "skeletons.png").read_bytes().startswith(b"\x89PNG")
    assert result(whole)["arguments"]["holdout"] == 0.25
    assert result(whole)["versions"]["torch"] == torch.__version__
    steps = [int(path.stem[5:]) for path in Checkpoints(whole / "checkpoints").paths()]
    assert steps == [0, 2, 3, 4, 6, 8, 9, 10, 12]


def test_the_best_model_is_that_of_the_least_aligned_error(whole):
    rows = result(whole)["validation"]
    best = result(whole)["best"]
    assert best == min((row["pa_mm"], int(step)) for step, row in rows.items())[1]
    state = torch.load(whole / "checkpoints" / f"step_{best:08d}.pt", weights_only=True)["model"]
    model = Pose25D(*tiny_encoder.build_tiny_encoder())
    # The tiny encoder has no conv1 that tells a ResNet; a Pose25D of it is read all the same.
    load_weights(model, read_pose25d(whole / "best.pt"), "best.pt")
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_a_later_model_that_is_worse_does_not_replace_the_best(tiny, root, tmp_path, monkeypatch):
    fake = iter([5.0, 3.0, 3.0, 4.0])
    kept: dict[str, list[bytes]] = {"best.pt": [], "skeletons.png": []}

    def note() -> None:
        for name, contents in kept.items():
            contents.append((tmp_path / name).read_bytes() if (tmp_path / name).exists() else b"")

    def errors(joints, xyz, K):
        note()
        return PoseErrors(1, 1, 1, next(fake), 0.5, 0.5)

    monkeypatch.setattr(finetune_freihand, "pose_errors", errors)
    run(*short(root), "--out", tmp_path)
    note()
    for contents in kept.values():
        assert contents[0] == b""
        assert contents[1] != contents[2] == contents[3] == contents[4]
    assert result(tmp_path)["best"] == 6


def test_the_refinement_learns_faster_and_biases_and_norms_are_not_decayed(tiny, tmp_path):
    started = begin(tmp_path, "--weight-decay", 0.5)
    names = {parameter: name for name, parameter in started.model.named_parameters()}
    found = {
        names[parameter]: (group["weight_decay"], group["times"])
        for group in started.optimizer.param_groups
        for parameter in group["params"]
    }
    assert found.keys() == set(names.values())
    for name, parameter in started.model.named_parameters():
        decay = 0.5 if parameter.ndim > 1 else 0
        assert found[name] == (decay, 10 if name.startswith("refine.") else 1), name


def test_hands_are_validated_in_plain_views_of_what_is_around_them(tiny, tmp_path, monkeypatch):
    words = ["--hands", 8, "--holdout", 0.9]
    started = begin(tmp_path, *words)
    data = load_data(started.args, quiet=True)
    with torch.no_grad():
        started.model.refine[6].weight.normal_()
    joints = []
    for batch in (128, 3):
        monkeypatch.setattr(finetune_freihand, "VALIDATION_BATCH", batch)
        started.model.train()
        joints.append(finetune_freihand.predict(started, data)[1])
        torch.rand(1)
    torch.testing.assert_close(joints[0], joints[1], atol=1e-4, rtol=1e-3)  # no chance, and no batch's own statistics

    hand = next(iter(torch.utils.data.DataLoader(data.validation, len(data.validation))))
    view = finetune_freihand.make_view(hand, eq.Compose([finetune_freihand.NORMALIZE]), started)
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
    started = begin(tmp_path, "--weights", "none" if kind == "none" else tmp_path / "weights.pt")
    for name, value in started.model.encoder.state_dict().items():
        assert torch.equal(value, state[name]) == (kind != "none"), name
    assert started.model.head.in_features == 512


def test_a_resumed_run_does_not_ask_for_the_weights_it_began_with(whole, tmp_path, monkeypatch):
    asked = []

    def build(arch, weights):
        asked.append(weights)
        return tiny_encoder.build_tiny_encoder()

    monkeypatch.setattr(finetune_freihand, "build_encoder", build)
    run("--resume", "--weights", "gone.pt", "--out", whole)
    assert asked == ["none"]


def test_with_fewer_labels_as_many_steps_are_taken_and_no_other_image_is_read(tiny, root, tmp_path, monkeypatch):
    read = []
    locate = FreiHAND._locate

    def note(data, position):
        path, sample = locate(data, position)
        read.append((int(data.samples[sample]), len(data.versions)))
        return path, sample

    monkeypatch.setattr(FreiHAND, "_locate", note)
    samples = {}
    for fraction in (0.1, 0.5):
        read.clear()
        run(*short(root, "--fraction", fraction), "--out", tmp_path / str(fraction))
        assert [step for step, _ in curves(tmp_path / str(fraction))["training/loss"]] == list(range(12))
        samples[fraction] = {sample for sample, versions in read if versions == 4}
        validated = {sample for sample, versions in read if versions == 1}
        assert validated == set(FreiHAND(root).holdout(0.25, seed=0)[1].samples.tolist())
        assert not validated & samples[fraction]
        assert len([versions for _, versions in read if versions == 4]) == 12 * 12
    assert [len(each) for each in samples.values()] == [2, 9]
    assert samples[0.1] < samples[0.5]


# --- A run that stops goes on as if it had not ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "number", "validated"),
    [(4, signal.SIGINT, [3]), (5, signal.SIGTERM, [3]), (6, signal.SIGINT, [3, 6])],
    ids=["between", "before a validation", "after a validation"],
)
def test_a_signal_saves_and_the_resumed_run_equals_the_uninterrupted_one(
    tiny, root, whole, tmp_path, monkeypatch, capsys, step, number, validated
):
    def seed_and_signal(*numbers):
        if numbers[1:] == (1, step):
            os.kill(os.getpid(), number)
        return seed_of(*numbers)

    monkeypatch.setattr(finetune_freihand, "seed_of", seed_and_signal)
    with pytest.raises(SystemExit) as stopped:
        run(*short(root), "--out", tmp_path)
    monkeypatch.setattr(finetune_freihand, "seed_of", seed_of)
    assert stopped.value.code == 128 + number
    assert f"Stopped by {number.name} and saved after step {step + 1} of 12" in capsys.readouterr().out
    state = Checkpoints(tmp_path / "checkpoints").load()
    assert (state["step"], list(state["found"])) == (step + 1, validated)
    measured, measure = [], finetune_freihand.measure

    def note(run, *rest):
        measured.append(run.step)
        return measure(run, *rest)

    monkeypatch.setattr(finetune_freihand, "measure", note)
    run("--resume", "--out", tmp_path)
    assert f"goes on at step {step + 1} of 12" in capsys.readouterr().out
    assert validated + measured == [3, 6, 9, 12]
    same_run(tmp_path, whole)


def test_a_run_that_ends_within_a_validation_goes_on_and_ends_alike(tiny, root, whole, tmp_path, monkeypatch, capsys):
    saving = finetune_freihand.write_figure

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(finetune_freihand, "write_figure", interrupt)
    with pytest.raises(SystemExit) as stopped:
        run(*short(root), "--out", tmp_path)
    monkeypatch.setattr(finetune_freihand, "write_figure", saving)
    assert stopped.value.code == 130
    assert "step_00000002.pt. --resume goes on." in capsys.readouterr().err
    run("--resume", "--out", tmp_path)
    same_run(tmp_path, whole)


@pytest.mark.parametrize("every", [0.5, 2])
def test_a_run_that_ends_before_the_best_model_is_written_writes_it(tiny, root, whole, tmp_path, monkeypatch, every):
    saving = finetune_freihand.write_state

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(finetune_freihand, "write_state", interrupt)
    with pytest.raises(SystemExit):
        run(*short(root), "--out", tmp_path)
    assert not (tmp_path / "best.pt").exists()
    assert list(Checkpoints(tmp_path / "checkpoints").load()["found"]) == [3]
    monkeypatch.setattr(finetune_freihand, "write_state", saving)
    monkeypatch.setattr(finetune_freihand, "finetune", interrupt)
    with pytest.raises(SystemExit):
        run("--resume", "--validate-every", every, "--out", tmp_path)
    state = Checkpoints(tmp_path / "checkpoints").load()["model"]
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert all(torch.equal(best[name], state[name]) for name in state)


def test_a_stopped_validation_at_the_end_is_made_up_for(tiny, root, whole, tmp_path, monkeypatch):
    measure = finetune_freihand.measure

    def interrupt(run, *rest):
        if run.step == 12:
            raise KeyboardInterrupt
        return measure(run, *rest)

    monkeypatch.setattr(finetune_freihand, "measure", interrupt)
    with pytest.raises(SystemExit):
        run(*short(root), "--out", tmp_path)
    monkeypatch.setattr(finetune_freihand, "measure", measure)
    assert Checkpoints(tmp_path / "checkpoints").load()["step"] == 12
    run("--resume", "--out", tmp_path)
    same_run(tmp_path, whole)


def test_a_finished_run_is_finished(tiny, root, whole, capsys):
    before = (whole / "best.pt").read_bytes(), curves(whole)
    capsys.readouterr()
    run("--resume", "--out", whole)
    printed = capsys.readouterr().out
    assert printed.count("epoch 2: PA-EPE") == 1
    assert "The best model is that of epoch" in printed
    assert ((whole / "best.pt").read_bytes(), curves(whole)) == before
    with pytest.raises(SystemExit, match=r"holds a run already\. Go on with it"):
        run(*short(root), "--out", whole)


def test_workers_make_the_same_run(tiny, root, whole, tmp_path):
    run(*short(root, "--workers", 1), "--out", tmp_path)
    same_run(tmp_path, whole)


# --- On several ranks ----------------------------------------------------------------------------------------------

TORCHRUN = """
import os, signal, sys
import finetune_freihand, tiny_encoder, torch
finetune_freihand.build_encoder = tiny_encoder.build_tiny_encoder
seed_of = finetune_freihand.seed_of

def seed_and_kill(*numbers):
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and numbers[1:] == (1, 5, 1):  # the second rank
        os.kill(os.getpid(), signal.SIGKILL)
    return seed_of(*numbers)

pose_loss = finetune_freihand.pose_loss

def note_loss(*args):
    losses = pose_loss(*args)
    with open(sys.argv[-1] + "." + os.environ["RANK"], "a") as file:
        file.write(f"{sum(loss.item() for loss in losses.values())}\\n")
    return losses

train = finetune_freihand.train

def note_weights(run, data):
    train(run, data)
    torch.save([*run.model.parameters()], sys.argv[-1] + ".weights." + os.environ["RANK"])

finetune_freihand.seed_of, finetune_freihand.pose_loss = seed_and_kill, note_loss
finetune_freihand.train = note_weights
finetune_freihand.main(sys.argv[1:])
"""


def test_two_ranks_finish_a_run_though_one_is_killed(root, whole, tmp_path):
    (tmp_path / "several.py").write_text(TORCHRUN)
    out = tmp_path / "out"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts=3", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, str(tmp_path / "several.py"), *map(str, [*TOY, *short(root), "--out", out])],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "goes on at step 4 of 12" in done.stdout
    assert "on each of 2 ranks" in done.stdout
    assert done.stdout.count("The best model is") == 1
    assert "Warning" not in done.stderr
    assert dict(curves(out)["training/loss"]).keys() == set(range(12))
    assert list(result(out)["validation"]) == ["3", "6", "9", "12"]
    state = torch.load(out / "best.pt", weights_only=True)
    assert state.keys() == torch.load(whole / "best.pt", weights_only=True).keys()
    ends = [torch.load(tmp_path / f"out.weights.{rank}", weights_only=True) for rank in range(2)]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*ends, strict=True))
    last = [float((tmp_path / f"out.{rank}").read_text().split()[-1]) for rank in range(2)]
    assert last[0] != last[1]
    assert dict(curves(out)["training/loss"])[11] == pytest.approx(sum(last) / 2, rel=1e-5)  # the mean over the ranks
    first = [dict(curves(path)["training/loss"])[0] for path in (out, whole)]
    assert first[0] != first[1]  # other views, but of the same images
    assert first[0] == pytest.approx(first[1], rel=0.5)


@pytest.mark.parametrize(("batch", "world"), [(3, 2), (4, 4)])
def test_batches_that_ranks_cannot_share_are_refused(tmp_path, batch, world):
    args = finetune_freihand.parse_args(["--batch-size", str(batch)])
    with pytest.raises(SystemExit, match=rf"--batch-size: expected a multiple of {world} ranks, twice.*, got {batch}"):
        finetune_freihand.open_folder(args, Checkpoints(tmp_path), Ranks(0, world))


# --- What goes wrong is said ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--data", "nowhere"],
            "--data: expected 'synthetic' or the folder of FreiHAND, got nowhere, which is no",
        ),
        (["--hands", 4], "--batch-size: expected at most 4, the images to train on, got 32"),
        (
            ["--hands", 40, "--weights", "nowhere.pt"],
            "--weights: expected 'imagenet', 'none' or a file, got nowhere.pt, which is no file.",
        ),
        (["--jitter", 0, 0, 0, 0.7], "views: hue: expected"),
        (["--out", "/proc/nowhere"], "/proc/nowhere/checkpoints cannot be written to"),
    ],
)
def test_says_what_is_wrong(tmp_path, words, message):
    with pytest.raises(SystemExit) as stopped:
        run("--out", tmp_path, *words)
    assert message in str(stopped.value)


def test_a_file_that_is_no_encoder_is_named(root, tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pt")
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    for name, message in (("other", "holds another network: .*Give its --arch"), ("broken", "is no state dict")):
        with pytest.raises(SystemExit, match=rf"^--weights: \S*{name}\.pt {message}"):
            run(*short(root), "--weights", tmp_path / f"{name}.pt", "--out", tmp_path / "out")


def test_fewer_images_than_a_batch_are_said(root, tmp_path):
    with pytest.raises(SystemExit, match="--batch-size: expected at most 72, the images to train on, got 80"):
        run(*short(root, "--batch-size", 80), "--out", tmp_path)


def test_a_run_of_another_kind_is_told_apart(root, tmp_path):
    Checkpoints(tmp_path / "checkpoints").save(3, {"step": 3, "probes": {}})
    with pytest.raises(SystemExit, match=r"--out: .* holds another run than one of fine-tuning\. Give another fo"):
        run(*short(root), "--resume", "--out", tmp_path)


def test_data_that_changed_is_noticed(tiny, root, whole, tmp_path):
    write_freihand(tmp_path, 25, size=40)
    with pytest.raises(SystemExit, match="--data: the run was begun on 72 images, got 76"):
        run("--resume", "--data", tmp_path, "--out", whole)


@pytest.mark.parametrize("step", [4, 5], ids=["between", "before a validation"])
def test_a_loss_that_is_not_finite_stops_the_run_and_it_can_go_on(tiny, root, tmp_path, monkeypatch, step):
    make_view = finetune_freihand.make_view

    def spoil(hand, augment, run):
        view = make_view(hand, augment, run)
        return view._replace(images=view.images * (math.nan if run.step == step and run.model.training else 1))

    monkeypatch.setattr(finetune_freihand, "make_view", spoil)
    with pytest.raises(SystemExit) as stopped:
        run(*short(root), "--out", tmp_path)
    monkeypatch.setattr(finetune_freihand, "make_view", make_view)
    last = tmp_path / "checkpoints" / "step_00000004.pt"
    assert f"The loss is nan at step {step}, where the learning rate is 0.00" in str(stopped.value)
    assert f"The last good checkpoint is {last}. Add --resume and a lower --lr" in str(stopped.value)
    run("--resume", "--lr", 1e-4, "--out", tmp_path)
    assert len(curves(tmp_path)["training/loss"]) == 12


def test_weights_that_are_not_finite_are_not_validated(tiny, root, tmp_path, monkeypatch):
    check = finetune_freihand.Run.check_finite

    def spoil(run):
        if run.step == 6:
            with torch.no_grad():
                run.model.head.weight[0] = math.inf
        check(run)

    monkeypatch.setattr(finetune_freihand.Run, "check_finite", spoil)
    predict, predicted = finetune_freihand.predict, []

    def note(run, data):
        predicted.append(run.step)
        return predict(run, data)

    monkeypatch.setattr(finetune_freihand, "predict", note)
    with pytest.raises(SystemExit, match=r"not finite after step 5, at learning rate 0\.00.*step_00000004\.pt"):
        run(*short(root), "--out", tmp_path)
    assert predicted == [3]


def test_corrupt_images_stop_the_run_or_are_passed_over_and_named(tiny, tmp_path, capsys):
    write_freihand(tmp_path / "data", 24, size=40)
    training, validation = FreiHAND(tmp_path / "data").holdout(0.25)
    broken = sorted([training.path(30), validation.path(2)])
    for path in broken:
        path.write_bytes(b"")
    words = short(tmp_path / "data")
    with pytest.raises(SystemExit, match=r"\.jpg \(index \d+\): expected a JPEG image.*that is --skip-corrupt"):
        run(*words, "--out", tmp_path / "out")
    run(*words, "--skip-corrupt", "--out", tmp_path / "other")
    printed = capsys.readouterr().out
    for path in broken:
        assert printed.count(f"went on without {path}, which is corrupt") == 1
    assert "Went on without 2 corrupt images; result.json names them." in printed
    assert sorted(result(tmp_path / "other")["skipped"]) == [str(path) for path in broken]


def test_half_precision_trains(tiny, root, tmp_path, monkeypatch):
    lengths, step = [], torch.optim.AdamW.step

    def note(optimizer, *others):
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        lengths.append(float(nn.utils.get_total_norm([parameter.grad for parameter in parameters])))
        return step(optimizer, *others)

    monkeypatch.setattr(torch.optim.AdamW, "step", note)
    monkeypatch.setattr(torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=64.0))
    for precision in ("float16", "bfloat16"):
        lengths.clear()
        run(*short(root, "--precision", precision, "--epochs", 0.5), "--out", tmp_path / precision)
        assert list(result(tmp_path / precision)["validation"]) == ["3"]
        assert max(lengths) == pytest.approx(1, rel=1e-3)  # clipped at their real scale


def test_the_script_runs_as_a_command_and_its_model_is_evaluated(tmp_path):
    words = [*TOY, "--hands", 8, "--batch-size", 4, "--epochs", 1, "--out", tmp_path]
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    command = f"python examples/evaluate_freihand.py {tmp_path / 'best.pt'}"
    assert command in done.stdout
    evaluate_freihand.main([*command.split()[2:], "--hands", "6"])
    assert json.loads((tmp_path / "evaluation.json").read_text())["hands"] == 6
