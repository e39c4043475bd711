import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

torchvision = pytest.importorskip("torchvision", reason="the examples need torchvision")

import tiny_encoder
from examples.loading import load
from torch import Tensor, nn

from equicon.hands import FreiHAND, Pose, Pose25D, SyntheticHands, bone_length, palm_from_wrist, project, write_freihand
from equicon.training import write_state

evaluate_freihand = load("evaluate_freihand.py")
GOLDEN = Path(__file__).parents[1] / "data" / "freihand_official_metrics.npz"
COUNT, SIDE = 5, 40


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    write_freihand(folder := tmp_path_factory.mktemp("freihand"), 1, num_evaluation=COUNT, size=SIDE)
    return folder


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(evaluate_freihand, "build_encoder", tiny_encoder.build_tiny_encoder)


@pytest.fixture
def model(tmp_path) -> Path:
    torch.manual_seed(0)
    torch.save(Pose25D(*tiny_encoder.build_tiny_encoder()).state_dict(), tmp_path / "best.pt")
    (tmp_path / "arguments.json").write_text(json.dumps({"arch": "resnet18", "size": 32}))
    return tmp_path / "best.pt"


def evaluate(*words: object) -> None:
    evaluate_freihand.main([str(word) for word in words])


def predictions(*words: object) -> tuple[Tensor, Tensor, Tensor]:
    args = evaluate_freihand.parse_args([str(word) for word in words])
    return evaluate_freihand.predict(evaluate_freihand.load_model(args), evaluate_freihand.load_data(args), args)


def leaderboard(path: Path) -> list[list]:
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["pred.json"]
        found: list[list] = json.loads(archive.read("pred.json"))
    return found


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


class Oracle(nn.Module):
    """Knows the hands that it is asked for, in their order, each batch twice; keeps the focal lengths it was given."""

    def __init__(self, xyz: Tensor, batch: int) -> None:
        super().__init__()
        scale = bone_length(xyz)
        self.xyz = palm_from_wrist(xyz) / scale[:, None, None]
        self.parts = iter([part for part in self.xyz.split(batch) for _ in range(2)])
        self.focal: list[float] = []
        self.views: list[Tensor] = []

    def forward(self, images: Tensor, K: Tensor) -> Pose:
        xyz = next(self.parts)
        self.focal.append(float(K[0, 0, 0]))
        self.views.append(images)
        depth = xyz[..., 2]
        return Pose(project(xyz, K), depth - depth[:, :1], depth[:, 0], xyz)


# --- What it gives -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["synthetic", "freihand"])
def test_writes_what_it_says(tiny, model, root, tmp_path, data, capsys):
    words = [model, "--data", data if data == "synthetic" else root, "--hands", COUNT, "--batch-size", 2]
    evaluate(*words, "--out", tmp_path / "out")
    joints, xyz, K = predictions(*words)
    found, verts = leaderboard(tmp_path / "out" / "pred.zip")
    assert torch.equal(torch.tensor(found), joints)
    assert np.asarray(verts).shape == (COUNT, 778, 3)
    assert not np.asarray(verts).any()
    assert is_png(tmp_path / "out" / "pck.png")
    assert is_png(tmp_path / "out" / "predictions.png")
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert {name: written[name] for name in evaluate_freihand.measure(joints, xyz, K)} == evaluate_freihand.measure(
        joints, xyz, K
    )
    assert written["model"] == str(model)
    printed = capsys.readouterr().out
    assert f"{COUNT} hands: EPE {written['EPE [cm]']:.2f} cm" in printed
    assert f"For the leaderboard: {tmp_path / 'out' / 'pred.zip'}" in printed
    if data == "freihand":
        assert torch.equal(xyz, FreiHAND(root, "evaluation").xyz)
        assert torch.equal(K, FreiHAND(root, "evaluation").K)


def test_without_labels_nothing_is_measured(tiny, model, root, tmp_path, capsys):
    shutil.copytree(root, tmp_path / "data")
    (tmp_path / "data" / "evaluation_xyz.json").unlink()
    evaluate(model, "--data", tmp_path / "data")
    assert (
        f"{COUNT} hands. {tmp_path / 'data'} has no labels, so there are no errors to report."
        in capsys.readouterr().out
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "arguments.json", "best.pt", "data", "pred.zip", "predictions.png",
    }  # fmt: skip
    found, _ = leaderboard(tmp_path / "pred.zip")
    assert torch.equal(torch.tensor(found), predictions(model, "--data", root)[0])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_model_that_knows_makes_no_error(model, root, tmp_path, monkeypatch, workers):
    xyz = FreiHAND(root, "evaluation").xyz
    monkeypatch.setattr(evaluate_freihand, "load_model", lambda args: Oracle(xyz, 2))
    evaluate(model, "--data", root, "--batch-size", 2, "--workers", workers)
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert max(found[f"{kind}EPE [cm]"] for kind in ("", "median ", "PA-", "median PA-")) < 1e-3
    assert max(found["from the wrist [cm]"], found["2D [px]"]) < 1e-2
    assert min(found["AUC"], found["PA-AUC"]) > 0.99
    assert found["PCK"][1:] == [1] * 99


