import dataclasses
from itertools import accumulate

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")

from studying import finish, part

pieces, plans, sets, sizes, costs = (part(name) for name in ("pieces", "plan", "sets", "sizes", "costs"))
FineTune, Given, Pretrain = pieces.FineTune, pieces.Given, pieces.Pretrain
SETS = sets.SETS


def plan_of(preset="cpu", names=tuple(SETS), pictures=True, videos=("mirror_mouse",)):
    tasks = tuple(SETS[name] for name in names)
    return plans.Plan(tasks, plans.extras_of(pictures, frozenset(videos)), sizes.PRESETS[preset])


def row(name):
    return next(row for row in plans.ROWS if row.name == name)


@pytest.fixture(scope="module")
def done():
    """A whole study of the preset for CPUs."""
    return finish(plan_of())


@pytest.mark.parametrize(
    "preset", [name if name == "toy" else pytest.param(name, marks=pytest.mark.slow) for name in sizes.PRESETS]
)
def test_a_study_has_as_many_pieces_as_it_counts_whatever_is_chosen(preset):
    plan = plan_of(preset)
    count = len(plan.all_pieces())
    for validation in (lambda piece: 1.0, lambda piece: -hash(piece.key)):
        done = finish(plan, validation)
        assert len(done) == count
        assert {piece.key for piece in plan.finished(done)} == done.keys()


def test_each_row_has_every_share_and_seed(done):
    plan = plan_of()
    for task in plan.sets:
        assert task.shares == task.kept_shares(plan.preset)
        for each in plan.rows(task):
            for share in task.shares:
                runs = plan.runs(task, each, share, done)
                if each.once and share != task.chosen_at:
                    assert not runs
                    continue
                assert [run.seed for run in runs] == list(range(4 if task.hands and share == task.chosen_at else 3))
                assert all(run.key in done and run.share == share for run in runs)
                assert {run.steps for run in runs} == {each.times * plan.preset.tune_steps}
    names = {task.name: [each.name for each in plan.rows(task)] for task in plan.sets}
    assert len(names["ti1k"]) == len(names["real_joints"]) == 11
    assert names["mirror_mouse"] == names["lspet"] == [each.name for each in plans.ROWS if not each.hands]


def test_no_piece_starts_from_what_is_not_done():
    plan, done = plan_of(names=["ti1k"]), {}
    while todo := plan.todo(done):
        for piece in todo:
            start = getattr(piece, "start", Given("none"))
            assert isinstance(start, Given) or start.key in done
        done[todo[0].key] = {"validation": 1.0}


def test_settings_are_chosen_by_validation_and_never_by_test():
    def validation(piece):
        if not isinstance(piece, FineTune):
            return None
        wrong = (piece.rate != 1e-2) + (isinstance(piece.start, Pretrain) and piece.start.rate != 1e-3)
        return wrong + 0.1 * (getattr(piece.start, "method", "") != "peclr")

    class Untouchable(dict):
        def __missing__(self, key):
            raise AssertionError(key)

        def __getitem__(self, key):
            assert key != "test"
            return super().__getitem__(key)

    plan, done = plan_of(names=["ti1k"]), {}
    while todo := plan.todo(done):
        done |= {piece.key: Untouchable(validation=validation(piece), test=-1.0) for piece in todo}
    (task,) = plan.sets
    for method in plans.METHODS:
        chosen = plan.chosen(task, row(method), done)
        assert (chosen.rate, chosen.start.rate, chosen.seed) == (1e-2, 1e-3, 0)
        for run in plan.runs(task, row(method), task.chosen_at, done):
            assert (run.rate, run.start.rate, run.seed) == (1e-2, 1e-3, run.start.seed)
    assert plan.best_method(task, done) == row("peclr")
    for run in plan.runs(task, row("best + consistency"), 0.01, done):
        assert (run.start.method, run.unlabelled) == ("peclr", ("ti1k",))


def test_the_best_method_waits_for_all_seeds_of_all_methods():
    plan = plan_of(names=["ti1k"])
    done, (task,) = finish(plan), plan.sets
    last = plan.runs(task, row("exact"), task.chosen_at, done)[-1]
    without = {key: found for key, found in done.items() if key != last.key}
    assert plan.best_method(task, without) is None
    assert not plan.candidates(task, row("best + consistency"), without)
    assert last in plan.todo(without)


def test_sets_share_what_rendered_hands_teach(done):
    plan = plan_of()
    ti1k, joints = plan.sets[:2]
    for name in ("rendered", "supervised on rendered"):
        starts = [{run.start for run in plan.runs(task, row(name), task.chosen_at, done)} for task in (ti1k, joints)]
        assert starts[0] == starts[1]
        assert len(starts[0]) == 4


def test_all_rows_have_the_same_sizes_and_groups():
    plan = plan_of()
    starts = [piece for piece in plan.all_pieces() if isinstance(piece, Pretrain)]
    assert {(piece.data, piece.size, piece.groups) for piece in starts} == {
        (("ti1k", "real_hands"), 64, 2),
        (("real_hands",), 64, 2),
        (("mirror_mouse video",), 96, 2),
        (("lspet",), 64, 0),
        (("synthetic",), 64, 2),
    }


def test_what_is_not_given_is_left_out():
    plan = plan_of(names=["ti1k", "real_joints", "mirror_mouse"], pictures=False, videos=())
    ti1k, joints, mouse = plan.sets
    assert plan.unlabelled(ti1k) == ("ti1k",)
    assert [each.name for each in plan.rows(joints)] == [
        "scratch", "scratch, longer", "consistency",
        "rendered", "supervised on rendered", "shipped", "shipped 2.5D model",
    ]  # fmt: skip
    assert [each.name for each in plan.rows(mouse)] == ["scratch"]
    finish(plan)


