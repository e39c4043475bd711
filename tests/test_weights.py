import argparse
import builtins
import enum
import os
import pathlib
import re
import sys
import types
from collections import OrderedDict, defaultdict
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from equicon import load_weights
from equicon._weights import check_weights, listed, read_state


def save(value: object, path: Path) -> Path:
    torch.save(value, path)
    return path


def tiny() -> dict[str, Tensor]:
    return {"conv1.weight": torch.rand(4, 3, 7, 7), "bn1.bias": torch.rand(4), "layer4.2.bn3.weight": torch.rand(8)}


def test_the_older_format_is_read(tmp_path):
    state = tiny()
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert set(read_state(str(tmp_path / "old.pth"))) == set(state)


class Settings(dict):
    """Stands for an EasyDict: a dict whose items are attributes too."""

    def __init__(self, **items: object) -> None:
        super().__init__(items)
        self.__dict__.update(items)


class Callback:
    pass


class Slotted:
    __slots__ = ("best",)


class Mode(enum.Enum):
    MIN = 1


class Runs:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("import builtins; builtins.ran = True",)


class Sells:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("false",)


@pytest.fixture
def trainer(monkeypatch):
    """Put classes into a module that is gone when the checkpoint is read, and is not to be imported."""
    module = types.ModuleType("some_trainer")
    for kind in (Settings, Callback, Slotted, Mode, Runs):
        monkeypatch.setattr(kind, "__module__", "some_trainer")
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "some_trainer", module)


def test_a_trainer_s_checkpoint_is_read_without_its_classes(tmp_path, trainer, monkeypatch):
    callback, slotted = Callback(), Slotted()
    callback.best = slotted.best = torch.tensor(1.0)
    state = tiny()
    checkpoint = {
        "hyper_parameters": Settings(lr=1e-4, optimizer=Settings(name="lars"), mode=Mode.MIN),
        "callbacks": {Callback: {"best": torch.tensor(1.0)}, "other": callback, "slotted": slotted},
        "state_dict": OrderedDict(state),
        "more": [argparse.Namespace(a=1), defaultdict(list, {"a": [1]}), pathlib.PurePosixPath("/a"), slice(1, 2)],
        "numbers": [np.float64(3.0), np.arange(3), np.dtype("float32")],
        "code": Runs(),
        "function": print,
    }
    path = save(checkpoint, tmp_path / "epoch.ckpt")
    monkeypatch.delitem(sys.modules, "some_trainer")
    allowed = set(torch.serialization.get_safe_globals())
    got = read_state(path)
    assert set(got) == set(state)
    assert not hasattr(builtins, "ran")
    assert "some_trainer" not in sys.modules
    assert set(torch.serialization.get_safe_globals()) == allowed


def test_what_cannot_be_stood_in_for_says_how_to_go_on(tmp_path):
    allowed = set(torch.serialization.get_safe_globals())
    for name, value in (("system", Sells()), ("key", {pathlib.PurePosixPath("/a"): 1}), ("bytes", b"abc")):
        path = save({"state_dict": tiny(), "other": value}, tmp_path / f"{name}.pt")
        if name == "bytes":
            path.write_bytes(path.read_bytes()[:400])
        with pytest.raises(ValueError, match=rf"{name}\.pt is no state dict .*: \w+Error: .*save its state dict alone"):
            read_state(path)
    assert set(torch.serialization.get_safe_globals()) == allowed


ADVICE = "`weights_only` set to `False`"


@pytest.mark.parametrize("zipped", [True, False])
def test_a_function_that_is_refused_is_named_and_not_advised_to_be_run(tmp_path, zipped):
    torch.save({"state_dict": tiny(), "other": Sells()}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnpicklingError) as advised:
        torch.load(tmp_path / "a.pt", weights_only=True)
    assert ADVICE in str(advised.value)
    name = rf"{os.system.__module__}\.system"
    with pytest.raises(ValueError, match=rf"UnpicklingError: it refers to {name}, which is refused\. If") as caught:
        read_state(tmp_path / "a.pt")
    assert "False" not in str(caught.value)


@pytest.mark.parametrize(
    ("torch_s", "ours"),
    [
        (f"Weights only load failed. In 2.6, from `False` to `True`. Set {ADVICE}.", "Weights only load failed."),
        (
            f"Failed. {ADVICE}.\nPlease file: WeightsUnpickler error: \n\nUnsupported operand 149\n\nCheck",
            "Unsupported operand 149.",
        ),
        (
            f"Cannot use ``weights_only=True`` with TorchScript archives. Re-run with {ADVICE}.",
            "Cannot use ``weights_only=True`` with TorchScript archives.",
        ),
        ("Ran out of input", "Ran out of input."),
        ("unhashable type: 'Counter'\nmore", "unhashable type: 'Counter'."),
    ],
)
def test_what_torch_found_is_repeated_and_its_advice_is_not(tmp_path, monkeypatch, torch_s, ours):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(torch_s)

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(ValueError, match=rf"RuntimeError: {re.escape(ours)} If you trust the file"):
        read_state(tmp_path / "a.pt")


