import itertools
from dataclasses import replace

import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.loading import load

import equicon as eq
from equicon.hands import Pose25D, bone_length, pose_errors
from equicon.metrics import epe, procrustes_align
from equicon.probes import Features
from equicon.training import learning_rate

plan, work = load("rendered_hands/plan.py"), load("rendered_hands/work.py")
common, sizes, tuning = (load(f"rendered_hands/{name}.py") for name in ("common", "sizes", "tuning"))
TOY = sizes.PRESETS["toy"]
HANDS = ("unlabelled", "labelled", "choosing", "studio")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    common.render(TOY, folder / "hands", "cpu", common.SETS)
    return folder


def test_hands_are_rendered_once_and_no_hand_is_in_two_sets(out):
    before = {name: (out / "hands" / f"{name}.pt").stat().st_mtime_ns for name in common.SETS}
    common.render(TOY, out / "hands", "cpu", common.SETS)
    assert before == {name: (out / "hands" / f"{name}.pt").stat().st_mtime_ns for name in common.SETS}
    found = {name: common.hands(out / "hands", name, "cpu") for name in common.SETS}
    counts = [TOY.unlabelled] * 3 + [4 * TOY.unlabelled, TOY.labelled, TOY.kept, TOY.tested, TOY.tested]
    assert [len(found[name].image) for name in common.SETS] == counts
    apart = torch.cat([found[name].xyz.flatten(1) for name in HANDS])
    assert len(apart.unique(dim=0)) == len(apart)
    assert torch.equal(found["studio"].xyz, found["wild"].xyz)  # the same hands in both
    assert not torch.equal(found["studio"].image, found["wild"].image)
    assert common.source("alone", TOY).scenes is None
    assert {found[name].image.shape[-1] for name in ("unlabelled", "alone", "clips", "many")} == {2 * TOY.size}


@pytest.mark.parametrize("method", ["none", *plan.METHODS])
def test_pre_training_is_probed_and_runs_of_a_seed_begin_alike(out, method):
    piece = plan.Pretrain(method, 0.5, 1e-3, 1)
    found = work.run(piece, TOY, out, "cpu", 1)
    looked = {(row["domain"], row["features"]) for row in found["rows"]}
    wanted = {"pooled", "4 × 4 map", "points"} | ({"mean pose", "typical hand"} if method == "none" else set())
    assert looked == set(itertools.product(common.DOMAINS, wanted))
    assert all(0 < row["pa_mm"] < row["mm"] < 1000 for row in found["rows"])
    again = work.run(piece, TOY, out, "cpu", 1)
    assert (again["rows"], again["loss"]) == (found["rows"], found["loss"])
    learned = torch.load(out / "encoders" / f"{piece.key}.pt", weights_only=True)
    torch.manual_seed(1)
    begun = common.build(TOY)[0].state_dict()
    assert learned.keys() == begun.keys()
    assert all(torch.equal(learned[name], begun[name]) for name in begun) == (method == "none")