def test_weights_that_are_lost_are_made_again_before_others_start_from_them():
    plan = plan_of(names=["lspet"])
    done = finish(plan)
    (task,) = plan.sets
    run = plan.runs(task, row("exact"), 1.0, done)[-1]
    without = {key: found for key, found in done.items() if key != run.key}
    assert plan.todo(without) == [run]
    assert plan.todo(without, {run.start.key}) == [run.start]
    assert not plan.todo(done, {run.start.key})


def test_an_estimate_grows_with_steps_and_is_unknown_for_other_networks():
    plan = plan_of()
    longer = dataclasses.replace(plan.preset, steps=2000, supervised_steps=2000)
    for piece in plan.all_pieces():
        tune = isinstance(piece, FineTune)
        more = dataclasses.replace(piece, steps=2 * piece.steps) if tune else piece
        assert 0 < costs.minutes_of(piece, plan.preset) < costs.minutes_of(more, plan.preset if tune else longer)
        assert costs.minutes_of(piece, sizes.PRESETS["gpu"]) is None
    total = sum(costs.minutes_of(piece, plan.preset) for piece in plan.all_pieces())
    assert total / 60 / plan.preset.processes < 6


def test_rates_of_fine_tuning_are_tried_after_the_best_start(done):
    plan = plan_of(names=["ti1k"])
    (task,), rates = plan.sets, plan.preset.tune_rates
    first = plan.candidates(task, row("exact"), {})
    assert [(run.rate, run.start.rate) for run in first] == [(3e-3, 2e-3), (3e-3, 1e-3)]
    found = {run.key: {"validation": run.start.rate} for run in first}
    assert [(run.rate, run.start.rate) for run in plan.candidates(task, row("exact"), found)[2:]] == [
        (1e-3, 1e-3), (1e-2, 1e-3)
    ]  # fmt: skip
    assert plan.chosen(task, row("exact"), found) is None
    assert plan.chosen(task, row("exact"), {}) is None
    for each in plan.rows(task):
        assert {run.rate for run in plan.candidates(task, each, done)} == set(rates)
        assert {run.steps for run in plan.candidates(task, each, done)} == {plan.preset.choose_steps}
    (mouse,) = plan_of(names=["mirror_mouse"]).sets
    assert len(plan_of().candidates(mouse, row("exact"), done)) == len(rates)


def test_a_control_has_the_time_of_consistency_and_no_other_pictures(done):
    plan = plan_of()
    task = plan.sets[0]
    for longer, usual in zip(
        *(plan.runs(task, row(name), task.chosen_at, done) for name in ("scratch, longer", "scratch")), strict=True
    ):
        assert (longer.steps, usual.steps, longer.unlabelled) == (2400, 800, ())
        assert dataclasses.replace(longer, steps=800) == usual
        assert longer.key != usual.key
        consistent = dataclasses.replace(usual, unlabelled=("ti1k",))
        ratio = costs.minutes_of(longer, plan.preset) / costs.minutes_of(consistent, plan.preset)
        assert 1 <= ratio < 1.25
    assert not any(row.times > 1 for task in plan.sets[2:] for row in plan.rows(task))


def order_of(plan, processes=2):
    """Run a study as the program does, and give its pieces in the order in which they begin."""
    done, order = {}, []
    while todo := plan.todo(done):
        order += todo[:processes]
        done |= {piece.key: {"validation": 1.0} for piece in todo[:processes]}
    return order


def test_a_study_that_is_stopped_after_two_fifths_has_told_the_most():
    plan = plan_of()
    order = order_of(plan)
    tunes = [piece for piece in order if isinstance(piece, FineTune)]
    spent = [*accumulate(costs.minutes_of(piece, plan.preset) for piece in order)]
    early = {piece.key for piece, minutes in zip(order, spent, strict=True) if minutes < 0.4 * spent[-1]}
    finished = {piece.key: {"validation": 1.0} for piece in order}
    for task in plan.sets[:2]:
        for each in plan.rows(task):
            assert all(run.key in early for run in plan.runs(task, each, task.chosen_at, finished))
    begun = {name: min(i for i, run in enumerate(tunes) if run.on == name) for name in SETS}
    assert begun["ti1k"] < begun["real_joints"] < begun["mirror_mouse"] < begun["lspet"]
    others = [i for i, run in enumerate(tunes) if SETS[run.on].hands and run.share != SETS[run.on].chosen_at]
    assert max(others) < begun["lspet"]


def test_settings_come_before_seeds_and_seeds_grow():
    plan = plan_of(names=["ti1k", "real_joints"])
    main = [each.name for each in plans.ROWS if each.first]
    assert main == ["scratch", "simclr", "peclr", "exact", "consistency"]
    for name, runs in plan.blocks(finish(plan)).items():
        seeds = [run.seed for run in dict.fromkeys(runs)]
        assert seeds == sorted(seeds), name
        count = 3 if "other shares" in name else 4
        assert {(run.on, run.seed) for run in runs} == {
            (task.name, seed) for task in plan.sets for seed in range(count)
        }


def test_blocks_hold_each_piece_once(done):
    plan = plan_of()
    whole, finished = plan.whole(), plan.finished_blocks(done)
    keys = [piece.key for pieces in whole.values() for piece in pieces]
    assert len(keys) == len(set(keys)) == len(done)
    assert {name: len(pieces) for name, pieces in whole.items()} == {name: len(each) for name, each in finished.items()}
    assert not any(plan.finished_blocks({}).values())
