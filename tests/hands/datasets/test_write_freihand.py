import json
from pathlib import Path

import pytest
import torch
from kornia.io import ImageLoadType, load_image

from equicon.hands import FreiHAND, SyntheticHands, write_freihand

SAMPLES, EVALUATION = 35, 3  # more than a batch


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("freihand") / "new" / "folder"
    write_freihand(root, SAMPLES, num_evaluation=EVALUATION, size=48, seed=3)
    return root


def read_image(root: Path, split: str, index: int) -> torch.Tensor:
    return load_image(root / split / "rgb" / f"{index:08d}.jpg", ImageLoadType.RGB8)


def read(root: Path, name: str) -> torch.Tensor:
    return torch.tensor(json.loads((root / f"{name}.json").read_text()))


def test_the_files_are_those_of_freihand(root):
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    images = {f"training/rgb/{i:08d}.jpg" for i in range(4 * SAMPLES)}
    images |= {f"evaluation/rgb/{i:08d}.jpg" for i in range(EVALUATION)}
    assert found == images | {f"{s}_{k}.json" for s in ("training", "evaluation") for k in ("K", "xyz", "scale")}


def test_the_labels_round_trip(root):
    hands = SyntheticHands(SAMPLES, size=48, seed=3, scenes=1).render(range(SAMPLES))
    assert torch.equal(read(root, "training_K"), hands.K)
    assert torch.equal(read(root, "training_xyz"), hands.xyz)
    bone = read(root, "training_xyz")[:, 10] - read(root, "training_xyz")[:, 9]
    torch.testing.assert_close(read(root, "training_scale"), bone.norm(dim=-1))
    assert read(root, "evaluation_xyz").shape == (EVALUATION, 21, 3)
    assert read(root, "evaluation_K").shape == (EVALUATION, 3, 3)
    assert read(root, "evaluation_scale").shape == (EVALUATION,)


def test_version_0_is_the_synthetic_hand(root):
    hands = SyntheticHands(SAMPLES, size=48, seed=3, scenes=1)
    for sample in (0, 31, 32, SAMPLES - 1):
        error = read_image(root, "training", sample).float() - hands[sample].image.float()
        assert error.abs().mean() < 5  # of 255, which the JPEG costs


def test_versions_show_the_same_hand_before_other_backgrounds(root):
    hands = SyntheticHands(SAMPLES, size=48, seed=3, scenes=1).render(range(SAMPLES))
    inner = [joint for joint in range(21) if joint == 0 or joint % 4]  # fingertips are too small to hit for sure
    x, y = hands.xy[:, inner].round().long().unbind(-1)
    joints, corners = [], []  # by version
    for version in range(4):
        images = [read_image(root, "training", sample + version * SAMPLES) for sample in range(SAMPLES)]
        picture = torch.stack(images).float().mean(1)
        joints.append(picture[torch.arange(SAMPLES)[:, None], y, x].flatten())
        corners.append(picture[:, [0, 0, -1, -1], [0, -1, 0, -1]])
    assert torch.corrcoef(torch.stack(joints))[0, 1:].min() > 0.5  # the exposures differ
    middle = torch.stack(corners).median(1).values  # an arm may hide one
    within = (torch.stack(corners) - middle[:, None]).abs().median()  # of a block, which has one scene
    assert within < 0.3 * torch.pdist(middle).mean() / 2


def test_evaluation_shows_other_hands_and_depends_on_the_seed_alone(root, tmp_path):
    training, evaluation = read(root, "training_xyz"), read(root, "evaluation_xyz")
    assert torch.cdist(training.flatten(1), evaluation.flatten(1)).min() > 1e-3
    write_freihand(tmp_path, 2, num_evaluation=EVALUATION, size=48, seed=3)
    assert torch.equal(read(tmp_path, "evaluation_xyz"), evaluation)
    assert torch.equal(read_image(tmp_path, "evaluation", 1), read_image(root, "evaluation", 1))


def test_freihand_reads_it(root):
    hands = FreiHAND(root)
    assert len(hands) == 4 * SAMPLES
    assert torch.equal(hands[SAMPLES + 1].xyz, read(root, "training_xyz")[1])
    assert len(FreiHAND(root, "evaluation")) == EVALUATION


