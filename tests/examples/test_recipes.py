"""The recipes, each against the package that it is for: matrices, values, resumption, and what their pages quote."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from examples.loading import EXAMPLES
from examples.recipe_checks import NEEDS, assert_moved, losses, recipe
from torch.testing import assert_close

import equicon as eq

PAGES = Path(__file__).parents[2] / "docs/how_to"
PAGE_OF = {
    "lightning_simclr": "lightning",
    "lightly_simclr": "lightly",
    "timm_backbone": "timm",
    "own_augmentation": "torchvision_albumentations",
    "huggingface_images": "huggingface",
}


@pytest.mark.parametrize("name", PAGE_OF)
def test_the_script_is_short_and_public(name):
    text = (EXAMPLES / f"recipes/{name}.py").read_text(encoding="utf-8")
    assert 40 <= text.count("\n") <= 120
    assert not re.search(r"equicon[\w.]*\._|\beq\._", text)


@pytest.mark.parametrize("name", PAGE_OF)
def test_the_page_quotes_the_script(name):
    """Each line of an excerpt stands in the script, and the page has the command that runs it."""
    page = (PAGES / f"{PAGE_OF[name]}.md").read_text(encoding="utf-8")
    script = {line.strip() for line in (EXAMPLES / f"recipes/{name}.py").read_text(encoding="utf-8").splitlines()}
    excerpts = re.findall(r"```py\n(.*?)```", page, re.DOTALL)
    assert excerpts
    for line in "".join(excerpts).splitlines():
        assert line.strip() in script, line
    assert f"examples/recipes/{name}.py" in page


def test_every_recipe_is_tested_and_has_a_page():
    assert {path.stem for path in (EXAMPLES / "recipes").glob("*.py")} == PAGE_OF.keys() == NEEDS.keys()


# Lightning


TRAIN = ["--hands", "32", "--batch-size", "8"]
lightning_warns = pytest.mark.filterwarnings(
    "ignore:.*isinstance.treespec, LeafSpec.. is deprecated",  # what Lightning asks torch
    "ignore:The '.*_dataloader' does not have many workers",
    "ignore:Checkpoint directory .* exists and is not empty",
)


@pytest.mark.slow
@lightning_warns
def test_lightning_resumes_to_the_weights_of_a_run_that_was_not_stopped(tmp_path, capsys):
    script = recipe("lightning_simclr")
    kept = []
    for out, epochs, *more in (("whole", "2"), ("parts", "1"), ("parts", "2", "--resume")):
        script.main([*TRAIN, "--epochs", epochs, "--out", str(tmp_path / out), *more])
        kept.append(torch.load(tmp_path / out / "last.ckpt", weights_only=True))
    whole, half, resumed = kept
    assert whole["HandViews"] == resumed["HandViews"] == {"drawn": 8}
    assert half["HandViews"] == {"drawn": 4}
    for name, value in whole["state_dict"].items():
        assert value.isfinite().all(), name
        assert value.equal(resumed["state_dict"][name]), name
        assert not value.equal(half["state_dict"][name]), name
    said = capsys.readouterr().out
    assert len(re.findall(r"misses the joints by [\d.]+ pixels", said)) == 4
    assert losses(said)[0] == losses(said)[2]
    model = script.PeCLR.load_from_checkpoint(tmp_path / "whole/last.ckpt")
    assert model.encoder.conv1.weight.equal(whole["state_dict"]["encoder.conv1.weight"])


def test_lightning_moves_matrices_with_the_batch():
    recipe("lightning_simclr")
    from lightning.fabric.utilities import move_data_to_device

    views, g = eq.RandomRotation(45)(torch.rand(2, 3, 8, 8))
    moved = move_data_to_device((views, g), torch.device("meta"))
    assert isinstance(moved[1], eq.Affine)
    assert moved[0].device.type == moved[1].device.type == "meta"


def test_lightning_draws_by_batch_and_rank():
    script = recipe("lightning_simclr")
    data = script.HandViews(8, 8)
    batch = data.train_hands.render(range(4))
    drawn = {}
    for count, rank in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 0)):
        data.trainer = SimpleNamespace(training=True, world_size=2, global_rank=rank)
        data.drawn = count
        x1, _, g1, g2 = data.on_after_batch_transfer(batch, 0)
        assert x1.shape == (4, 3, 32, 32)
        assert (g1.matrix != g2.matrix).any()
        if (count, rank) in drawn:
            assert_close(g1.matrix, drawn[count, rank], rtol=0, atol=0)
        drawn[count, rank] = g1.matrix
    assert len(torch.stack(list(drawn.values())).unique(dim=0)) == 4


@pytest.mark.slow
def test_lightning_trains_with_two_processes(tmp_path):
    recipe("lightning_simclr")
    words = [str(EXAMPLES / "recipes/lightning_simclr.py"), *TRAIN, "--epochs", "1", "--devices", "2", "--out", "here"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(losses(done.stdout)) == 1
    assert torch.load(tmp_path / "here/last.ckpt", weights_only=True)["HandViews"] == {"drawn": 4}


# lightly


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        *(f"--step {step}" for step in range(4)),
        *(f"--step 3 --loss {loss}" for loss in ("dcl", "vicreg", "barlow")),
        "--step 2 --looks lightly",
        "--step 3 --looks lightly",
    ],
)
def test_lightly_each_step_trains(words, capsys):
    script = recipe("lightly_simclr")
    size = ["--hands", "8", "--batch-size", "8", *words.split()]
    assert_moved(script.main([*size, "--epochs", "0"]), script.main([*size, "--epochs", "1"]))
    losses(capsys.readouterr().out)


@pytest.mark.slow
def test_lightly_the_first_step_changes_no_figure(capsys):
    script = recipe("lightly_simclr")
    for step in "01":
        script.main(["--hands", "32", "--batch-size", "16", "--epochs", "2", "--step", step])
    found = losses(capsys.readouterr().out)
    assert found[0] == pytest.approx(found[2], abs=0.01)  # later rounding drives them apart


def test_lightly_equicons_loss_and_the_invariant_one_have_the_value_of_lightlys():
    script = recipe("lightly_simclr")
    z1, z2 = torch.randn(2, 16, 128, requires_grad=True)
    g = eq.RandomAffine(45, 0.1).sample(16).affine
    theirs = script.make_criterion(0, "ntxent")(z1, z2)
    for ours in (
        script.make_criterion(1, "ntxent")(z1, z2),
        script.make_criterion(2, "ntxent")(z1, z2, g, g),
        eq.PeCLRLoss(temperature=0.5, representation=eq.Invariant())(z1, z2, g, g),
    ):
        assert_close(ours, theirs)
        assert_close(torch.autograd.grad(ours, (z1, z2)), torch.autograd.grad(theirs, (z1, z2), retain_graph=True))


def test_lightly_the_last_step_undoes_what_the_views_did():
    script = recipe("lightly_simclr")
    images = torch.randint(256, (16, 3, 48, 48), dtype=torch.uint8)
    (_, g1), (_, g2) = (script.make_augment("equicon")(images, size=(32, 32)) for _ in range(2))
    z = torch.randn(16, 128, dtype=torch.float64)
    z1, z2 = (eq.Points().act(g.to(torch.float64), z) for g in (g1, g2))
    at_home = script.make_criterion(0, "ntxent")(z, z)
    assert_close(script.make_criterion(3, "ntxent")(z1, z2, g1.to(torch.float64), g2.to(torch.float64)), at_home)
    assert script.make_criterion(2, "ntxent")(z1, z2, g1, g2) > at_home + 0.1


def test_lightly_its_looks_move_no_pixel_of_a_square_picture():
    script = recipe("lightly_simclr")
    picture = torch.randint(256, (3, script.STORED, script.STORED), dtype=torch.uint8)
    still = {"min_scale": 1.0, "hf_prob": 0.0, "normalize": None}  # as the recipe asks for
    plain = script.SimCLRTransform(script.STORED, cj_prob=0, random_gray_scale=0, gaussian_blur=0, **still)
    for view in (view for _ in range(200) for view in plain(script.v2.ToPILImage()(picture))):
        assert_close(view, picture / 255)


# timm


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("test_resnet", 32), ("test_vit", 64)])
def test_timm_trains_and_timm_loads_what_was_saved(name, size, tmp_path, capsys):
    script = recipe("timm_backbone")
    import timm

    words = ["--model", name, "--size", str(size), "--hands", "16", "--batch-size", "8", "--out", str(tmp_path)]
    after = script.main([*words, "--epochs", "2"])
    said = capsys.readouterr().out
    losses(said)
    assert_moved(script.main([*words, "--epochs", "0"]), after)
    script.main([*words, "--epochs", "2"])  # what is saved is again that of two
    again = timm.create_model(
        name, num_classes=0, checkpoint_path=tmp_path / "encoder.pt", **({"img_size": size} if "vit" in name else {})
    )
    assert_close(dict(again.state_dict()), dict(after[0].state_dict()))
    assert after(torch.rand(2, 3, size, size)).shape == (2, 128)
    normalize = script.make_normalize(after[0])
    assert (normalize.mean, normalize.std) == (again.default_cfg["mean"], again.default_cfg["std"])
    assert f"mean {normalize.mean}" in said


# Hugging Face


def test_huggingface_any_picture_becomes_a_square_of_bytes():
    script = recipe("huggingface_images")
    from PIL import Image

    for mode in ("L", "LA", "RGB", "RGBA", "P", "1", "CMYK"):
        white = Image.new("RGB", (40, 100), (255, 255, 255)).convert("RGBA" if mode == "LA" else "RGB").convert(mode)
        square = script.to_square(white)
        assert square.min() > 250, mode
        assert (square.shape, square.dtype) == ((3, *script.STORED), torch.uint8), mode
    for mode in ("I;16", "I", "F"):
        with pytest.raises(ValueError, match=f"expected 8 bits a channel, got mode {mode}"):
            script.to_square(Image.new(mode, (40, 100)))
    picture = torch.randint(256, (3, *script.STORED), dtype=torch.uint8)
    assert script.to_square(Image.fromarray(picture.permute(1, 2, 0).numpy())).equal(picture)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_huggingface_trains(workers, capsys):
    script = recipe("huggingface_images")
    words = ["--images", "12", "--batch-size", "6", "--workers", workers, "--epochs"]
    after = script.main([*words, "1"])
    said = capsys.readouterr().out
    assert "12 pictures of 3 sizes" in said
    assert f"torch.uint8 {(6, 3, *script.STORED)}" in said
    losses(said)
    assert_moved(script.main([*words, "0"]), after)