@pytest.mark.parametrize("method", plan.METHODS)
def test_all_methods_see_the_same_views(out, method, monkeypatch):
    seen = []

    class Spy(common.SiameseModel):
        def forward(self, x1, x2):
            seen.append((x1.clone(), x2.clone()))
            return super().forward(x1, x2)

    monkeypatch.setattr(common, "SiameseModel", Spy)
    work.run(plan.Pretrain(method, 0.5, 1e-3, 3), TOY, out, "cpu", 1)
    work.run(plan.Pretrain("exact", 0.1, 2e-3, 3), TOY, out, "cpu", 1)
    assert len(seen) == 2 * TOY.steps
    for ours, theirs in zip(seen[: TOY.steps], seen[TOY.steps :], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.slow
def test_cached_and_accumulated_gradients_see_the_same_number_of_images(out, monkeypatch):
    preset, seen = replace(TOY, steps=8, short=4), []

    class Spy(eq.PeCLRLoss):
        def forward(self, z1, z2, *rest, **options):
            seen.append(len(z1))
            return super().forward(z1, z2, *rest, **options)

    monkeypatch.setattr(eq, "PeCLRLoss", Spy)
    for change, wanted in (
        ("4 batches to a step, accumulated", 8 * [8]),
        ("4 batches to a step, cached", 2 * [32]),
        ("", 8 * [8]),
        ("four times as long", 32 * [8]),
    ):
        seen.clear()
        work.run(plan.Pretrain("exact", rate=1e-3, change=change), preset, out, "cpu", 1)
        assert seen == wanted
    seen.clear()
    work.run(plan.Pretrain("exact", rate=1e-3, short=True), preset, out, "cpu", 1)
    assert seen == 4 * [8]


def test_batches_are_drawn_from_a_few_scenes_where_hands_share_them():
    preset = replace(TOY, scenes=6, unlabelled=48, groups=2)
    for change, few in (("", True), ("eight frames of each hand", True), ("a scene for each hand", False)):
        piece = plan.Pretrain("exact", change=change)
        groups = common.source(plan.CHANGES[change].hands, preset).groups
        drawn = list(work.batches(piece, preset, 6, "cpu"))
        assert len(drawn) == 6
        assert all((len(groups[batch].unique()) == preset.groups) == few for batch in drawn)
        assert all(len(batch.unique()) == preset.batch for batch in drawn)


def test_only_views_with_the_border_are_black_outside(out, monkeypatch):
    black = {}

    class Spy(common.SiameseModel):
        def forward(self, x1, x2):
            dark = (x1 == x1.amin((-2, -1), keepdim=True)).all(1)
            black.setdefault(piece.change, []).append(dark.float().mean().item())
            return super().forward(x1, x2)

    monkeypatch.setattr(common, "SiameseModel", Spy)
    for change in ("", "black border"):
        piece = plan.Pretrain("exact", rate=1e-3, change=change)
        work.run(piece, TOY, out, "cpu", 1)
    assert min(black["black border"]) > 0.05 > 0.01 > max(black[""])


def test_fine_tuning_begins_with_the_encoder_and_learns_from_its_share_of_the_labels(out):
    start = plan.Pretrain("none")
    work.run(start, TOY, out, "cpu", 1)
    runs = {fraction: plan.FineTune(start, fraction, 1e-3) for fraction in (0.1, 1.0)}
    found = {fraction: work.run(run, TOY, out, "cpu", 1) for fraction, run in runs.items()}
    assert [row["labels"] for row in found[0.1]["rows"]] == [2, 2]
    assert [row["labels"] for row in found[1.0]["rows"]] == [20, 20]
    assert found[0.1]["rows"] != found[1.0]["rows"]
    assert {"px", "mm", "epe_mm", "pa_mm", "auc", "pa_auc"} < set(found[1.0]["rows"][0])
    # What is kept is the best on hands for this, and what was tested.
    state = torch.load(out / "models" / f"{runs[1.0].key}.pt", weights_only=True)
    encoder, width = common.build_encoder(TOY.arch, "none")
    model = Pose25D(encoder, width)
    model.load_state_dict(state)
    kept = tuning.test(model, common.hands(out / "hands", "choosing", "cpu")).mm
    assert kept == pytest.approx(found[1.0]["chosen by"], rel=1e-3)
    assert found[1.0]["chosen by"] == min(found[1.0]["course"])


def test_the_labels_of_both_domains_are_twice_as_many(out):
    start = plan.Pretrain("none")
    work.run(start, TOY, out, "cpu", 1)
    common.render(TOY, out / "hands", "cpu", common.MORE)
    found = work.run(plan.FineTune(start, 1.0, 1e-3, both=True), TOY, out, "cpu", 1)
    assert [row["labels"] for row in found["rows"]] == [40, 40]


@pytest.mark.slow
def test_fine_tuning_lowers_its_rates_where_nothing_is_gained_or_along_a_cosine(out, monkeypatch):
    start = plan.Pretrain("none")
    work.run(start, TOY, out, "cpu", 1)
    errors = iter([9.0, 8.0, *[8.5] * 3, 7.0, *[7.5] * 3, *[9.0] * 3])
    real, rates = tuning.test, []

    def course(model, data):
        if data is common.hands(out / "hands", "choosing", "cpu"):
            return real(model, data)._replace(mm=next(errors))
        return real(model, data)

    class Spy(torch.optim.AdamW):
        def step(self, *rest):
            rates.append(self.param_groups[1]["lr"])
            return super().step(*rest)

    monkeypatch.setattr(tuning, "test", course)
    monkeypatch.setattr(torch.optim, "AdamW", Spy)
    found = work.run(plan.FineTune(start, 1.0, 1e-3), replace(TOY, tune_steps=100), out, "cpu", 1)
    assert (found["steps"], found["best"], found["chosen by"]) == (12, 6, 7.0)
    assert rates == pytest.approx([1e-3] * 5 + [3e-4] * 4 + [9e-5] * 3)
    assert next(errors, None) is None
    # Along a cosine, it does not end early. A patient one has as many images more as 10 steps saw, each twice.
    monkeypatch.setattr(tuning, "test", lambda model, data: real(model, data)._replace(mm=1.0))
    preset = replace(TOY, tune_steps=8, steps=10)
    for patient, steps in ((False, 8), (True, 28)):
        rates.clear()
        found = work.run(plan.FineTune(start, 1.0, 1e-3, cosine=True, patient=patient), preset, out, "cpu", 1)
        assert (found["steps"], found["best"], found["drops"]) == (steps, 1, 0)
        assert rates == pytest.approx([learning_rate(k, steps, peak=1e-3, warmup=1 / steps) for k in range(steps)])


def test_a_typical_hand_is_one_of_those_known_and_most_are_like_it():
    torch.manual_seed(0)
    xyz = torch.randn(30, 21, 3)
    features = Features(torch.zeros(30, 2), torch.randn(30, 21, 2), xyz)
    found = work.typical(features, features, "studio")
    each = [epe(procrustes_align(one.expand_as(xyz), xyz), xyz).item() for one in xyz]
    assert found["pa_mm"] == pytest.approx(1000 * min(each), rel=1e-4)


def test_a_model_is_tested_on_whole_images(out):
    data = common.hands(out / "hands", "studio", "cpu")
    model = Pose25D(*common.build_encoder(TOY.arch, "none")).eval()
    images = eq.Normalize.imagenet()(data.image / 255)[0]
    with torch.no_grad(), common.fast("cpu"):
        joints = model(images, data.K).joints(bone_length(data.xyz))
    expected = pose_errors(joints, data.xyz, data.K)
    assert tuning.test(model, data).mm == pytest.approx(expected.mm, rel=1e-2)


def test_views_vary_in_what_is_asked_for_only():
    torch.manual_seed(0)
    for geometry in ((), ("scale",), ("rotation",), ("translation",)):
        g = work.make_views(plan.Change(geometry=geometry)).sample(32).affine
        scaled = (torch.linalg.det(g.linear) - 1).abs().max() > 0.1
        turned, moved = g.degrees.abs().max() > 5, g.translation.abs().max() > 0.02
        assert (bool(scaled), bool(turned), bool(moved)) == tuple(
            name in geometry for name in ("scale", "rotation", "translation")
        )


def test_views_of_all_that_varies_are_pe_clr_s():
    assert work.make_views(plan.Change()).transforms == (*eq.presets.peclr().transforms, eq.Normalize.imagenet())