def test_several_views_are_averaged_and_written_down(tiny, model, root, tmp_path):
    found = []
    for views in (1, 3, 3):
        words = [model, "--data", root, "--batch-size", 2, "--views", views]
        found.append(predictions(*words)[0])
        evaluate(*words, "--out", tmp_path)
        assert json.loads((tmp_path / "evaluation.json").read_text())["views"] == views
    assert torch.equal(found[0], predictions(model, "--data", root, "--batch-size", 2)[0])
    assert torch.equal(found[1], found[2])
    assert not torch.equal(found[0], found[1])


def test_rendered_hands_are_not_those_of_training(model, tmp_path, monkeypatch):
    args = evaluate_freihand.parse_args([str(model), "--hands", "70"])
    tested = evaluate_freihand.load_data(args)
    hands = SyntheticHands(70, 32, evaluate_freihand.SEED, "studio", side="right").render(range(70))
    assert len(tested.scale) == 70
    assert evaluate_freihand.SEED > 10**6
    assert torch.equal(tested.hands[66].xyz, hands.xyz[66])
    torch.testing.assert_close(tested.scale, bone_length(hands.xyz))
    monkeypatch.setattr(evaluate_freihand, "load_model", lambda args: Oracle(hands.xyz, 64))
    evaluate(model, "--hands", 70)
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["hands"] == 70
    assert found["EPE [cm]"] < 1e-3


@pytest.mark.parametrize(
    ("words", "first"), [([], 0.33), (["--first", 0.5], 0.5), (["--data", "synthetic"], 0.65)], ids=str
)
def test_it_first_looks_at_a_part_of_the_image(model, root, monkeypatch, words, first):
    args = evaluate_freihand.parse_args([str(word) for word in [model, "--data", root, "--hands", 3, *words]])
    tested = evaluate_freihand.load_data(args)
    xyz = torch.stack([tested.hands[i].xyz for i in range(len(tested.scale))])
    oracle = Oracle(xyz, 64)
    evaluate_freihand.predict(oracle, tested, args)
    side, focal = tested.hands[0].image.shape[-1], float(tested.hands[0].K[0, 0])
    assert oracle.focal[0] == pytest.approx(focal * 0.7 * 32 / (first * side), rel=1e-5)
    assert oracle.views[0].shape[-2:] == (32, 32)
    assert float(oracle.views[0].amin()) < -1  # normalised


def test_arch_and_size_are_those_of_the_run(model, tmp_path):
    args = evaluate_freihand.parse_args([str(model)])
    assert (args.arch, args.size, args.out) == ("resnet18", 32, tmp_path)
    args = evaluate_freihand.parse_args([str(model), "--arch", "resnet34", "--size", "64", "--out", "a"])
    assert (args.arch, args.size, args.out) == ("resnet34", 64, Path("a"))
    args = evaluate_freihand.parse_args([str(tmp_path / "elsewhere" / "rn50.pth")])
    assert (args.arch, args.size) == ("resnet50", 224)


def test_a_released_model_is_evaluated(root, tmp_path):
    torch.manual_seed(0)
    backbone = torchvision.models.resnet18(num_classes=64).state_dict()
    refine = Pose25D(nn.Identity(), 8).refine.state_dict()
    state = {f"backend_model.{name}": value for name, value in backbone.items()}
    state |= {f"zroot_ref.zroot_ref.{name}": value for name, value in refine.items()}
    torch.save({"state_dict": state}, tmp_path / "rn18.pth")
    evaluate(tmp_path / "rn18.pth", "--data", root, "--arch", "resnet18", "--size", 32, "--out", tmp_path / "out")
    assert len(leaderboard(tmp_path / "out" / "pred.zip")[0]) == COUNT
    with pytest.raises(SystemExit, match=r"rn18\.pth holds another network: .*Give its --arch\."):
        evaluate(tmp_path / "rn18.pth", "--data", root)


def test_the_measures_are_the_official_program_s():
    with np.load(GOLDEN) as data:
        golden = {name: torch.from_numpy(np.asarray(data[name])) for name in data.files}
    pred, true = golden["pred_xyz_m"], golden["gt_xyz_m"]
    found = evaluate_freihand.measure(pred, true, torch.eye(3).repeat(len(pred), 1, 1))
    assert found["hands"] == len(pred)
    for ours, theirs in (("", ""), ("PA-", "pa_")):
        assert found[f"{ours}EPE [cm]"] == pytest.approx(100 * float(golden[f"{theirs}mean_m"]), abs=1e-8)
        assert found[f"median {ours}EPE [cm]"] == pytest.approx(100 * float(golden[f"{theirs}median_m"]), abs=1e-8)
        assert found[f"{ours}AUC"] == pytest.approx(float(golden[f"{theirs}auc"]), abs=1e-10)
        assert found[f"{ours}PCK"] == pytest.approx(golden[f"{theirs}pck"].tolist(), abs=1e-10)
    assert found["thresholds [cm]"] == pytest.approx((100 * golden["thresholds_m"]).tolist())
    wrist = (pred - pred[:, :1] - true + true[:, :1]).norm(dim=-1).mean()
    assert found["from the wrist [cm]"] == pytest.approx(100 * float(wrist))
    json.dumps(found)


