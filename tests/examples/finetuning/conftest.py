"""The hands that runs learn from, and a run without a break."""

import pytest
import tiny_encoder

from equicon.hands import write_freihand


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    write_freihand(folder := tmp_path_factory.mktemp("freihand"), 24, size=40)
    return folder


@pytest.fixture
def tiny(monkeypatch):
    from equicon.recipes import _beside

    monkeypatch.setattr(_beside, "build_encoder", tiny_encoder.build_tiny_encoder)


@pytest.fixture(scope="session")
def whole(root, tmp_path_factory):
    """A run without a break."""
    from examples.finetuning.running import run, short

    from equicon.recipes import _beside

    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_beside, "build_encoder", tiny_encoder.build_tiny_encoder)
        run(*short(root, "--keep", 99), "--out", out)
    return out