def test_weights_are_loaded_whole_or_not_at_all():
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = {name: value + 1 for name, value in before.items()}
    del state["1.running_var"]
    state |= {
        "0.bias": torch.zeros(4),
        "a": torch.zeros(1),
        "b": torch.zeros(1),
        "c": torch.zeros(1),
        "d": torch.ones(1),
    }
    with pytest.raises(
        ValueError,
        match=r"w\.pt holds another network: 1 missing \(1\.running_var\), 4 unexpected \(a, b, c, \.\.\.\), "
        r"1 of another shape \(0\.bias\)\.",
    ):
        load_weights(module, state, "w.pt")
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_bare_state_the_one_inside_and_the_parallel_one_are_the_same(tmp_path):
    state = tiny()
    parallel = {f"module.{name}": value for name, value in state.items()}
    values = [
        state,
        {"state_dict": state, "epoch": 3},
        parallel,
        {"state_dict": parallel},
        {"model": state, "epoch": 3},
    ]
    for number, value in enumerate(values):
        got = read_state(save(value, tmp_path / f"{number}.pt"))
        assert got.keys() == state.keys()
        assert all(torch.equal(got[name], state[name]) for name in state)
    mixed = parallel | {"other": torch.zeros(1)}
    assert read_state(save(mixed, tmp_path / "mixed.pt")).keys() == mixed.keys()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([torch.zeros(1)], r"bad\.pt is no state dict of tensors, it holds a list\. Save model"),
        ({}, "it holds nothing"),
        ({"conv1.weight": print}, "it holds 'conv1.weight', a type"),
        ({"epoch": 3, "weights": tiny()}, "it holds 'epoch', a int"),
        ({"state_dict": 3}, "it holds a int"),
    ],
    ids=["list", "empty", "function", "number", "inside"],
)
def test_what_is_no_state_dict_is_named(tmp_path, value, message):
    with pytest.raises(ValueError, match=message):
        read_state(save(value, tmp_path / "bad.pt"))


@pytest.mark.parametrize(
    ("content", "got"),
    [(b"", "it is empty"), (b"hello", "it begins with b'hell'"), (b"\x89PNG\r\n", r"it begins with b'\\x89PNG'")],
    ids=["empty", "text", "picture"],
)
def test_what_torch_never_wrote_is_told_by_how_it_begins(tmp_path, content, got):
    (tmp_path / "bad.pt").write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad\.pt is no state dict of tensors, nor any other file of .*: {got}\.$"):
        read_state(tmp_path / "bad.pt")


def test_a_checkpoint_of_a_run_is_told_from_weights(tmp_path):
    state = {"kind": "pre-training", "step": 7, "model": {"w": torch.ones(1)}, "optimizer": {}, "skipped": []}
    message = r"a\.pt is a checkpoint of a run \(pre-training, step 7\), not a .* Give .*best\.pt.*encoder\.pt"
    with pytest.raises(ValueError, match=message):
        read_state(save(state, tmp_path / "a.pt"))


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_state(tmp_path / "nowhere.pt")


def test_weights_of_any_type_are_loaded_into_the_module_s_own():
    module = nn.Linear(4, 3)
    state = {"weight": torch.rand(3, 4, dtype=torch.float64), "bias": torch.ones(3, dtype=torch.bfloat16)}
    load_weights(module, state, "w.pt")
    assert torch.equal(module.weight, state["weight"].float())
    assert torch.equal(module.bias, torch.ones(3))


def test_what_is_no_tensor_is_of_another_shape():
    with pytest.raises(ValueError, match=r"w\.pt .*: 0 missing, 0 unexpected, 1 of another shape \(b\)"):
        check_weights({"a": (2,), "b": (1,)}, {"a": torch.zeros(2), "b": 3}, "w.pt")
    check_weights({"a": [2], "b": ()}, {"a": torch.zeros(2), "b": torch.tensor(3)}, "w.pt")


def test_of_many_names_three_are_listed():
    assert listed("missing", []) == "0 missing"
    assert listed("missing", ["a", "b", "c"]) == "3 missing (a, b, c)"
    assert listed("missing", ["a", "b", "c", "d"]) == "4 missing (a, b, c, ...)"