def test_it_writes_either_domain(tmp_path):
    write_freihand(tmp_path, 3, num_evaluation=1, size=32, seed=3, domain="studio")
    hands = SyntheticHands(3, size=32, seed=3, domain="studio", scenes=1).render(range(3))
    assert torch.equal(read(tmp_path, "training_xyz"), hands.xyz)
    for sample in range(3):
        assert (read_image(tmp_path, "training", sample).float() - hands.image[sample].float()).abs().mean() < 5


def test_it_writes_surroundings_scenes_and_one_side(tmp_path):
    options = {"size": 12, "context": 2.0, "side": "right"}
    write_freihand(tmp_path, 130, num_evaluation=1, seed=3, scenes=2, **options)
    hands = SyntheticHands(130, seed=3, scenes=1, **options).render(range(4))
    assert torch.equal(read(tmp_path, "training_xyz")[:4], hands.xyz)
    assert torch.equal(read(tmp_path, "training_K")[:4], hands.K)
    pictures = torch.stack([read_image(tmp_path, "training", k) for k in range(4 * 130)]).float().view(4, 130, -1)
    assert (pictures[0, :4] - hands.image.float().flatten(1)).abs().mean() < 8
    blocks = [part.median(1).values for part in pictures.split(64, 1)]  # what most of a block's pictures show
    groups = FreiHAND(tmp_path).groups.view(4, 130)
    assert groups[:, [0, 63, 64, 128]].tolist() == [[k, k, 4 + k, 8 + k] for k in range(4)]
    assert (blocks[0] - blocks[2]).abs().mean() < 0.5 * (blocks[0] - blocks[1]).abs().mean()  # of two scenes
    assert (blocks[0][0] - blocks[0][1]).abs().mean() > (blocks[0] - blocks[2]).abs().mean()  # and versions


def test_evaluation_is_an_eighth_by_default(tmp_path):
    write_freihand(tmp_path / "a", 1, size=8)
    write_freihand(tmp_path / "b", 17, size=8)
    assert len(read(tmp_path / "a", "evaluation_K")) == 1
    assert len(read(tmp_path / "b", "evaluation_K")) == 2


def test_progress_sees_every_batch(tmp_path):
    seen = []

    def progress(batches):
        for batch in batches:
            yield batch
            seen.append(len(batches))

    write_freihand(tmp_path, 33, num_evaluation=33, size=8, progress=progress)
    assert seen == [10] * 10


def test_an_interrupted_set_is_not_taken_for_a_whole_one(tmp_path):
    def interrupt(batches):
        yield batches[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_freihand(tmp_path, 3, size=8, progress=interrupt)
    assert (tmp_path / "training" / "rgb" / "00000002.jpg").exists()
    assert not list(tmp_path.glob("*.json"))
    with pytest.raises(ValueError, match=r"root: .* already holds training/rgb/0000000\d\.jpg"):
        write_freihand(tmp_path, 3, size=8)


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    def half(path, image, quality):
        Path(path).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("equicon.hands._datasets.write_freihand.write_image", half)
    with pytest.raises(OSError, match="no space left"):
        write_freihand(tmp_path, 1, size=8)
    assert not list(tmp_path.rglob("[!.]*.jpg"))


def test_a_set_is_not_overwritten(root):
    with pytest.raises(ValueError, match=r"root: expected a folder without .*, got .*folder, which already holds"):
        write_freihand(root, 2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_samples": 0}, ValueError, "num_samples: expected a whole number of at least 1, got int 0"),
        ({"num_evaluation": 0}, ValueError, "num_evaluation: expected a whole number of at least 1, got int 0"),
        ({"size": 64.0}, TypeError, "size: expected a whole number, got float 64.0"),
        ({"seed": -1}, ValueError, "seed: expected a whole number of at least 0, got int -1"),
        ({"domain": "lab"}, ValueError, "domain: expected one of studio, wild, got str 'lab'"),
        ({"context": 0.0}, ValueError, "context: expected a number of at least 1, got float 0.0"),
        ({"scenes": 0}, ValueError, "scenes: expected a whole number of at least 1, got int 0"),
        ({"side": "top"}, ValueError, "side: expected one of both, left, right, got str 'top'"),
        ({"progress": True}, TypeError, "progress: expected a callable such as tqdm, got bool True"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        write_freihand(tmp_path / "set", **{"num_samples": 1} | arguments)
    assert not (tmp_path / "set").exists()
