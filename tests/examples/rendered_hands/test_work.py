from dataclasses import replace

import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.loading import load

import equicon as eq

plan, work = load("rendered_hands/plan.py"), load("rendered_hands/work.py")
TOY = plan.PRESETS["toy"]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    work.render(TOY, folder / "hands", "cpu")
    return folder


def test_hands_are_rendered_once_and_no_hand_is_in_two_sets(out):
    before = {name: (out / "hands" / f"{name}.pt").stat().st_mtime_ns for name in work.SETS}
    work.render(TOY, out / "hands", "cpu")
    assert before == {name: (out / "hands" / f"{name}.pt").stat().st_mtime_ns for name in work.SETS}
    found = {name: work.hands(out / "hands", name, "cpu") for name in work.SETS}
    assert [len(found[name].image) for name in work.SETS] == [TOY.unlabelled, TOY.labelled, *3 * [TOY.tested]]
    apart = torch.cat([found[name].xyz.flatten(1) for name in ("unlabelled", "labelled", "choosing", "studio")])
    assert len(apart.unique(dim=0)) == len(apart)
    assert torch.equal(found["studio"].xyz, found["wild"].xyz)  # the same hands in both
    assert not torch.equal(found["studio"].image, found["wild"].image)


@pytest.mark.parametrize("method", ["none", "simclr", "peclr", "exact", "exact, scale kept"])
def test_pre_training_is_probed_and_runs_of_a_seed_begin_alike(out, method):
    piece = plan.Pretrain(method, 0.5, 1)
    found = work.run(piece, TOY, out, "cpu", 1)
    assert {(row["domain"], row["labels"]) for row in found["rows"]} == {("studio", 20), ("wild", 20)}
    assert all(0 < row["pa_mm"] < row["mm"] < 1000 and 0 <= row["pa_auc"] <= 1 for row in found["rows"])
    again = work.run(piece, TOY, out, "cpu", 1)
    assert (again["rows"], again["loss"]) == (found["rows"], found["loss"])
    learned = torch.load(out / "encoders" / f"{piece.key}.pt", weights_only=True)
    torch.manual_seed(1)
    begun = work.build("slim")[0].state_dict()
    same = all(torch.equal(learned[name], begun[name]) for name in begun)
    assert same == (method == "none")


def test_cached_and_accumulated_gradients_see_the_same_number_of_images(out, monkeypatch):
    preset, seen = replace(TOY, steps=8), []

    class Spy(eq.PeCLRLoss):
        def forward(self, z1, z2, *rest, **options):
            seen.append(len(z1))
            return super().forward(z1, z2, *rest, **options)

    monkeypatch.setattr(eq, "PeCLRLoss", Spy)
    for cached, wanted in ((False, 8 * [8]), (True, 2 * [32])):
        seen.clear()
        work.run(plan.Pretrain("exact", times=4, cached=cached), preset, out, "cpu", 1)
        assert seen == wanted
    seen.clear()
    work.run(plan.Pretrain("exact", short=True), preset, out, "cpu", 1)
    assert seen == 4 * [8]


def test_fine_tuning_begins_with_the_encoder_and_learns_from_its_share_of_the_labels(out):
    start = plan.Pretrain("none")
    work.run(start, TOY, out, "cpu", 1)
    found = {fraction: work.run(plan.FineTune(start, fraction), TOY, out, "cpu", 1) for fraction in (0.1, 1.0)}
    assert [row["labels"] for row in found[0.1]["rows"]] == [2, 2]
    assert [row["labels"] for row in found[1.0]["rows"]] == [20, 20]
    assert found[0.1]["rows"] != found[1.0]["rows"]
    assert {"px", "mm", "epe_mm", "pa_mm", "auc", "pa_auc"} < set(found[1.0]["rows"][0])


def test_without_scale_keeps_turn_and_shift():
    torch.manual_seed(0)
    parts = [eq.RandomScale((0.5, 2.0)), eq.RandomRotation(45), eq.RandomTranslate(0.2)]
    scale, turn, shift = (part.sample(16).affine for part in parts)
    found = work.without_scale(shift @ turn @ scale)
    torch.testing.assert_close(found.matrix, (shift @ turn).matrix)


def test_views_vary_in_what_is_asked_for_only():
    torch.manual_seed(0)
    for geometry in ((), ("scale",), ("rotation",), ("translation",)):
        g = work.make_views(plan.Pretrain("exact", geometry=geometry)).sample(32).affine
        scaled = (torch.linalg.det(g.linear) - 1).abs().max() > 0.1
        turned, moved = g.degrees.abs().max() > 5, g.translation.abs().max() > 0.02
        assert (bool(scaled), bool(turned), bool(moved)) == tuple(
            name in geometry for name in ("scale", "rotation", "translation")
        )


def test_views_of_all_that_varies_are_pe_clr_s():
    made = work.make_views(plan.Pretrain("exact")).transforms
    assert made == (*eq.presets.peclr().transforms, eq.Normalize.imagenet())


def test_batches_go_through_all_images_before_one_comes_again():
    following = work.draw(10, 4, seed=3)
    drawn = torch.cat([following() for _ in range(5)])
    assert sorted(drawn[:10].tolist()) == sorted(drawn[10:].tolist()) == list(range(10))
    again = work.draw(10, 4, seed=3)
    assert torch.equal(torch.cat([again() for _ in range(5)]), drawn)
