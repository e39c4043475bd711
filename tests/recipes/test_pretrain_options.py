import json
import math
from pathlib import Path

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")

from equicon.recipes import next_command, parse_pretrain_args
from equicon.recipes._pretrain_options import FREE, RECIPES
from equicon.training import arguments_text


def parse(*words: object):
    return parse_pretrain_args("", [str(word) for word in words])


def test_rendered_hands_take_the_quick_recipe_and_others_the_paper_s():
    quick = parse()
    assert (quick.arch, quick.epochs, parse("--data", "stream").size) == ("quarter_resnet18", 62, 64)
    assert (quick.method, quick.temperature, quick.groups_per_batch, quick.inside) == ("exact", 0.1, 2, True)
    paper = parse("--data", "data/freihand")
    assert (paper.arch, paper.weights, paper.size) == ("resnet50", "imagenet", 128)
    assert (paper.batch_size, paper.accumulate, paper.epochs, paper.warmup) == (128, 16, 100, 0.1)
    assert paper.lr == pytest.approx(1e-4 * math.sqrt(2048))
    assert (paper.weight_decay, paper.temperature, paper.hidden, paper.points) == (1e-6, 0.5, 512, 64)
    assert (paper.margin, paper.degrees, paper.translate) == ([0.9, 1.5], 45, 15 / 128)
    assert (paper.method, paper.groups_per_batch, paper.inside, paper.padding_mode) == ("peclr", 0, False, "zeros")
    assert parse("--data", "data/freihand", "--recipe", "quick").arch == "quarter_resnet18"
    assert parse("--recipe", "paper", "--epochs", 3).epochs == 3
    assert (parse().recipe, parse("--data", "data/freihand").recipe) == ("quick", "paper")


def test_a_run_of_fine_tuning_is_not_gone_on_with(tmp_path):
    (tmp_path / "arguments.json").write_text('{"data": "synthetic", "size": 32}')
    with pytest.raises(SystemExit, match=r"^--out: .* holds a run of another kind, not of pre-training\."):
        parse("--resume", "--out", tmp_path)


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "passes over the unlabelled images (quick: 62, paper: 100, equicon: 100)" in text
    assert "images in a step (quick: 0.002, paper: 0.004525, equicon: 0.001131)" in text
    assert "[degrees] (default: 45.0)" in text
    for name in RECIPES["quick"]:
        assert f"--{name.replace('_', '-')}" in text


def test_all_recipes_have_the_same_figures():
    assert RECIPES["quick"].keys() == RECIPES["paper"].keys() == RECIPES["equicon"].keys()


def test_what_we_found_is_a_recipe_for_freihand():
    ours, paper = (parse("--data", "data/freihand", "--recipe", name) for name in ("equicon", "paper"))
    changed = {name for name, value in vars(ours).items() if value != getattr(paper, name)}
    assert changed == {"recipe", "inside", "blur", "method", "temperature", "groups_per_batch", "accumulate", "lr"}
    assert (ours.inside, ours.method, ours.temperature, ours.groups_per_batch) == (True, "exact", 0.1, 4)


def begin(folder, *words) -> None:
    (folder / "arguments.json").write_text(arguments_text(parse("--out", folder, *words)))


def test_a_resumed_run_takes_its_arguments_along(tmp_path):
    begin(tmp_path, "--epochs", 7, "--margin", 1, 1.25, "--data", "some/freihand", "--boxes", "b.json", "--workers", 3)
    args = parse("--out", tmp_path, "--resume")
    assert (args.epochs, args.margin, args.data, args.arch, args.workers) == (
        7,
        [1, 1.25],
        ["some/freihand"],
        "resnet50",
        3,
    )
    assert (args.out, args.resume, str(args.boxes)) == (tmp_path, True, "b.json")
    assert json.loads(arguments_text(args)) == json.loads((tmp_path / "arguments.json").read_text())


