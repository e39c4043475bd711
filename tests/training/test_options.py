import argparse
import json
from pathlib import Path

import pytest
import torch

from equicon.training import (
    PRECISIONS,
    Checkpoints,
    Help,
    Once,
    Several,
    add_figure,
    arguments_text,
    check_begun,
    check_device,
    choose_out,
    fast_precision,
    number,
    read_arguments,
    whole,
)

RECIPES = {"small": {"batch_size": 4, "lr": 0.00123456}, "large": {"batch_size": 8, "lr": 0.5}}


def test_numbers_are_finite_and_not_below_their_bound():
    assert (number()("0"), number()("2.5"), number(above=1.0)("1.5")) == (0, 2.5, 1.5)
    for text in ("nan", "inf", "-1"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"expected a number of at least 0, got {text}"):
            number()(text)
    for text in ("1", "0.5"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"expected a number above 1, got {text}"):
            number(above=1.0)(text)


def test_a_run_gets_a_folder_that_no_other_run_has(tmp_path):
    default = tmp_path / "runs" / "pretrain"
    assert choose_out(None, default, resume=False) == choose_out(None, default, resume=True) == default
    (default / "checkpoints").mkdir(parents=True)  # as a run leaves it that was refused
    assert choose_out(None, default, resume=False) == default
    Checkpoints(default / "checkpoints").save(0, {})
    second = tmp_path / "runs" / "pretrain-2"
    assert choose_out(None, default, resume=False) == second
    assert choose_out(None, default, resume=True) == default
    Checkpoints(second / "checkpoints").save(3, {})
    assert choose_out(None, default, resume=False) == tmp_path / "runs" / "pretrain-3"
    assert choose_out(None, default, resume=True) == second
    assert choose_out(default, second, resume=False) == default  # what is given is kept, and refused if it is taken


def test_whole_numbers_are_at_least_their_bound():
    assert whole(2)("2") == 2
    with pytest.raises(argparse.ArgumentTypeError, match="expected at least 2, got 1"):
        whole(2)("1")
    with pytest.raises(ValueError, match="invalid literal"):
        whole(2)("2.5")


def test_an_option_of_recipes_says_its_values_and_has_no_default_of_its_own(capsys):
    parser = argparse.ArgumentParser(formatter_class=Help)
    add_figure(parser, "--batch-size", RECIPES, type=int, help="images")
    add_figure(parser, "--lr", RECIPES, type=float, help="rate")
    parser.add_argument("--seed", default=3, help="seed")
    parser.add_argument("--quiet", action="store_true", help="silence")
    parser.add_argument("--more", help="nothing")
    assert not hasattr(parser.parse_args([]), "lr")
    assert parser.parse_args(["--lr", "2"]).lr == 2
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "images (small: 4, large: 8)" in text
    assert "rate (small: 0.001235, large: 0.5)" in text
    assert "seed (default: 3)" in text
    assert text.count("(default") == 1


def test_a_second_value_is_refused_where_the_first_would_be_lost(capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", action=Once, default="synthetic")
    assert parser.parse_args([]).data == "synthetic"
    assert parser.parse_args(["--data", "a"]).data == parser.parse_args(["--data", "a", "--data", "a"]).data == "a"
    with pytest.raises(SystemExit):
        parser.parse_args(["--data", "a", "--data", "b"])
    assert "--data: expected once, got a and b." in capsys.readouterr().err


def test_a_device_that_is_not_there_is_named(capsys):
    parser = argparse.ArgumentParser()
    check_device(parser, "cpu")
    with pytest.raises(SystemExit):
        check_device(parser, "nonsense")
    assert "--device: expected a device of this machine, got nonsense" in capsys.readouterr().err


def test_precision_is_what_the_machine_is_fast_at(monkeypatch):
    known = {}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    assert fast_precision("cpu") == "float32"
    for name in ("avx512_bf16", "amx_bf16"):
        known = {name: True}
        assert (fast_precision("cpu"), fast_precision("mps")) == ("bfloat16", "float32")
    for supported, expected in ((True, "bfloat16"), (False, "float16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation, s=supported: s)
        assert fast_precision("cuda:1") == expected
    assert set(PRECISIONS) == {"float32", "bfloat16", "float16"}


def test_arguments_are_written_and_read(tmp_path):
    args = argparse.Namespace(out=tmp_path, resume=True, boxes=Path("b.json"), lr=0.5, data=["a", "b"], weights=None)
    (tmp_path / "arguments.json").write_text(arguments_text(args))
    assert read_arguments(tmp_path) == {"boxes": "b.json", "lr": 0.5, "data": ["a", "b"], "weights": None}
    assert read_arguments(tmp_path / "nowhere") == {}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_read_past(tmp_path, encoding):
    (tmp_path / "arguments.json").write_text('{"lr": 0.5}', encoding=encoding)
    assert read_arguments(tmp_path) == {"lr": 0.5}


def test_damaged_arguments_are_named(tmp_path):
    (tmp_path / "arguments.json").write_text('{"lr": ')
    with pytest.raises(SystemExit, match=r"arguments\.json is damaged: Expecting value"):
        read_arguments(tmp_path)


def test_what_is_not_free_stays_as_it_was_begun(capsys):
    parser = argparse.ArgumentParser()
    args = argparse.Namespace(out=Path("runs/a"), lr=0.5, boxes=Path("b.json"), batch_size=4)
    begun = json.loads(arguments_text(args))
    check_begun(parser, args, begun, {"lr"})
    check_begun(parser, args, begun | {"lr": 1.0}, {"lr"})
    with pytest.raises(SystemExit):
        check_begun(parser, args, begun | {"batch_size": 8}, {"lr"})
    message = "--batch-size: the run in runs/a was begun with 8, got 4. Leave --batch-size out, or start a new run"
    assert message in capsys.readouterr().err


def test_several_values_replace_a_default_also_one_that_is_set_later():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", action=Several, default=["a"])
    begun = ["a", "b"]
    parser.set_defaults(data=begun)
    assert parser.parse_args([]).data == ["a", "b"]
    assert parser.parse_args(["--data", "c"]).data == ["c"]
    assert parser.parse_args(["--data", "c", "--data", "c"]).data == ["c", "c"]
    assert begun == ["a", "b"]
