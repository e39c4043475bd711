"""What the documents say is run: docstring examples, and the Python and shell blocks of the README and the docs."""

import argparse
import doctest
import importlib.util
import inspect
import itertools
import os
import re
import shlex
from pathlib import Path

import pytest
import torch
from examples.loading import load_anew

import equicon as eq
import equicon.backbones
import equicon.data
import equicon.hands
import equicon.keypoints
import equicon.probes
import equicon.show
import equicon.testing
import equicon.training

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *(ROOT / "examples").rglob("*.md")]
PUBLIC = [
    eq,
    eq.backbones,
    eq.data,
    eq.draw,
    eq.hands,
    eq.keypoints,
    eq.metrics,
    eq.presets,
    eq.probes,
    eq.show,
    eq.testing,
    eq.training,
]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands(page: Path) -> list[str]:
    lines = "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def runs_here(code: str) -> bool:
    """Whether the packages that an example needs are installed. The core alone has neither of these."""
    needed = []
    if re.search(r"\b(pretrained|predict)\(", code):
        needed = ["torchvision", "safetensors"]
    elif re.search(r"\b(build_backbone|list_backbones|KeypointTask)\(", code):
        needed = ["torchvision"]
    elif re.search(r"\b(VideoFrames|write_video)\(", code):
        needed = ["av"]
    elif "show.views(" in code:
        needed = ["matplotlib"]
    elif "coco_keypoint_ap(" in code:
        needed = ["pycocotools"]
    elif re.search(r"^(import|from) torchvision", code, re.MULTILINE):
        needed = ["torchvision"]
    return all(importlib.util.find_spec(name) for name in needed)


@pytest.mark.parametrize("module", PUBLIC, ids=lambda m: m.__name__)
def test_docstring_examples(module):
    if module is eq.training:
        pytest.importorskip("torchvision", reason="a run needs the extra")
    if module is eq.show:
        pytest.importorskip("matplotlib", reason="pictures need the extra")
    names = {name: getattr(home, name) for home in PUBLIC for name in home.__all__}
    names |= {"torch": torch, "argparse": argparse, "Path": Path}
    torch.manual_seed(0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    # Public things say that they live where they are exported, and that is where doctest looks for them. But it passes
    # over methods, whose globals are those of the module that they were written in.
    found = doctest.DocTestFinder().find(module, extraglobs=names)
    for name, value in ((name, getattr(module, name)) for name in module.__all__):
        for method, about in methods(value) if inspect.isclass(value) else ():
            found.append(doctest.DocTestParser().get_doctest(about, dict(names), f"{name}.{method}", None, None))
    for test in found:
        if runs_here(test.docstring):
            runner.run(test)
    assert runner.failures == 0
    assert runner.tries > 0


def methods(cls):
    """Yield the methods of a class that equicon wrote and that have examples, with their docstrings."""
    for name, value in inspect.getmembers(cls, inspect.isroutine):
        written = inspect.unwrap(getattr(value, "__func__", value))
        if (getattr(written, "__module__", None) or "").startswith("equicon") and ">>>" in (written.__doc__ or ""):
            yield name, written.__doc__


def test_examples_of_methods_are_run():
    assert {"points", "from_boxes", "warp"} <= {name for name, _ in methods(eq.Affine)}


def test_every_public_thing_has_an_example():
    for module in PUBLIC:
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                assert re.search(r"Examples:\n +>>>", value.__doc__ or ""), name


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict = {"__name__": "page"}
    for i, block in enumerate(itertools.takewhile(runs_here, blocks(page, "python"))):  # later ones may need its names
        exec(compile(block, f"{page.name}, python block {i}", "exec"), names)


SCRIPT = re.compile(r"\b(examples|benchmarks)/[\w/]+\.py")


@pytest.mark.parametrize("line", sorted({line for p in PAGES for line in commands(p) if SCRIPT.search(line)}))
def test_commands_of_examples_and_benchmarks_parse(line, monkeypatch):
    pytest.importorskip("torchvision", reason="the examples need torchvision")
    words = shlex.split(line.split("&&")[-1], comments=True)
    script = next(word for word in words if SCRIPT.fullmatch(word))
    module = load_anew(script, monkeypatch)
    given = words[words.index(script) + 1 :]
    if hasattr(module, "parse_args"):
        module.parse_args(given)
    else:
        assert not given


def test_the_readme_opens_with_its_two_commands_and_each_sets_itself_up():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    programs = [line for line in commands(ROOT / "README.md") if (ROOT / line).is_file()]
    assert programs == ["examples/demo.sh", "tests/run.sh"]
    assert text.index("![") < text.index("pip install equicon") < text.index("```diff") < text.index(programs[0])
    check = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for program in programs:
        assert f"```bash\n{program}\n```" in text
        assert f"_command={program}\n" in check
        assert os.access(ROOT / program, os.X_OK)
        lines = (ROOT / program).read_text(encoding="utf-8")
        set_up = (ROOT / ".ci" / "venv").read_text(encoding="utf-8")
        lines = re.sub(r"^\.ci/venv .*$", lambda _, text=set_up: text, lines, flags=re.MULTILINE)  # what it calls
        assert lines.index("python3 -m venv") < lines.index("pip install") < lines.index("exec .venv/bin/python")


def test_the_diff_of_the_readme_is_a_loop_that_runs():
    lines = blocks(ROOT / "README.md", "diff")[0].splitlines()
    assert sum(line.startswith("+") for line in lines) <= 6
    loop = "\n".join(line[1:] for line in lines if not line.startswith("-"))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 128 * 128, 8))
    names = {"torch": torch, "model": model, "loader": [torch.rand(4, 3, 140, 160)]}
    exec(compile(loop, "the README's diff", "exec"), names)
    names["loss"].backward()
    assert model[1].weight.grad.abs().sum() > 0


LONGEST = 88
"""Columns of code that a page of 1,280 pixels shows without a cut."""


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_code_of_a_page_is_too_wide(page):
    found = re.findall(r"^ *```.*?\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert [line for block in found for line in block.splitlines() if len(line) > LONGEST] == []


def test_links_and_pictures_exist():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("module", PUBLIC, ids=lambda m: m.__name__)
def test_the_reference_has_every_public_name(module):
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    named = set(re.findall(r"^\.\. (?:auto\w+|py:data):: (\S+)$", pages, re.MULTILINE))
    for name in module.__all__:
        if not inspect.ismodule(getattr(module, name)) and not name.startswith("__"):
            assert f"{module.__name__}.{name}" in named, name
