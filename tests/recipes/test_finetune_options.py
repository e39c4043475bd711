import json

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")

from equicon.recipes import parse_finetune_args
from equicon.recipes._finetune_options import FREE, RECIPES
from equicon.training import arguments_text


def parse(*words: object):
    return parse_finetune_args("", [str(word) for word in words])


def test_rendered_hands_take_the_quick_recipe_and_freihand_the_full_one():
    quick, full = parse(), parse("--data", "data/freihand")
    assert (quick.arch, quick.size, quick.batch_size, quick.epochs, quick.lr) == ("quarter_resnet18", 64, 64, 20, 3e-3)
    assert (quick.fraction, quick.validate_every, full.fraction, full.validate_every) == (0.1, 5, 1, 1)
    assert parse("--weights", "encoder.pt").baseline
    assert not parse("--weights", "encoder.pt", "--no-baseline").baseline
    assert not parse("--data", "data/freihand", "--weights", "encoder.pt").baseline
    assert (full.arch, full.size, full.batch_size, full.epochs, full.lr) == ("resnet50", 224, 128, 50, 5e-4)
    for args in (quick, full):
        assert (args.weights, args.holdout, args.baseline) == ("none", 0.1, False)
        assert (args.loss_weights, args.warmup, args.weight_decay) == ([10, 1, 0.2], 0.1, 1e-4)
        assert (args.degrees, args.scale, args.translate) == (45, [0.7, 1.3], 0.1)
    assert parse("--data", "data/freihand", "--recipe", "quick").size == 64
    assert parse("--recipe", "full", "--epochs", 3).epochs == 3


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "labelled or not (quick: 20, full: 50)" in text
    assert "[degrees] (default: 45.0)" in text
    for name in (*RECIPES["quick"], *FREE):
        assert f"--{name.replace('_', '-')}" in text


def test_a_run_of_pre_training_is_not_gone_on_with(tmp_path):
    (tmp_path / "arguments.json").write_text('{"data": ["synthetic"], "size": 32}')
    with pytest.raises(SystemExit, match=r"^--out: .* holds a run of another kind, not of fine-tuning\."):
        parse("--resume", "--out", tmp_path)


def test_both_recipes_have_the_same_figures():
    assert RECIPES["quick"].keys() == RECIPES["full"].keys()


def begin(folder, *words) -> None:
    (folder / "arguments.json").write_text(arguments_text(parse("--out", folder, *words)))


def test_a_resumed_run_takes_its_arguments_along(tmp_path):
    begin(
        tmp_path, "--epochs", 7, "--scale", 1, 1.25, "--data", "some/freihand", "--fraction", 0.1, "--weights", "w.pt"
    )
    args = parse("--out", tmp_path, "--resume")
    assert (args.epochs, args.scale, args.data, args.arch) == (7, [1, 1.25], "some/freihand", "resnet50")
    assert (args.fraction, args.weights, args.out, args.resume) == (0.1, "w.pt", tmp_path, True)
    assert json.loads(arguments_text(args)) == json.loads((tmp_path / "arguments.json").read_text())


def test_a_resumed_run_may_change_what_does_not_make_it_another(tmp_path, capsys):
    begin(tmp_path)
    args = parse("--out", tmp_path, "--resume", "--lr", 0.5, "--data", "elsewhere", "--keep", 9, "--validate-every", 2)
    assert (args.lr, args.data, args.keep, args.validate_every, args.arch) == (
        0.5,
        "elsewhere",
        9,
        2,
        "quarter_resnet18",
    )
    assert set(vars(args)) > FREE
    for name, value in (("--fraction", 0.5), ("--seed", 1), ("--holdout", 0.2), ("--loss-weights", "1 1 1")):
        with pytest.raises(SystemExit):
            parse("--out", tmp_path, "--resume", name, *str(value).split())
        assert f"{name}: the run in {tmp_path} was begun with" in capsys.readouterr().err


def test_the_precision_is_that_of_the_machine_where_the_run_began(tmp_path):
    begin(tmp_path)
    begun = json.loads((tmp_path / "arguments.json").read_text())
    assert begun["precision"] in ("float32", "bfloat16")
    (tmp_path / "arguments.json").write_text(json.dumps(begun | {"precision": "float16"}))
    assert parse("--out", tmp_path, "--resume").precision == "float16"


def test_a_run_of_an_older_version_goes_on_without_the_newer_options(tmp_path):
    begin(tmp_path)
    begun = json.loads((tmp_path / "arguments.json").read_text())
    newer = {"clip": 1.0, "layer_decay": 1.0, "drop_path": 0.0, "freeze_blocks": 0, "checkpoint_blocks": False}
    older = {name: value for name, value in begun.items() if name not in newer}
    (tmp_path / "arguments.json").write_text(json.dumps(older))
    args = parse("--out", tmp_path, "--resume")
    assert {name: getattr(args, name) for name in newer} == newer


def test_nothing_to_resume_is_a_beginning(tmp_path):
    assert parse("--out", tmp_path, "--resume").epochs == 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "a", "--data", "b"], "--data: expected once, got a and b."),
        (["--fraction", "1.5"], "--fraction: expected a share in (0, 1], got 1.5."),
        (["--fraction", "0"], "argument --fraction: expected a number above 0, got 0"),
        (["--holdout", "1"], "--holdout: expected a share in (0, 1), got 1."),
        (["--holdout", "0"], "argument --holdout: expected a number above 0, got 0"),
        (["--scale", "2", "1"], "--scale: expected LOW <= HIGH, got 2 1."),
        (["--loss-weights", "1", "1"], "argument --loss-weights: expected 3 arguments"),
        (["--arch", "vgg11"], "argument --arch: expected a name of list_backbones() or timm/NAME, got 'vgg11'"),
        (["--arch", "resnet5"], "Did you mean resnet50,"),
        (["--layer-decay", "1.5"], "--layer-decay: expected a factor in (0, 1], got 1.5."),
        (["--freeze-blocks", "-1"], "argument --freeze-blocks: expected at least 0, got -1"),
        (["--batch-size", "1"], "argument --batch-size: expected at least 2, got 1"),
        (["--validate-every", "0"], "argument --validate-every: expected a number above 0, got 0"),
        (["--device", "nonsense"], "--device: expected a device of this machine, got nonsense"),
        (["--size", "many"], "argument --size: invalid whole number value: 'many'"),
        (["--recipe", "paper"], "argument --recipe: invalid choice: 'paper'"),
    ],
)
def test_wrong_options_are_named(words, message, capsys):
    with pytest.raises(SystemExit):
        parse(*words)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--baseline"], ["--weights", "w.pt"]])
def test_a_run_goes_on_with_or_without_a_baseline_as_it_was_begun(tmp_path, words):
    begin(tmp_path, *words)
    begun = parse("--weights", "w.pt").baseline and "w.pt" in words
    for others in (words, []):
        assert parse("--out", tmp_path, "--resume", *others).baseline == begun
