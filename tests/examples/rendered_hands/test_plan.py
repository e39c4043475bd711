import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.loading import load

plan = load("rendered_hands/plan.py")
FineTune, Pretrain = plan.FineTune, plan.Pretrain
best_temperature, missing, questions, ready, rows = (
    plan.best_temperature, plan.missing, plan.questions, plan.ready, plan.rows,
)  # fmt: skip

TOY = plan.PRESETS["toy"]


def finish(preset, errors=lambda piece: 1.0):
    """Do all pieces as they become ready, two at a time, and give them in their order."""
    done = {}
    while todo := missing(ready(preset, done), done):
        for piece in todo[:2]:
            done[piece.key] = {"chosen by": errors(piece)}
    return done


@pytest.mark.parametrize("name", plan.PRESETS)
def test_a_whole_study_has_as_many_pieces_as_it_counts(name):
    assert len(finish(plan.PRESETS[name])) == plan.count(plan.PRESETS[name])


def test_keys_tell_all_pieces_apart():
    done = finish(TOY)
    pieces = ready(TOY, done)
    assert len({piece.key for piece in pieces}) == len(pieces) == len(done)


def test_a_method_waits_for_its_own_sweep_only():
    runs = list(plan.sweep(TOY))
    done = {run.key: {"chosen by": run.temperature} for run in runs if run.method != "peclr"}
    assert best_temperature("peclr", TOY, done) is None
    assert best_temperature("simclr", TOY, done) == min(TOY.temperatures)
    assert {run.method for run in rows(TOY, done)} == {"none", "simclr", "exact", "exact, scale kept"}
    assert {run.method for runs in questions(TOY, done).values() for run in runs} == {"simclr", "exact"}


def test_each_method_has_the_temperature_that_suits_it_and_the_variant_that_of_exact():
    wanted = {"simclr": 0.5, "peclr": 1.0, "exact": 1.0}

    def errors(piece):
        return float(isinstance(piece, Pretrain) and piece.temperature != wanted.get(piece.method))

    done = finish(TOY, errors)
    for run in rows(TOY, done):
        if run.method in plan.METHODS:
            assert run.temperature == wanted.get(run.method, wanted["exact"])
    assert all(run.temperature == wanted[run.method] for runs in questions(TOY, done).values() for run in runs)


def test_rows_are_paired_by_seed_and_every_encoder_is_fine_tuned_at_every_fraction():
    done = finish(TOY)
    starts = list(rows(TOY, done))
    assert sorted((run.method, run.seed) for run in starts) == sorted(
        (method, seed) for method in ("none", *plan.METHODS) for seed in range(TOY.seeds)
    )
    for start in starts:
        assert not start.short
        assert all(FineTune(start, fraction).key in done for fraction in plan.FRACTIONS)
        assert all(FineTune(start, fraction, plan.SLOW).key in done for fraction in plan.SLOW_FRACTIONS)


def test_nothing_is_fine_tuned_before_its_encoder_is_there():
    done = {run.key: {"chosen by": 1.0} for run in plan.sweep(TOY)}
    assert not any(isinstance(piece, FineTune) for piece in ready(TOY, done))
    first = Pretrain("none")
    done[first.key] = {}
    tunes = [piece for piece in ready(TOY, done) if isinstance(piece, FineTune)]
    assert [piece.start for piece in tunes] == [first] * len(plan.FRACTIONS + plan.SLOW_FRACTIONS)


def test_questions_ask_for_one_change_at_a_time():
    done = finish(TOY)
    asked = questions(TOY, done)
    assert set(asked) == {"augmentations", "batch", "rotation"}
    for method in plan.SWEPT:
        base = Pretrain(method, best_temperature(method, TOY, done), short=True)
        for run in (run for runs in asked.values() for run in runs if run.method == method):
            changed = [name for name in vars(base) if vars(base)[name] != vars(run)[name]]
            assert changed in (["geometry"], ["degrees"], ["times"], ["times", "cached"])
