"""The photographs that runs learn from, and a run without a break."""

import pytest
import tiny_encoder
from kornia.io import write_image

from equicon.hands import SyntheticHands


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i, hand in enumerate(SyntheticHands(24, size=48)):
        write_image(folder / f"{i:02d}.jpg", hand.image)
    return folder


@pytest.fixture
def tiny(monkeypatch):
    from examples.pretraining.running import pretrain_freihand

    monkeypatch.setattr(pretrain_freihand, "build_encoder", tiny_encoder.build_tiny_encoder)


@pytest.fixture(scope="session")
def whole(photos, tmp_path_factory):
    """A run without a break: 12 steps of two batches each, four to an epoch of 24 images."""
    from examples.pretraining.running import pretrain_freihand, run, short

    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrain_freihand, "build_encoder", tiny_encoder.build_tiny_encoder)
        run(*short(photos), "--out", out)
    return out