def test_a_resumed_run_may_change_what_does_not_make_it_another(tmp_path, capsys):
    begin(tmp_path)
    args = parse("--out", tmp_path, "--resume", "--lr", 0.5, "--data", "elsewhere", "--keep", 9, "--epochs", 62)
    assert (args.lr, args.data, args.keep) == (0.5, ["elsewhere"], 9)
    assert set(vars(args)) > FREE
    with pytest.raises(SystemExit):
        parse("--out", tmp_path, "--resume", "--batch-size", 32)
    assert "--batch-size: the run in" in (error := capsys.readouterr().err)
    assert "was begun with 64, got 32. Leave --batch-size out" in error


def test_the_precision_is_that_of_the_machine_where_the_run_began(tmp_path):
    begin(tmp_path)
    begun = json.loads((tmp_path / "arguments.json").read_text())
    assert begun["precision"] in ("float32", "bfloat16")
    begun["precision"] = "float16"
    (tmp_path / "arguments.json").write_text(json.dumps(begun))
    assert parse("--out", tmp_path, "--resume").precision == "float16"


def test_a_run_of_an_older_version_goes_on_without_the_newer_options(tmp_path):
    begin(tmp_path)
    begun = json.loads((tmp_path / "arguments.json").read_text())
    newer = {"optimizer": "adam", "clip": 0.0, "layer_decay": 1.0, "drop_path": 0.0, "freeze_blocks": 0}
    newer |= {"checkpoint_blocks": False}
    older = {name: value for name, value in begun.items() if name not in newer}
    (tmp_path / "arguments.json").write_text(json.dumps(older))
    args = parse("--out", tmp_path, "--resume")
    assert {name: getattr(args, name) for name in newer} == newer
    assert parse("--out", tmp_path, "--resume", "--checkpoint-blocks").checkpoint_blocks


def test_nothing_to_resume_is_a_beginning(tmp_path):
    assert parse("--out", tmp_path, "--resume").epochs == 62


def test_data_may_be_given_several_times(tmp_path):
    assert parse().data == ["synthetic"]
    assert parse("--data", "stream").data == ["stream"]
    args = parse("--data", "a", "--data", "b", "--data-weights", 2, 1)
    assert (args.data, args.data_weights, args.arch, args.mirror_left) == (["a", "b"], [2, 1], "resnet50", True)
    begin(tmp_path, "--data", "a", "--data", "b", "--data-weights", 2, 1, "--no-mirror-left")
    args = parse("--out", tmp_path, "--resume")
    assert (args.data, args.data_weights, args.arch, args.mirror_left) == (["a", "b"], [2, 1], "resnet50", False)
    args = parse("--out", tmp_path, "--resume", "--data", "c", "--data", "d")
    assert (args.data, args.data_weights) == (["c", "d"], [2, 1])


def test_weights_belong_to_a_run(tmp_path, capsys):
    begin(tmp_path, "--data", "a", "--data", "b", "--data-weights", 2, 1)
    with pytest.raises(SystemExit):
        parse("--out", tmp_path, "--resume", "--data-weights", 1, 1)
    assert "--data-weights: the run in" in (error := capsys.readouterr().err)
    assert "was begun with [2.0, 1.0], got [1.0, 1.0]" in error
    with pytest.raises(SystemExit):
        parse("--out", tmp_path, "--resume", "--no-mirror-left")
    assert "was begun with True, got False" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse("--out", tmp_path, "--resume", "--data", "a")
    assert "--data-weights: expected several data sets, got one" in capsys.readouterr().err


