import json
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest
import torch

torchvision = pytest.importorskip("torchvision", reason="the examples need torchvision")

import pretrain_freihand
import tiny_encoder
from kornia.io import write_image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import equicon as eq
from equicon.hands import SyntheticHands, write_freihand, write_youtube
from equicon.training import _lifecycle as training
from equicon.training._batches import Batches, seed_of
from equicon.training._checkpoints import Checkpoints
from equicon.training._ranks import Ranks

SCRIPT = Path(pretrain_freihand.__file__)
TOY = ["--recipe", "quick", "--size", 32, "--labelled", 24]


def run(*words: object) -> None:
    pretrain_freihand.main([str(word) for word in (*TOY, *words)])


def reading(out: Path) -> EventAccumulator:
    return EventAccumulator(str(out / "tensorboard"), size_guidance={"scalars": 0}).Reload()


def curve(out: Path, name: str = "training/loss") -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in reading(out).Scalars(name)]


def encoder(out: Path) -> dict[str, torch.Tensor]:
    return torch.load(out / "encoder.pt", weights_only=True)


def same(out: Path, other: Path) -> bool:
    ours, theirs = encoder(out), encoder(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i, hand in enumerate(SyntheticHands(24, size=48)):
        write_image(folder / f"{i:02d}.jpg", hand.image)
    return folder


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(pretrain_freihand, "build_encoder", tiny_encoder.build_tiny_encoder)


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """A run without a break: 12 steps of two batches each, four to an epoch of 24 images."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrain_freihand, "build_encoder", tiny_encoder.build_tiny_encoder)
        run(*short(photos), "--out", out)
    return out


def short(photos, *words: object) -> list[object]:
    return [
        "--data",
        photos,
        "--batch-size",
        3,
        "--accumulate",
        2,
        "--epochs",
        3,
        "--warmup",
        0.3334,
        "--save-every",
        0.5,
        *words,
    ]


# --- What a run gives ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["peclr", "exact", "simclr"])
def test_learns_from_synthetic_hands(tmp_path, method, capsys):
    run("--hands", 24, "--batch-size", 8, "--epochs", 2, "--probe-every", 1, "--method", method, "--out", tmp_path)
    printed = capsys.readouterr()
    assert f"After: {method} pre-training" in printed.out
    assert printed.out.count("epoch 1\n") == 1  # the table of --probe-every
    assert f"pre-train ({method})" in printed.err
    assert "loss=" in printed.err
    assert "img/s" in printed.err

    missing = torchvision.models.resnet18().load_state_dict(encoder(tmp_path), strict=False)
    assert missing.missing_keys == ["fc.weight", "fc.bias"]
    assert missing.unexpected_keys == []
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["arguments"]["method"] == method
    assert list(result["probes"]) == ["0", "3", "6"]
    for rows in result["probes"].values():
        assert {row["kind"] for row in rows} == {"mean", "linear", "mlp"}
        assert all(0 < row["px"] < 32 and 0 < row["pa_mm"] < row["mm"] < 300 for row in rows)
    name = next(tag for tag in tags(tmp_path)["scalars"] if tag.startswith("probe, 2D [px]/linear"))
    assert [step for step, _ in curve(tmp_path, name)] == [0, 3, 6]
    assert (tmp_path / "views.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.rglob("*.part"))


def tags(out: Path) -> dict[str, list[str]]:
    return reading(out).Tags()


def test_learns_from_a_freihand_root_with_another_resnet_and_from_weights(tmp_path):
    write_freihand(tmp_path / "freihand", 50, size=48)
    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "weights.pt")
    words = ["--data", tmp_path / "freihand", "--arch", "resnet34", "--epochs", 0.1, "--batch-size", 8, "--workers", 1]
    run(*words, "--weights", tmp_path / "weights.pt", "--out", tmp_path / "out")
    assert torchvision.models.resnet34().load_state_dict(encoder(tmp_path / "out"), strict=False).unexpected_keys == []


def test_learns_from_an_endless_stream(tmp_path):
    run("--data", "stream", "--hands", 16, "--batch-size", 8, "--epochs", 1, "--out", tmp_path)
    assert len(curve(tmp_path)) == 2


def test_writes_down_what_one_wants_to_see(whole):
    assert [step for step, _ in curve(whole)] == list(range(12))
    assert all(abs(loss - math.log(5)) < 0.8 for _, loss in curve(whole))  # the mean of its batches, near chance
    rates = [rate for _, rate in curve(whole, "training/learning rate")]
    assert rates[:4] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3])
    assert rates[4] == pytest.approx(1e-3)
    assert sorted(rates[4:], reverse=True) == rates[4:]
    assert 0 < rates[-1] < 1e-4
    found = tags(whole)
    assert found["images"] == ["views"]
    parts = {"views", "encoder", "loss", "data", "optimizer"}
    assert {tag.split("/")[1] for tag in found["scalars"] if tag.startswith("share of the step/")} == parts
    assert "training/images per second" in found["scalars"]
    assert [path.name for path in Checkpoints(whole / "checkpoints").paths()] == [
        f"step_{step:08d}.pt" for step in (8, 10, 12)
    ]


def test_the_views_are_those_of_the_preset():
    assert pretrain_freihand.make_views(pretrain_freihand.parse_args([])) == eq.presets.peclr()


def test_biases_and_norms_are_not_decayed():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2, bias=False))
    args = pretrain_freihand.parse_args(["--weight-decay", "0.5"])
    decayed, others = pretrain_freihand.make_optimizer(model, args).param_groups
    assert (decayed["weight_decay"], [p.ndim for p in decayed["params"]]) == (0.5, [4, 2])
    assert (others["weight_decay"], [p.ndim for p in others["params"]]) == (0, [1, 1, 1])


# --- A run that stops goes on as if it had not ---------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("batch", [0, 1], ids=["within a step", "after a step"])
def test_a_signal_saves_and_the_resumed_run_equals_the_uninterrupted_one(
    tiny, photos, whole, tmp_path, monkeypatch, capsys, number, batch
):
    def seed_and_signal(*numbers):
        if numbers[1:] == (1, 5, batch):
            os.kill(os.getpid(), number)
        return seed_of(*numbers)

    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_and_signal)
    with pytest.raises(SystemExit) as stopped:
        run(*short(photos), "--out", tmp_path)
    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_of)
    assert stopped.value.code == 128 + number
    assert f"Stopped by {number.name} and saved after step {5 + batch} of 12" in capsys.readouterr().out
    assert Checkpoints(tmp_path / "checkpoints").load()["step"] == 5 + batch
    run("--resume", "--out", tmp_path)
    assert f"goes on at step {5 + batch} of 12" in capsys.readouterr().out
    assert curve(tmp_path) == curve(whole)
    assert same(tmp_path, whole)


def test_micro_batches_make_the_same_steps(tiny, photos, whole, tmp_path):
    run(*short(photos, "--micro-batch", 3), "--out", tmp_path / "all")
    assert same(tmp_path / "all", whole)
    run(*short(photos, "--micro-batch", 2), "--out", tmp_path / "two")
    assert curve(tmp_path / "two") != curve(whole)  # batch norm sees two images, and one
    assert all(abs(loss - math.log(5)) < 0.8 for _, loss in curve(tmp_path / "two"))


def test_a_run_in_half_precision_resumes_with_its_scaler(tiny, photos, tmp_path, monkeypatch):
    scaler, rate = torch.amp.GradScaler, training.learning_rate
    monkeypatch.setattr(torch.amp, "GradScaler", partial(scaler, init_scale=8.0, growth_interval=3))
    words = short(photos, "--precision", "float16")
    run(*words, "--out", tmp_path / "whole")

    def rate_and_signal(step, *others):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return rate(step, *others)

    monkeypatch.setattr(training, "learning_rate", rate_and_signal)
    with pytest.raises(SystemExit):
        run(*words, "--out", tmp_path / "cut")
    monkeypatch.setattr(training, "learning_rate", rate)
    state = Checkpoints(tmp_path / "cut" / "checkpoints").load()["scaler"]
    assert (state["scale"], state["_growth_tracker"]) == (16.0, 2)
    run("--resume", "--out", tmp_path / "cut")
    ends = [Checkpoints(tmp_path / name / "checkpoints").load()["scaler"] for name in ("cut", "whole")]
    assert ends[0] == ends[1]
    assert ends[0]["scale"] == 8.0 * 2**4
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    assert same(tmp_path / "cut", tmp_path / "whole")


def test_a_resumed_run_shows_all_that_the_uninterrupted_one_does(tiny, tmp_path, monkeypatch):
    words = ["--hands", 24, "--batch-size", 8, "--epochs", 3, "--probe-every", 1, "--save-every", 1]
    run(*words, "--out", tmp_path / "whole")

    def seed_and_signal(*numbers):
        if numbers[1:] == (1, 5, 0):
            os.kill(os.getpid(), signal.SIGTERM)
        return seed_of(*numbers)

    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_and_signal)
    with pytest.raises(SystemExit):
        run(*words, "--out", tmp_path / "cut")
    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_of)
    assert list(Checkpoints(tmp_path / "cut" / "checkpoints").load()["probes"]) == [0, 3]
    run("--resume", "--out", tmp_path / "cut")
    for name in tags(tmp_path / "whole")["scalars"]:
        if "share" not in name and "per second" not in name:
            assert curve(tmp_path / "cut", name) == curve(tmp_path / "whole", name), name
    pictures = [reading(tmp_path / name).Images("views") for name in ("cut", "whole")]
    assert [e.step for e in pictures[0]] == [e.step for e in pictures[1]] == [2, 5, 8]
    found = [json.loads((tmp_path / name / "result.json").read_text())["probes"] for name in ("cut", "whole")]
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """FreiHAND and YouTube3DHands: 140 images to learn from and 20 hands."""
    root = tmp_path_factory.mktemp("both")
    write_freihand(root / "freihand", 50, size=40)
    write_youtube(root / "youtube", 14, size=40)
    return ["--data", root / "freihand", "--data", root / "youtube", "--holdout", 0.3]


@pytest.mark.parametrize("weights", [[], ["--data-weights", 1, 2]], ids=["all", "weights"])
def test_learns_from_freihand_and_youtube_and_resumes(tiny, both, tmp_path, monkeypatch, capsys, weights):
    words = [*both, *weights, "--batch-size", 20, "--epochs", 1, "--save-every", 0.25, "--probe-every", 0.5]
    run(*words, "--out", tmp_path / "whole")
    printed = capsys.readouterr().out
    assert "YouTube3DHands: 21 hands in 14 images. Left out: " in printed
    assert "After: peclr pre-training" in printed
    begun = json.loads((tmp_path / "whole" / "arguments.json").read_text())
    assert begun["data"] == [str(both[1]), str(both[3])]
    result = json.loads((tmp_path / "whole" / "result.json").read_text())
    assert list(result["probes"]) == ["0", "4", "8"]

    def seed_and_signal(*numbers):
        if numbers[1:] == (1, 5, 0):
            os.kill(os.getpid(), signal.SIGTERM)
        return seed_of(*numbers)

    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_and_signal)
    with pytest.raises(SystemExit):
        run(*words, "--workers", 1, "--out", tmp_path / "cut")
    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_of)
    assert Checkpoints(tmp_path / "cut" / "checkpoints").load()["counts"] == [140, 21]
    with pytest.raises(SystemExit, match=r"--data: the run was begun on 140 \+ 21 images, got 21 \+ 140\. Give it the"):
        run("--resume", "--data", both[3], "--data", both[1], "--out", tmp_path / "cut")
    run("--resume", "--out", tmp_path / "cut")
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    assert same(tmp_path / "cut", tmp_path / "whole")


def test_a_checkpoint_from_before_there_were_several_data_sets_is_read(tiny, photos, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "old")
    path = Checkpoints(tmp_path / "old" / "checkpoints").paths()[-1]
    state = torch.load(path, weights_only=True)
    (state["count"],) = state.pop("counts")
    torch.save(state, path)
    run("--resume", "--out", tmp_path / "old")
    assert same(tmp_path / "old", whole)
    torch.save(state | {"count": 25}, path)
    with pytest.raises(SystemExit, match="--data: the run was begun on 25 images, got 24"):
        run("--resume", "--out", tmp_path / "old")


def driver(code: str, words: list[object]) -> subprocess.CompletedProcess[str]:
    """Run Python with the tiny encoder in a process group of its own."""
    start = (
        "import os, random, signal, subprocess, sys, time\n"
        "from pathlib import Path\n"
        "import pretrain_freihand, tiny_encoder\n"
        "from checkpoints import Checkpoints\n"
        "pretrain_freihand.build_encoder = tiny_encoder.build_tiny_encoder\n"
        "words = sys.argv[1:]\n"
    )
    paths = os.pathsep.join(sys.path)
    threads = str(torch.get_num_threads())
    return subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(code), *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": paths},
        check=False,
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_workers_too_saves_all_the_same(photos, whole, tmp_path, number):
    code = f"""
        seed_of = pretrain_freihand.seed_of
        def seed_and_signal(*numbers):
            if numbers[1:] == (1, 5, 0):
                # From outside, as a queue does it: a worker takes its parent's SIGTERM for the end of its work.
                group = str(os.getpgid(0))
                subprocess.run(["kill", "-{number.value}", "--", "-" + group], start_new_session=True, check=True)
                time.sleep(0.5)
            return seed_of(*numbers)
        pretrain_freihand.seed_of = seed_and_signal
        pretrain_freihand.main(words)
    """
    done = driver(code, [*TOY, *short(photos, "--workers", 2, "--out", tmp_path)])
    assert done.returncode == 128 + number, done.stderr
    assert Checkpoints(tmp_path / "checkpoints").load()["step"] == 5
    done = driver("pretrain_freihand.main(words)", [*TOY, "--resume", "--out", tmp_path])
    assert done.returncode == 0, done.stderr
    assert same(tmp_path, whole)


def test_a_run_killed_at_any_moment_goes_on_and_ends_alike(photos, whole, tmp_path):
    # One process imports everything and forks the runs, so that little time passes outside of them.
    code = """
        dice, kills, ended = random.Random(), 0, (0, 0)
        while not ended[0]:
            child = os.fork()
            if not child:
                try:
                    pretrain_freihand.main(words)
                finally:
                    os._exit(sys.exc_info()[0] is not None)
            end = time.monotonic() + dice.uniform(0.0, 1.0 + kills / 4)
            while not ended[0] and time.monotonic() < end:
                time.sleep(0.005)
                ended = os.waitpid(child, os.WNOHANG)
            if not ended[0]:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                kills += 1
                saved = Checkpoints(Path(words[-1]) / 'checkpoints').load()
                print('step', saved['step'] if saved else 0, flush=True)
        sys.exit(ended[1])
    """
    words = [*TOY, *short(photos, "--save-every", 0.25, "--resume", "--out", tmp_path)]
    done = driver(code, words)
    assert done.returncode == 0, done.stderr
    steps = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("step ")]
    assert steps  # at least one was killed
    assert steps == sorted(steps)
    assert not list(tmp_path.rglob("*.part"))
    assert same(tmp_path, whole)
    assert dict(curve(tmp_path)).keys() == set(range(12))


# --- On several ranks ----------------------------------------------------------------------------------------------

TORCHRUN = """
import json, os, signal, sys
from pathlib import Path
import batches, pretrain_freihand, tiny_encoder
pretrain_freihand.build_encoder = tiny_encoder.build_tiny_encoder
log, event, *words = sys.argv[1:]
rank, restart = int(os.environ["RANK"]), int(os.environ["TORCHELASTIC_RESTART_COUNT"])
seed_of, draw = pretrain_freihand.seed_of, batches.Batches.__iter__

def seed_and_event(*numbers):
    if restart == 0 and numbers[1:3] == (1, 5) and rank == 0:
        if event == "end the job":
            os.kill(os.getppid(), signal.SIGTERM)
        if event == "kill a rank":  # the one that writes
            os.kill(os.getpid(), signal.SIGKILL)
    return seed_of(*numbers)

def draw_and_log(sampler):
    for number, indices in zip(sampler.wanted, draw(sampler)):
        with open(f"{log}.{rank}", "a") as file:
            file.write(json.dumps([number, indices]) + "\\n")
        yield indices

pretrain_freihand.seed_of, batches.Batches.__iter__ = seed_and_event, draw_and_log
pretrain_freihand.main(words)
"""


def torchrun(
    folder: Path, ranks: int, *words: object, event: str = "none", restarts: int = 3
) -> subprocess.CompletedProcess[str]:
    script = folder.parent / "several.py"
    script.write_text(TORCHRUN)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--max-restarts={restarts}"]
    given = [script, folder.parent / f"{folder.name}.log", event, *TOY, *words, "--out", folder]
    return subprocess.run(
        [*launcher, "--nproc-per-node", str(ranks), *map(str, given)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )


def drawn(folder: Path, ranks: int = 2) -> dict[int, list[int]]:
    """Read which images made each batch when it was drawn for the last time, by so many ranks together."""
    parts = []
    for rank in range(ranks):
        lines = (folder.parent / f"{folder.name}.log.{rank}").read_text().splitlines()
        parts.append(dict(map(json.loads, lines)))
    return {number: [i for part in parts for i in part.get(number, [])] for number in parts[-1]}


@pytest.fixture(scope="module")
def two_ranks(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("ranks") / "whole"
    done = torchrun(out, 2, *short(photos))
    assert done.returncode == 0, done.stderr
    return out, done


def test_two_ranks_see_together_what_one_process_does(two_ranks):
    out, done = two_ranks
    order = list(Batches(24, 3, 0, 0, 24))
    assert [drawn(out)[number] for number in range(24)] == order
    assert dict(curve(out)).keys() == set(range(12))
    assert "12 steps of 6 images seen twice, 3 to a loss" in done.stdout
    assert done.stdout.count("on each of 2 ranks") == done.stdout.count("The encoder is") == 1
    assert done.stderr.count("pre-train (peclr):   0%") == 1
    assert "Warning" not in done.stderr
    assert [path.name for path in Checkpoints(out / "checkpoints").paths()][-1] == "step_00000012.pt"


def test_a_rank_that_is_killed_is_started_again_and_the_run_ends_as_if_nothing_had_happened(
    two_ranks, photos, tmp_path
):
    out = tmp_path / "killed"
    done = torchrun(out, 2, *short(photos), event="kill a rank")
    assert done.returncode == 0, done.stderr
    assert "goes on at step 4 of 12" in done.stdout
    assert same(out, two_ranks[0])
    assert dict(curve(out)) == dict(curve(two_ranks[0]))
    assert drawn(out) == drawn(two_ranks[0])
    assert not list(out.rglob("*.part"))


def test_a_run_stopped_by_a_signal_goes_on_with_another_number_of_ranks(photos, whole, tmp_path):
    out = tmp_path / "stopped"
    done = torchrun(
        out, 2, *short(photos, "--micro-batch", 2, "--batch-size", 6, "--accumulate", 1), event="end the job"
    )
    assert done.returncode != 0
    assert "Stopped by SIGTERM and saved after step" in done.stdout
    step = Checkpoints(out / "checkpoints").load()["step"]
    assert 5 <= step < 12
    done = torchrun(out, 3, "--resume")
    assert done.returncode == 0, done.stderr
    assert f"goes on at step {step} of 12" in done.stdout
    assert "on each of 3 ranks" in done.stdout
    assert [step for step, _ in curve(out)] == list(range(12))
    order = list(Batches(24, 6, 0, 0, 12))
    assert [drawn(out)[number] for number in range(step)] == order[:step]
    assert [drawn(out, 3)[number] for number in range(step, 12)] == order[step:]
    assert encoder(out).keys() == encoder(whole).keys()


def test_what_is_wrong_is_said_once_and_ends_all_ranks(photos, whole):
    before = (whole / "encoder.pt").read_bytes()
    done = torchrun(whole, 2, *short(photos), restarts=1)
    assert done.returncode == 1
    assert done.stderr.count("holds a run already. Go on with it (--resume)") == 2  # and was not resumed by the restart
    assert (whole / "encoder.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch-size", 3], "expected at least one image for each of 4 ranks, got 3"),
        (["--batch-size", 6, "--micro-batch", 2], "expected a multiple of 4, the ranks, got 6"),
    ],
)
def test_batches_that_ranks_cannot_share_are_refused(tmp_path, words, message):
    args = pretrain_freihand.parse_args([str(word) for word in words])
    with pytest.raises(SystemExit, match=f"^--batch-size: {message}"):
        pretrain_freihand.open_folder(args, Checkpoints(tmp_path), Ranks(0, 4))


def test_data_that_changed_is_noticed(tiny, photos, tmp_path):
    other = tmp_path / "photos"
    shutil.copytree(photos, other)
    run(*short(other), "--out", tmp_path / "out")
    (other / "03.jpg").unlink()
    with pytest.raises(SystemExit, match="--data: the run was begun on 24 images, got 23"):
        run("--resume", "--out", tmp_path / "out")


def test_a_resumed_run_does_not_ask_for_the_weights_it_began_with(whole, monkeypatch):
    asked = []

    def build(arch, weights):
        asked.append(weights)
        return tiny_encoder.build_tiny_encoder()

    monkeypatch.setattr(pretrain_freihand, "build_encoder", build)
    run("--resume", "--weights", "gone.pt", "--out", whole)
    assert asked == ["none"]


def test_a_finished_run_is_finished(tiny, photos, whole, capsys):
    before = (whole / "encoder.pt").read_bytes()
    capsys.readouterr()
    run("--resume", "--out", whole)
    assert (whole / "encoder.pt").read_bytes() == before
    with pytest.raises(SystemExit, match=r"holds a run already\. Go on with it"):
        run(*short(photos), "--out", whole)


# --- What goes wrong is said ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "nowhere"], "--data: expected 'synthetic', 'stream' or a folder, got nowhere, which is no folder"),
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


def test_a_loss_that_is_not_finite_stops_the_run_and_it_can_go_on(tiny, photos, tmp_path, monkeypatch):
    views = pretrain_freihand.two_views

    def spoil(augment, batch, run):
        x1, *others = views(augment, batch, run)
        return (x1 * float("nan") if run.step == 7 else x1, *others)

    monkeypatch.setattr(pretrain_freihand, "two_views", spoil)
    with pytest.raises(SystemExit) as stopped:
        run(*short(photos), "--out", tmp_path)
    monkeypatch.setattr(pretrain_freihand, "two_views", views)
    last = tmp_path / "checkpoints" / "step_00000006.pt"
    assert "The loss is nan at step 7, where the learning rate is 0.00" in str(stopped.value)
    assert f"The last good checkpoint is {last}. Add --resume and a lower --lr" in str(stopped.value)
    run("--resume", "--lr", 1e-4, "--out", tmp_path)
    assert len(curve(tmp_path)) == 12


def test_weights_that_are_not_finite_are_never_saved(tiny, photos, tmp_path, monkeypatch):
    def spoil(run, *others):
        if run.step == 6:
            with torch.no_grad():
                run.encoder[0].weight[0] = float("inf")
        return saving(run, *others)

    saving = pretrain_freihand.Run.save
    monkeypatch.setattr(pretrain_freihand.Run, "save", spoil)
    with pytest.raises(SystemExit, match=r"not finite after step 5, at learning rate 0\.000.*step_00000004.pt"):
        run(*short(photos), "--out", tmp_path)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_image_stops_the_run_or_is_passed_over_and_named(tiny, photos, tmp_path, capsys, workers):
    (tmp_path / "photos").mkdir()
    for path in photos.iterdir():
        (tmp_path / "photos" / path.name).write_bytes(b"" if path.name == "07.jpg" else path.read_bytes())
    words = short(tmp_path / "photos", "--workers", workers)
    with pytest.raises(SystemExit, match=r"^\S*07\.jpg \(index 7\): expected a JPEG image.*that is --skip-corrupt"):
        run(*words, "--out", tmp_path / "out")
    run(*words, "--skip-corrupt", "--out", tmp_path / "other")
    assert f"Went on without 1 corrupt images: {tmp_path / 'photos' / '07.jpg'}." in capsys.readouterr().out
    assert len(json.loads((tmp_path / "other" / "result.json").read_text())["skipped"]) == 1


def test_the_script_runs_as_a_command(photos, tmp_path):
    words = [*TOY, *short(photos), "--epochs", 0.5, "--out", tmp_path]
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "The encoder is" in done.stdout
