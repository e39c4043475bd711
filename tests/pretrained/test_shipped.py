"""What comes with the package is what its cards say."""

import hashlib
import json
import re
from pathlib import Path

import pytest

pytest.importorskip("torchvision", reason="the encoders are torchvision's")
pytest.importorskip("safetensors", reason="the files are of safetensors")

import torch
from examples.loading import load

import equicon as eq
from equicon._pretrained.files import FOLDER, read_stored, shipped
from equicon.hands import read_encoder, read_pose25d
from equicon.recipes import build_encoder

ship = load("rendered_hands/ship.py")
NAMES = [*shipped()]
ENCODERS = [name for name in NAMES if not name.endswith("-pose")]
DOCS = Path(__file__).parents[2] / "docs"


def test_all_kinds_are_there_and_small():
    assert [ship.NAME.format(kind) for kind in ship.WHAT] == NAMES
    sizes = [(FOLDER / f"{name}.safetensors").stat().st_size for name in NAMES]
    assert max(sizes) <= 5e6
    assert sum(sizes) <= 12e6
    assert {path.name for path in FOLDER.iterdir()} == {
        "sha256.json", *(f"{name}{end}" for name in NAMES for end in (".safetensors", ".json"))
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_sums_and_cards_are_right(name):
    path = FOLDER / f"{name}.safetensors"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == shipped()[name]
    card = json.loads((FOLDER / f"{name}.json").read_bytes())
    assert card == read_stored(name).about["card"]
    assert {
        "what",
        "made of",
        "data",
        "seed",
        "sizes",
        "date",
        "torch",
        "commit",
        "licence",
        "figures",
        "check",
    } <= set(card)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_figure_of_the_card_is_measured_again(name):
    assert ship.check(name) == pytest.approx(read_stored(name).about["card"]["check"]["px"], abs=0.05)


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_have_heads_that_undo_what_their_method_undoes(name):
    kept = eq.pretrained(name)
    method = name.rpartition("-")[2]
    assert (
        type(kept.representation).__name__ == {"simclr": "Invariant", "peclr": "PeCLRPoints", "exact": "Points"}[method]
    )
    views, _ = kept.normalize(torch.rand(2, 3, 64, 64))
    z = kept.head(kept.encoder(views))
    g = eq.RandomRotation(45).sample(2).affine
    assert kept.representation.canonicalize(g, z).shape == z.shape


@pytest.mark.parametrize("name", NAMES)
def test_every_reader_takes_the_name(name):
    encoder, _ = build_encoder("quarter_resnet18", name)
    state = encoder.state_dict()
    assert all(torch.equal(state[key], value) for key, value in read_encoder(name).items())
    if name.endswith("-pose"):
        assert "refine.0.weight" in read_pose25d(name)


def test_the_table_in_the_documents_is_that_of_the_cards():
    page = (DOCS / "how_to" / "pretrained.md").read_text(encoding="utf-8")
    assert ship.table(FOLDER) in page
    assert len(re.findall(r"\| `hands-", page)) == len(NAMES)