def test_the_curves_are_drawn():
    thresholds = (100 * evaluate_freihand.THRESHOLDS).tolist()
    found = {"thresholds [cm]": thresholds, "PCK": [0.2] * 100, "PA-PCK": [0.7] * 100}
    found |= {"EPE [cm]": 4.714, "PA-EPE [cm]": 0.71, "AUC": 0.12, "PA-AUC": 0.8604}
    figure = evaluate_freihand.draw_pck(found)
    lines = figure.axes[0].lines
    assert [line.get_ydata()[0] for line in lines] == [0.2, 0.7]
    assert all(list(line.get_xdata()) == thresholds for line in lines)
    labels = [line.get_label() for line in lines]
    assert labels == ["as predicted: EPE 4.71 cm, AUC 0.120", "after alignment (PA): EPE 0.71 cm, AUC 0.860"]
    evaluate_freihand.plt.close(figure)


# --- What goes wrong is said ---------------------------------------------------------------------------------------


def ended(*words: object) -> str:
    with pytest.raises(SystemExit) as stopped:
        evaluate(*words)
    assert isinstance(stopped.value.code, str)
    assert "\n" not in stopped.value.code.strip()
    return stopped.value.code


def test_wrong_files_and_folders_are_named_in_one_line(tiny, model, root, tmp_path):
    assert "No such file or directory: 'nowhere.pt'" in ended("nowhere.pt")
    assert "directory" in ended(tmp_path)
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    assert "broken.pt is no state dict of tensors" in ended(tmp_path / "broken.pt")
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "encoder.pt")
    assert "encoder.pt: expected the weights of a 2.5D model" in ended(tmp_path / "encoder.pt")
    other = Pose25D(nn.Linear(2, 8), 8).state_dict()
    torch.save(other, tmp_path / "other.pt")
    assert "other.pt holds another network" in (said := ended(tmp_path / "other.pt"))
    assert said.endswith("Give its --arch.")
    assert "root: expected a data set with evaluation_K.json, got nowhere" in ended(model, "--data", "nowhere")
    for text in ("{", "[]"):
        (tmp_path / "arguments.json").write_text(text)
        assert "arguments.json is damaged" in ended(model)


@pytest.mark.parametrize("data", [["synthetic"], ["data/freihand", "data/youtube"]])
def test_what_pre_training_leaves_is_to_be_fine_tuned_first(tmp_path, data):
    (tmp_path / "arguments.json").write_text(json.dumps({"data": data, "arch": "resnet18", "size": 64}))
    encoder = {"conv1.weight": torch.zeros(1)}
    torch.save(encoder, tmp_path / "encoder.pt")
    said = ended(tmp_path / "encoder.pt")
    assert "encoder.pt: expected the weights of a 2.5D model" in said
    assert said.endswith("This is an encoder: fine-tune it first (finetune_freihand.py --weights FILE).")
    torch.save({"state_dict": {"encoder.features.0.weight": torch.zeros(1)}}, tmp_path / "official.ckpt")
    assert "This is an encoder: fine-tune it first" in ended(tmp_path / "official.ckpt")
    state = {"kind": "pre-training", "step": 3, "model": encoder, "optimizer": {}}
    path = tmp_path / "checkpoints" / "step_00000003.pt"
    write_state(path, state)
    said = ended(path)
    assert f"{path} is a checkpoint of a run (pre-training, step 3)" in said
    assert "fine-tuned first (finetune_freihand.py --weights FILE)" in said


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_image_is_named_in_one_line(tiny, model, root, tmp_path, workers):
    shutil.copytree(root, tmp_path / "data")
    (tmp_path / "data" / "evaluation" / "rgb" / "00000003.jpg").write_bytes(b"")
    said = ended(model, "--data", tmp_path / "data", "--workers", workers)
    assert said.startswith(f"{tmp_path / 'data' / 'evaluation' / 'rgb' / '00000003.jpg'} (index 3): expected a JPEG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hand", "3"], "unrecognized arguments: --hand 3"),
        (["--first", "0"], "argument --first: expected a number above 0, got 0"),
        (["--arch", "vgg11"], "argument --arch: expected a name of list_backbones() or timm/NAME, got 'vgg11'"),
        (["--size", "4"], "argument --size: expected at least 8, got 4"),
        (["--device", "nonsense"], "--device: expected a device of this machine, got nonsense"),
    ],
)
def test_wrong_options_are_named(model, words, message, capsys):
    with pytest.raises(SystemExit):
        evaluate(model, *words)
    assert message in capsys.readouterr().err