def test_freihand_is_given_once_and_boxes_are_of_one_folder(tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / name / "training").mkdir(parents=True)
    (tmp_path / "tube").mkdir()
    (tmp_path / "tube" / "youtube_train.json").touch()
    one, two, tube = (tmp_path / name for name in ("one", "two", "tube"))
    with pytest.raises(SystemExit):
        parse("--data", one, "--data", two)
    assert "--data: expected FreiHAND once, because the probes use its samples, got" in capsys.readouterr().err
    assert parse("--data", one, "--data", tube, "--data", "photos", "--boxes", "b.json").boxes
    for words in (["--data", one, "--data", tube], ["--data", one, "--data", "a", "--data", "b"]):
        with pytest.raises(SystemExit):
            parse(*words, "--boxes", "b.json")
        assert "--boxes: it is for a folder of photographs. Expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--data", "synthetic", "--data", "photos"],
            "--data: 'synthetic' cannot be mixed with other data, got synthetic, photos.",
        ),
        (["--data", "photos", "--data", "stream"], "--data: 'stream' cannot be mixed with other data, got"),
        (["--data-weights", "1"], "--data-weights: expected several data sets, got one. Give --data"),
        (
            ["--data", "a", "--data", "b", "--data-weights", "1", "2", "3"],
            "--data-weights: expected 2 numbers, one for each --data, got 3",
        ),
        (
            ["--data", "a", "--data", "b", "--data-weights", "1", "0"],
            "argument --data-weights: expected a number above 0, got 0",
        ),
        (["--arch", "vgg11"], "argument --arch: expected a name of list_backbones() or timm/NAME, got 'vgg11'"),
        (["--arch", "resnet5"], "Did you mean resnet50,"),
        (["--layer-decay", "1.5"], "--layer-decay: expected a factor in (0, 1], got 1.5."),
        (["--freeze-blocks", "-1"], "argument --freeze-blocks: expected at least 0, got -1"),
        (["--epochs", "0"], "argument --epochs: expected a number above 0, got 0"),
        (["--batch-size", "1"], "argument --batch-size: expected at least 2, got 1"),
        (["--lr", "nan"], "argument --lr: expected a number above 0, got nan"),
        (["--weight-decay", "-1"], "argument --weight-decay: expected a number of at least 0, got -1"),
        (["--margin", "2", "1"], "--margin: expected LOW <= HIGH, got 2 1"),
        (["--boxes", "b.json"], "--boxes: it is for a folder of photographs. Expected such a folder; "),
        (["--holdout", "1"], "--holdout: expected a share in [0, 1), got 1"),
        (["--context", "0.5"], "--context: expected at least 1, got 0.5. It is the width of a picture over"),
        (["--device", "nonsense"], "--device: expected a device of this machine, got nonsense"),
        (
            ["--padding-mode", "border"],
            "--padding-mode: views with --inside have no padding, got border. Add --no-inside",
        ),
        (["--size", "many"], "argument --size: invalid whole number value: 'many'"),
    ],
)
def test_wrong_options_are_named(words, message, capsys):
    with pytest.raises(SystemExit):
        parse(*words)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--groups-per-batch", 3], "--groups-per-batch: expected a number that divides 64 (--batch-size), got 3."),
        (["--groups-per-batch", 64], "--groups-per-batch: expected at most 32 (--scenes), got 64."),
        (["--groups-per-batch", -1], "expected at least 0, got -1"),
        (["--scenes", 0], "--scenes: hands that share no scenes have no groups. Give --groups-per-batch 0 too."),
    ],
)
def test_groups_that_make_no_batch_are_refused(words, message, capsys):
    with pytest.raises(SystemExit):
        parse(*words)
    assert message in capsys.readouterr().err


def test_groups_may_be_given_and_a_recipe_may_set_them(monkeypatch):
    assert parse("--groups-per-batch", 4).groups_per_batch == 4
    assert parse("--groups-per-batch", 0).groups_per_batch == 0
    monkeypatch.setitem(RECIPES["quick"], "groups_per_batch", 8)
    assert parse().groups_per_batch == 8


def test_the_next_command_is_validated_on_hands_that_pre_training_has_not_seen(tmp_path):
    def words(*given: object) -> str:
        args = parse("--out", tmp_path, *given)
        return next_command(args, Path("finetune.py")).partition("encoder.pt")[2].strip()

    (tmp_path / "freihand" / "training").mkdir(parents=True)
    freihand = ("--data", tmp_path / "freihand", "--weights", "none")
    assert words() == ""
    assert words("--seed", 3, "--size", 32) == "--size 32"
    assert words(*freihand) == f"--data {tmp_path / 'freihand'}"
    assert words(*freihand, "--holdout", 0.2, "--seed", 3).endswith("--seed 3 --holdout 0.2")
    assert words(*freihand, "--holdout", 0) == f"--data {tmp_path / 'freihand'}"
    assert words("--data", tmp_path) == ""
