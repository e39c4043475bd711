import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.loading import load

plan, sizes = load("rendered_hands/plan.py"), load("rendered_hands/sizes.py")
FineTune, Pretrain = plan.FineTune, plan.Pretrain
asked, missing, ready, settings, starts, tuned = (
    plan.asked, plan.missing, plan.ready, plan.settings, plan.starts, plan.tuned,
)  # fmt: skip

TOY = sizes.PRESETS["toy"]


def finish(preset, errors=lambda piece: 1.0):
    """Do all pieces as they become ready, two at a time, and give what is done."""
    done = {}
    while todo := missing(ready(preset, done), done):
        for piece in todo[:2]:
            done[piece.key] = {"chosen by": errors(piece)}
    return done


@pytest.mark.slow
@pytest.mark.parametrize("name", sizes.PRESETS)
def test_a_whole_study_has_as_many_pieces_as_it_counts_whatever_is_chosen(name):
    preset = sizes.PRESETS[name]
    assert len(finish(preset)) == plan.count(preset, {})
    done = finish(preset, lambda piece: -hash(piece))
    assert len(done) == plan.count(preset, done)


def test_keys_tell_all_pieces_apart():
    done = finish(TOY)
    pieces = ready(TOY, done)
    assert len({piece.key for piece in pieces}) == len(pieces) == len(done)


def test_a_method_waits_for_its_own_sweep_only():
    done = finish(TOY)
    others = {key: value for key, value in done.items() if not key.startswith("peclr, ")}
    assert settings("peclr", TOY, others) is None
    assert not starts("peclr", TOY, others)
    assert not tuned("peclr", 0.1, TOY, others)
    assert not asked("peclr", "", TOY, others)
    assert all(settings(method, TOY, others) for method in ("simclr", "exact"))


def test_each_method_has_the_settings_that_suit_it():
    temperatures = {"simclr": 0.5, "peclr": 0.1, "exact": 0.5}
    rates = {"simclr": 1e-3, "peclr": 2e-3, "exact": 1e-3}
    encoders = {"simclr": 0.3, "peclr": 1.0, "exact": 0.3}

    def errors(piece):
        if isinstance(piece, FineTune):
            if piece.start.method == "none":
                return float(piece.rate != 3e-3)
            return float(piece.encoder_rate != encoders.get(piece.start.method))
        wrong_rate = piece.rate != rates.get(piece.method)
        return 2.0 * (piece.temperature != temperatures.get(piece.method)) + wrong_rate

    done = finish(TOY, errors)
    for method in plan.METHODS:
        for seed, start in enumerate(starts(method, TOY, done)):
            assert start == Pretrain(method, temperatures[method], rates[method], seed)
        for fraction in plan.FRACTIONS:
            for run in tuned(method, fraction, TOY, done):
                assert (run.rate, run.encoder_rate, run.fraction) == (3e-3, encoders[method], fraction)
    for change in plan.CHANGES:
        for run in asked("exact", change, TOY, done):
            assert (run.temperature, run.rate, run.change, run.short) == (0.5, 1e-3, change, True)


def test_settings_are_chosen_by_two_seeds_and_by_hands_that_are_not_tested():
    first, second = ({0: a, 1: b} for a, b in ((1.0, 4.0), (2.0, 2.0)))

    def errors(piece):
        if isinstance(piece, FineTune):
            return 1.0
        return (first if piece.temperature == TOY.temperatures[0] else second)[piece.seed]

    assert settings("exact", TOY, finish(TOY, errors)).temperature == TOY.temperatures[1]  # of 2.5 and 2


def test_rows_are_paired_by_seed_and_every_encoder_is_fine_tuned_at_every_fraction():
    done = finish(TOY)
    rows = [start for method in ("none", *plan.METHODS) for start in starts(method, TOY, done)]
    assert [(run.method, run.seed) for run in rows] == [
        (method, seed) for method in ("none", *plan.METHODS) for seed in range(TOY.seeds)
    ]
    for start in rows:
        assert start.key in done
        assert not start.short
        for fraction in plan.FRACTIONS:
            assert any(run.start == start and run.key in done for run in tuned(start.method, fraction, TOY, done))


def test_training_from_scratch_has_its_own_rate_and_with_few_labels_the_time_of_pre_training_too():
    done = finish(TOY, lambda piece: getattr(piece, "rate", 1.0))
    longer = plan.patient(TOY, done)
    assert [(run.start.seed, run.fraction, run.rate) for run in longer] == [
        (seed, fraction, 1e-3) for fraction in plan.FRACTIONS[:2] for seed in range(TOY.seeds)
    ]
    assert all(run.patient and run.key in done and run.start.method == "none" for run in longer)


def test_nothing_is_fine_tuned_before_its_encoder_is_there():
    done = {}
    while todo := missing(ready(TOY, done), done):
        for piece in todo:
            assert not isinstance(piece, FineTune) or piece.start.key in done
        done[todo[0].key] = {"chosen by": 1.0}


def test_what_may_carry_further_is_one_change_of_the_whole_pre_training_at_the_same_rates():
    done = finish(TOY)
    for change, methods in plan.FURTHER.items():
        differs = [name for name, value in vars(plan.CHANGES[change]).items() if value != vars(plan.Change())[name]]
        assert differs in (["longer"], ["hands"])
        for method in methods:
            begun = plan.asked(method, change, TOY, done, short=False)
            assert [plan.replace(run, change="") for run in begun] == starts(method, TOY, done)[: len(begun)]
            for fraction in plan.FRACTIONS[:2]:
                runs = plan.further_tuned(method, change, fraction, TOY, done)
                assert [run.start for run in runs] == begun
                usual = tuned(method, fraction, TOY, done)[: len(begun)]
                assert [plan.replace(run, start=one.start) for run, one in zip(runs, usual, strict=True)] == usual
            assert all(run.key in done for run in (*begun, *runs))
    assert plan.asked("exact", plan.LONGER, TOY, {}, short=False) == []
    assert plan.further_tuned("exact", plan.LONGER, 0.1, TOY, {}) == []


def test_a_question_has_its_control_also_where_its_rate_did_not_choose_a_temperature():
    done = finish(TOY, lambda piece: piece.rate)
    for _, methods in plan.QUESTIONS.values():
        for method in methods:
            controls = asked(method, "", TOY, done)
            assert {run.rate for run in controls} == {TOY.rates[-1]}
            assert all(run.key in done for run in controls)


def test_questions_ask_for_one_change_at_a_time():
    done = finish(TOY)
    for changes, methods in plan.QUESTIONS.values():
        for change in changes:
            differs = [name for name, value in vars(plan.CHANGES[change]).items() if value != vars(plan.Change())[name]]
            assert differs in (["geometry"], ["degrees"], ["border"], ["hands"], ["times"], ["times", "cached"])
            for method in methods:
                runs, plain = asked(method, change, TOY, done), asked(method, "", TOY, done)
                assert [run.key in done for run in (*runs, *plain)] == 4 * [True]
                assert [plan.replace(run, change="") for run in runs] == plain
