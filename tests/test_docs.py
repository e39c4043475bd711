"""What the documents say is run: docstring examples, and the Python and shell blocks of the README and the docs."""

import argparse
import doctest
import importlib.util
import inspect
import re
import shlex
from pathlib import Path

import pytest
import torch

import equicon as eq
import equicon.data
import equicon.hands
import equicon.probes
import equicon.testing
import equicon.training

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *(ROOT / "examples").rglob("*.md")]
PUBLIC = [eq, eq.data, eq.draw, eq.hands, eq.metrics, eq.presets, eq.probes, eq.testing, eq.training]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands(page: Path) -> list[str]:
    lines = "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def runs_here(code: str) -> bool:
    """Whether what an example needs is installed: the encoders that come with the package need the extra."""
    needs = re.search(r"\b(pretrained|predict)\(", code)
    return not needs or all(importlib.util.find_spec(name) for name in ("torchvision", "safetensors"))


@pytest.mark.parametrize("module", PUBLIC, ids=lambda m: m.__name__)
def test_docstring_examples(module):
    if module is eq.training:
        pytest.importorskip("torchvision", reason="a run needs the extra")
    names = {name: getattr(home, name) for home in PUBLIC for name in home.__all__}
    names |= {"torch": torch, "argparse": argparse, "Path": Path}
    torch.manual_seed(0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    # Public things say that they live where they are exported, and that is where doctest looks for them.
    for test in doctest.DocTestFinder().find(module, extraglobs=names):
        if runs_here(test.docstring):
            runner.run(test)
    assert runner.failures == 0
    assert runner.tries > 0


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
    for i, block in enumerate(filter(runs_here, blocks(page, "python"))):
        exec(compile(block, f"{page.name}, python block {i}", "exec"), names)


SCRIPT = re.compile(r"\b(examples|benchmarks)/[\w/]+\.py")


@pytest.mark.parametrize("line", sorted({line for p in PAGES for line in commands(p) if SCRIPT.search(line)}))
def test_commands_of_examples_and_benchmarks_parse(line, monkeypatch):
    pytest.importorskip("torchvision", reason="the examples need torchvision")
    words = shlex.split(line.split("&&")[-1], comments=True)
    script = next(word for word in words if SCRIPT.fullmatch(word))
    monkeypatch.syspath_prepend(str((ROOT / script).parent))  # as Python does with a script's folder
    spec = importlib.util.spec_from_file_location(Path(script).stem, ROOT / script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = words[words.index(script) + 1 :]
    if hasattr(module, "parse_args"):
        module.parse_args(given)
    else:
        assert not given


def test_the_readme_opens_with_its_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    main, tests = commands(ROOT / "README.md")[:2]
    assert main.endswith("examples/pretrain_freihand.py")
    assert "python -m pytest" in tests
    assert "pip install" in main
    assert "pip install" in tests
    assert text.index("![") < text.index("```bash") < text.index("```python")


def test_links_and_pictures_exist():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
