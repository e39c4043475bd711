import json
import pickle
import shutil
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.io import write_image
from torch import Tensor
from torch.utils.data import DataLoader

from equicon.data import CorruptImage, SkipCorrupt
from equicon.hands import FreiHAND, Hand, SyntheticHands, write_freihand

SAMPLES, EVALUATION = 5, 3


def shade(number: int) -> Tensor:
    """A colour that tells which file it came from."""
    return torch.tensor([10.0 * number, 250 - 10.0 * number, 40.0])


def write_split(root: Path, split: str, count: int, versions: int) -> None:
    generator = torch.Generator().manual_seed(count)
    (root / split / "rgb").mkdir(parents=True)
    for number in range(count * versions):
        image = shade(number).to(torch.uint8)[:, None, None].expand(3, 12, 16).contiguous()
        write_image(root / split / "rgb" / f"{number:08d}.jpg", image, quality=95)
    records = {
        "K": torch.tensor([[300.0, 0, 8], [0, 300, 6], [0, 0, 1]]).expand(count, 3, 3)
        + torch.arange(count)[:, None, None] * torch.tensor([1, 1, 0])[:, None],
        "xyz": torch.randn(count, 21, 3, generator=generator) * 0.1 + torch.tensor([0.0, 0.0, 0.7]),
        "scale": 0.02 + 0.001 * torch.arange(count),
    }
    for kind, values in records.items():
        (root / f"{split}_{kind}.json").write_text(json.dumps(values.tolist()))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("freihand")
    write_split(folder, "training", SAMPLES, 4)
    write_split(folder, "evaluation", EVALUATION, 1)
    return folder


@pytest.fixture
def copy_of(root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(root, tmp_path / "copy"))


def records(root: Path, name: str) -> Any:
    return json.loads((root / name).read_text())


def file_number(hand: Hand) -> int:
    mean = hand.image.float().mean((1, 2))
    number = round(float(mean[0]) / 10)
    torch.testing.assert_close(mean, shade(number), atol=3, rtol=0)
    return number


def file_numbers(data: FreiHAND) -> list[int]:
    return [file_number(data[i]) for i in range(len(data))]


def test_every_item_has_the_labels_of_its_number_modulo_the_samples(root: Path) -> None:
    data = FreiHAND(root)
    K, xyz = torch.tensor(records(root, "training_K.json")), torch.tensor(records(root, "training_xyz.json"))
    assert len(data) == 4 * SAMPLES
    for i in range(len(data)):
        assert file_number(data[i]) == i
        assert torch.equal(data[i].xyz, xyz[i % SAMPLES])
        assert torch.equal(data[i].K, K[i % SAMPLES])
    assert torch.equal(data.K, K)
    assert torch.equal(data.xyz, xyz)
    assert torch.equal(data.scale, torch.tensor(records(root, "training_scale.json")))


def test_an_item_is_a_hand_in_the_agreed_types(root: Path) -> None:
    hand = FreiHAND(str(root))[-1]
    assert isinstance(hand, Hand)
    assert [(tuple(value.shape), value.dtype) for value in hand] == [
        ((3, 12, 16), torch.uint8),
        ((21, 3), torch.float32),
        ((3, 3), torch.float32),
    ]
    assert hand.xy.shape == (21, 2)


def test_versions_are_taken_in_the_order_given(root: Path) -> None:
    data = FreiHAND(root, versions=(3, 1))
    assert file_numbers(data) == [*range(3 * SAMPLES, 4 * SAMPLES), *range(SAMPLES, 2 * SAMPLES)]
    assert torch.equal(data[SAMPLES + 2].xyz, data.xyz[2])
    assert file_numbers(FreiHAND(root).select([4, 0], versions=[2])) == [14, 10]


def test_evaluation_has_one_version(root: Path) -> None:
    data = FreiHAND(root, "evaluation")
    assert file_numbers(data) == list(range(EVALUATION))
    assert torch.equal(data[2].xyz, torch.tensor(records(root, "evaluation_xyz.json"))[2])


def test_evaluation_without_labels_gives_images(copy_of: Path) -> None:
    (copy_of / "evaluation_xyz.json").unlink()
    data = FreiHAND(copy_of, "evaluation")
    batch = next(iter(DataLoader(data, batch_size=3)))
    assert batch.image.shape == (3, 3, 12, 16)
    assert batch.xyz.shape == (3, 21, 3)
    assert batch.xyz.isnan().all()
    for part in (data, data.select([1])):
        with pytest.raises(ValueError, match=r"xyz: expected the labels in .*evaluation_xyz\.json, got no such file"):
            _ = part.xyz


def test_indices_are_those_of_a_sequence(root: Path) -> None:
    data = FreiHAND(root)
    assert file_number(data[-1]) == file_number(data[19]) == 19
    assert file_number(data[-20]) == 0
    for index in (20, -21):
        with pytest.raises(IndexError, match=rf"index: expected a whole number in \[-20, 19\], got {index}"):
            data[index]
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        data[0.5]  # type: ignore[index]


def test_writing_into_an_item_leaves_the_data_set_alone(root: Path) -> None:
    data = FreiHAND(root)
    data[0].xyz.zero_()
    data[0].K.zero_()
    assert torch.equal(data.xyz[0], torch.tensor(records(root, "training_xyz.json"))[0])
    assert torch.equal(data.K[0], torch.tensor(records(root, "training_K.json"))[0])


def test_grey_and_larger_images_are_rgb(copy_of: Path) -> None:
    rgb = copy_of / "training" / "rgb"
    write_image(rgb / "00000003.jpg", torch.full((1, 30, 20), 90, dtype=torch.uint8))
    image = FreiHAND(copy_of)[3].image
    assert image.shape == (3, 30, 20)
    assert image.dtype == torch.uint8
    assert bool(((image.int() - 90).abs() <= 2).all())


@settings(max_examples=25, deadline=None)
@given(fraction=st.floats(0.001, 0.999), seed=st.integers(0, 2**31 - 1))
def test_holdout_splits_by_sample(root: Path, fraction: float, seed: int) -> None:
    data = FreiHAND(root)
    rest, held = data.holdout(fraction, seed=seed)
    assert sorted(rest.samples.tolist() + held.samples.tolist()) == list(range(SAMPLES))
    assert len(rest) > 0
    assert len(held) == 4 * min(max(round(fraction * SAMPLES), 1), SAMPLES - 1)
    again = data.holdout(fraction, seed=seed)[1]
    assert torch.equal(again.samples, held.samples)
    for part in (rest, held):
        assert part.samples.tolist() == sorted(part.samples.tolist())
        assert torch.equal(part.xyz, data.xyz[part.samples])
        assert torch.equal(part.K, data.K[part.samples])
        assert torch.equal(part.scale, data.scale[part.samples])


def test_no_version_of_a_sample_crosses(root: Path) -> None:
    sides = [{number % SAMPLES for number in file_numbers(part)} for part in FreiHAND(root).holdout(0.4)]
    assert sorted(map(len, sides)) == [2, 3]
    assert not sides[0] & sides[1]


def test_holdout_depends_on_the_seed_alone(root: Path) -> None:
    data = FreiHAND(root)
    assert len({tuple(data.holdout(0.4, seed=seed)[1].samples.tolist()) for seed in range(20)}) > 3
    torch.manual_seed(1)
    first = data.holdout(0.4)[1].samples
    torch.manual_seed(2)
    assert torch.equal(first, data.holdout(0.4)[1].samples)
    assert torch.equal(first, data.select(versions=[1]).holdout(0.4)[1].samples)


def test_selections_nest(root: Path) -> None:
    part = FreiHAND(root).select(torch.tensor([4, 2, 0])).select(range(1, 3))
    assert part.samples.tolist() == [2, 0]
    assert file_numbers(part) == [2, 0, 7, 5, 12, 10, 17, 15]
    assert torch.equal(part[2].xyz, part.xyz[0])


@pytest.mark.slow
def test_workers_give_what_the_data_set_gives(root: Path) -> None:
    data = FreiHAND(root)
    batches = list(DataLoader(data, batch_size=8, num_workers=1, multiprocessing_context="spawn"))
    for i in range(len(data)):
        batch = batches[i // 8]
        assert isinstance(batch, Hand)
        assert all(torch.equal(got[i % 8], value) for got, value in zip(batch, data[i], strict=True))


def test_workers_share_the_labels(root: Path) -> None:
    data = FreiHAND(root).select([0] * 10_000)
    assert len(ForkingPickler.dumps(data)) < 4_000  # 84 numbers for each sample would take 3 MB
    assert len(pickle.loads(pickle.dumps(data))) == 40_000


@pytest.fixture
def meshes(copy_of: Path) -> Tensor:
    """Vertices, written beside the other labels."""
    values = torch.randn(SAMPLES, 778, 3, generator=torch.Generator().manual_seed(1))
    (copy_of / "training_verts.json").write_text(json.dumps(values.tolist()))
    return values


def test_vertices_are_read_when_asked_for_and_kept(copy_of: Path, meshes: Tensor) -> None:
    path = copy_of / "training_verts.json"
    text = path.read_text()
    path.write_text("damaged")
    data = FreiHAND(copy_of)
    with pytest.raises(ValueError, match=r"training_verts\.json: expected JSON, got this: record 0: Expecting value"):
        _ = data.verts
    path.write_text(text)
    assert torch.equal(data.verts, meshes)
    path.unlink()
    assert data.verts is data.verts


@pytest.mark.parametrize("before", [True, False])
def test_parts_have_the_vertices_of_their_samples(copy_of: Path, meshes: Tensor, before: bool) -> None:
    data = FreiHAND(copy_of)
    if before:
        assert len(data.verts) == SAMPLES
        (copy_of / "training_verts.json").unlink()  # the parts need not read it again
    parts = [data.select([4, 0, 2]), data.select([4, 3, 2, 1, 0]), data.select(versions=[1]), *data.holdout(0.4)]
    for part in [*parts, parts[0].select([1])]:
        assert part.verts.dtype == torch.float32
        assert torch.equal(part.verts, meshes[part.samples])


@pytest.mark.parametrize("split", ["training", "evaluation"])
def test_missing_vertices_raise(root: Path, split: Literal["training", "evaluation"]) -> None:
    data = FreiHAND(root, split)
    for part in (data, data.select([1])):
        with pytest.raises(ValueError, match=rf"verts: expected the labels in .*{split}_verts\.json, got no such file"):
            _ = part.verts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v[:-1], r"training_verts\.json: expected 5 records, as many as training_K\.json has, got 4"),
        (lambda v: [*v[:2], v[2][1:], *v[3:]], r"\(record 2\): expected numbers of shape \(778, 3\), got .*\(777, 3\)"),
    ],
)
def test_damaged_vertices_are_named(copy_of: Path, meshes: Tensor, change: Callable[[Any], Any], message: str) -> None:
    edit("training_verts.json", change)(copy_of)
    with pytest.raises(ValueError, match=message):
        _ = FreiHAND(copy_of).verts


def test_workers_share_the_vertices(copy_of: Path, meshes: Tensor) -> None:
    data = FreiHAND(copy_of)
    assert torch.equal(data.verts, meshes)
    assert len(ForkingPickler.dumps(data)) < 4_000  # 778 vertices take 9 kB for each of the samples


def test_what_write_freihand_writes_is_read_back(tmp_path: Path) -> None:
    write_freihand(tmp_path, num_samples=3, size=64, num_evaluation=2, seed=5)
    data, hands = FreiHAND(tmp_path), SyntheticHands(num_samples=3, size=64, seed=5, scenes=1)
    assert (len(data), len(FreiHAND(tmp_path, "evaluation"))) == (12, 2)
    for i in range(12):
        torch.testing.assert_close(data[i][1:], hands[i % 3][1:], atol=1e-6, rtol=1e-6)
    for i in range(3):
        distances = [float((data[i].image.float() - hands[j].image.float()).abs().mean()) for j in range(3)]
        assert distances[i] < 8 < min(distances[:i] + distances[i + 1 :])
    bones = (data.xyz[:, 9] - data.xyz[:, 10]).norm(dim=-1)
    torch.testing.assert_close(data.scale, bones, atol=1e-6, rtol=0)


def test_a_small_training_root_may_lack_versions(copy_of: Path) -> None:
    for number in range(SAMPLES, 4 * SAMPLES):
        (copy_of / "training" / "rgb" / f"{number:08d}.jpg").unlink()
    data = FreiHAND(copy_of, versions=[0])
    assert len(data) == SAMPLES
    with pytest.raises(ValueError, match=r"00000005\.jpg: expected version 1 of sample 0 .*got no such file among 5"):
        data.select(versions=[1])


@pytest.mark.parametrize("versions", [(0,), (1,), (3,), (0, 2), (1, 2, 3), (0, 1, 2, 3)], ids=str)
@pytest.mark.parametrize("samples", [(0, 1, 2, 3, 4), (0, 1, 2), (1, 4), (3,)], ids=str)
def test_a_part_of_the_set_is_opened_and_says_what_it_lacks(
    copy_of: Path, meshes: Tensor, versions: tuple[int, ...], samples: tuple[int, ...]
) -> None:
    for number in range(4 * SAMPLES):
        if number // SAMPLES not in versions or number % SAMPLES not in samples:
            (copy_of / image(number)).unlink()
    data, xyz = FreiHAND(copy_of), torch.tensor(records(copy_of, "training_xyz.json"))
    assert (data.versions, tuple(data.samples.tolist())) == (versions, samples)
    assert data.left_out == SAMPLES - len(samples)
    assert file_numbers(data) == [version * SAMPLES + sample for version in versions for sample in samples]
    for i, hand in enumerate(data):
        assert torch.equal(hand.xyz, xyz[samples[i % len(samples)]])
    assert torch.equal(data.scale, torch.tensor(records(copy_of, "training_scale.json"))[list(samples)])
    assert torch.equal(data.verts, meshes[list(samples)])
    last = FreiHAND(copy_of, versions=versions[-1:])
    assert file_numbers(last) == file_numbers(data.select(versions=versions[-1:]))
    if len(samples) > 1:
        assert sum(len(part) for part in data.holdout(0.5)) == len(data)
    if missing := set(range(4)) - set(versions):
        name = image(min(missing) * SAMPLES + samples[0]).rpartition("/")[2]
        for again in (
            lambda: data.select(versions=[min(missing)]),
            lambda: FreiHAND(copy_of, versions=[*missing]),
        ):
            with pytest.raises(ValueError, match=rf"{name}: expected version {min(missing)} of sample {samples[0]} "):
                again()


def test_a_part_without_a_shape_was_not_unpacked_to_its_end(copy_of: Path) -> None:
    for number in (7, 8, 9, *range(10, 20)):
        (copy_of / image(number)).unlink()
    with pytest.raises(ValueError, match=r"00000007\.jpg: expected version 1 of sample 2 .*Unpack the images again"):
        FreiHAND(copy_of)


def test_an_evaluation_is_whole(copy_of: Path) -> None:
    (copy_of / "evaluation" / "rgb" / "00000001.jpg").unlink()
    with pytest.raises(ValueError, match=r"00000001\.jpg: expected version 0 of sample 1 .*got no such file among 2"):
        FreiHAND(copy_of, "evaluation")


def test_an_evaluation_alone_is_opened_and_has_no_training(copy_of: Path) -> None:
    for path in copy_of.glob("training*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert file_numbers(FreiHAND(copy_of, "evaluation")) == [0, 1, 2]
    message = r"root: expected a data set with training/ and training_K\.json, got .*, which holds evaluation alone"
    with pytest.raises(ValueError, match=message):
        FreiHAND(copy_of)


def test_files_beside_the_images_are_none(copy_of: Path) -> None:
    for name in ("Thumbs.db", "._00000000.jpg", "00000003.jpg.part", "99999999.png"):
        (copy_of / "training" / "rgb" / name).write_bytes(b"no image")
    assert len(FreiHAND(copy_of)) == 4 * SAMPLES


def edit(name: str, change: Callable[[Any], Any]) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(json.dumps(change(records(root, name))))


def put(index: int, value: object) -> Callable[[Any], Any]:
    return lambda values: [*values[:index], value, *values[index + 1 :]]


def cut(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:-20])


def empty(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def image(number: int) -> str:
    return f"training/rgb/{number:08d}.jpg"


DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no root": (shutil.rmtree, r"root: expected a data set with training_K\.json, got .*copy, which is no folder"),
    "empty root": (
        empty,
        r"root: expected a data set with training_K\.json, got .*copy, which holds nothing",
    ),
    "other root": (
        lambda root: (root / "training_K.json").rename(root / "a.txt"),
        r"root: expected a data set with training_K\.json, got .*copy, which holds a\.txt, evaluation, .*training_xyz",
    ),
    "no xyz": (
        lambda root: (root / "training_xyz.json").unlink(),
        r"root: expected a data set with training_xyz\.json",
    ),
    "no scale": (
        lambda root: (root / "training_scale.json").unlink(),
        r"expected a data set with training_scale\.json",
    ),
    "no images": (
        lambda root: shutil.rmtree(root / "training" / "rgb"),
        r"root: expected a data set with training/rgb",
    ),
    "cut JSON": (cut("training_xyz.json"), r"training_xyz\.json: expected JSON, got this: .*line 1 column"),
    "binary": (
        lambda root: (root / "training_K.json").write_bytes(b"\xff\xfe\xfd\x80"),
        r"training_K\.json: expected JSON",
    ),
    "dictionary": (
        edit("training_K.json", lambda _: {"K": 1}),
        r"training_K\.json: expected a list of records, got dict",
    ),
    "nothing": (
        edit("training_K.json", lambda _: []),
        r"training_K\.json: expected a list of records, got an empty one",
    ),
    "short xyz": (
        edit("training_xyz.json", lambda v: v[:-1]),
        r"training_xyz\.json: expected 5 records, as many as training_K\.json has, got 4",
    ),
    "long scale": (
        edit("training_scale.json", lambda v: [*v, 1.0]),
        r"training_scale\.json: expected 5 records, as many as training_K\.json has, got 6",
    ),
    "K of 2 rows": (
        edit("training_K.json", put(3, [[1, 0, 0], [0, 1, 0]])),
        r"training_K\.json \(record 3\): expected numbers of shape \(3, 3\), got shape \(2, 3\)",
    ),
    "ragged K": (
        edit("training_K.json", put(2, [[1, 0, 0], [0, 1], [1]])),
        r"training_K\.json \(record 2\): expected numbers of shape \(3, 3\), got list \[\[1, 0, 0\]",
    ),
    "words": (edit("training_K.json", put(1, "no camera")), r"K\.json \(record 1\): .*got str 'no camera'"),
    "20 joints": (
        edit("training_xyz.json", put(4, [[0, 0, 1]] * 20)),
        r"training_xyz\.json \(record 4\): expected numbers of shape \(21, 3\), got shape \(20, 3\)",
    ),
    "scale of 3": (
        edit("training_scale.json", put(0, [1, 2, 3])),
        r"training_scale\.json \(record 0\): expected a number, got shape \(3,\)",
    ),
    "NaN": (
        edit("training_xyz.json", put(2, [[0, 0, 1]] * 20 + [[0, float("nan"), 1]])),
        r"training_xyz\.json \(record 2\): expected finite numbers",
    ),
    "null": (edit("training_scale.json", put(3, None)), r"training_scale\.json \(record 3\): expected finite numbers"),
    "infinite": (
        edit("training_scale.json", put(1, 1e300)),
        r"training_scale\.json \(record 1\): expected finite numbers",
    ),
    "K of zeros": (
        edit("training_K.json", put(1, [[0, 0, 0]] * 3)),
        r"training_K\.json \(record 1\): expected intrinsics: focal lengths above 0, .*, got list \[\[0\.0, 0\.0",
    ),
    "K of a mirror": (
        edit("training_K.json", put(4, [[-300, 0, 8], [0, 300, 6], [0, 0, 1]])),
        r"training_K\.json \(record 4\): expected intrinsics: focal lengths above 0",
    ),
    "K that is singular": (
        edit("training_K.json", put(2, [[300, 300, 8], [300, 300, 6], [0, 0, 1]])),
        r"training_K\.json \(record 2\): expected intrinsics",
    ),
    "K of a tiny camera": (
        edit("training_K.json", put(0, [[1e-30, 0, 8], [0, 1e-30, 6], [0, 0, 1]])),
        r"training_K\.json \(record 0\): expected intrinsics",
    ),
    "K of another last row": (
        edit("training_K.json", put(0, [[300, 0, 8], [0, 300, 6], [0, 0, 2]])),
        r"training_K\.json \(record 0\): expected intrinsics: .*last row \(0, 0, 1\)",
    ),
    "no hand": (
        edit("training_xyz.json", put(3, [[0, 0, 0]] * 21)),
        r"training_xyz\.json \(record 3\): expected joints in front of the camera: z above 0, got list \[\[0\.0",
    ),
    "scale of 0": (
        edit("training_scale.json", put(2, 0)),
        r"training_scale\.json \(record 2\): expected a length above 0, got float 0\.0",
    ),
    "scale below 0": (
        edit("training_scale.json", put(2, -0.03)),
        r"scale\.json \(record 2\): expected a length above 0",
    ),
    "scale that float32 rounds to 0": (
        edit("training_scale.json", put(4, 1e-60)),
        r"training_scale\.json \(record 4\): expected a length above 0",
    ),
    "no image": (
        lambda root: (root / image(17)).unlink(),
        r"00000017\.jpg: expected version 3 of sample 2 \(there are 5 records in .*\), got no such file among 19",
    ),
    "too few records": (
        lambda root: [edit(f"training_{kind}.json", lambda v: v[:-1])(root) for kind in ("K", "xyz", "scale")],
        r"00000016\.jpg: expected no image past those of the 4 records in training_K\.json, got one",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGED.values(), ids=DAMAGED)
def test_opening_damaged_data_names_the_file_and_the_record(
    copy_of: Path, damage: Callable[[Path], object], message: str
) -> None:
    FreiHAND(copy_of)
    damage(copy_of)
    with pytest.raises(ValueError, match=message):
        FreiHAND(copy_of)


@pytest.mark.parametrize("keep", [0, 100, -200], ids=["empty", "header", "truncated"])
def test_reading_a_damaged_image_names_it(copy_of: Path, keep: int) -> None:
    data = FreiHAND(copy_of, versions=[3])
    path = copy_of / image(16)
    path.write_bytes(path.read_bytes()[:keep])
    for index in (1, -4):
        message = r"00000016\.jpg \(index 1\): expected a JPEG image, got this: .*decode"
        with pytest.raises(CorruptImage, match=message) as caught:
            data[index]
        assert caught.value.path == path


def test_reading_an_image_that_went_missing_names_it(copy_of: Path) -> None:
    data = FreiHAND(copy_of)
    (copy_of / image(7)).unlink()
    message = r"00000007\.jpg \(index 7\): expected a JPEG image, got this: .*No such file"
    with pytest.raises(CorruptImage, match=message):
        data[7]


def test_a_part_skips_to_its_own_next_sample(copy_of: Path) -> None:
    (copy_of / image(11)).write_bytes(b"")
    data = SkipCorrupt(FreiHAND(copy_of).select([3, 1, 4], versions=[2, 0]))
    assert [file_number(data[i]) for i in range(6)] == [13, 14, 14, 3, 1, 4]
    assert data.skipped == [copy_of / image(11)]


def test_paths_are_those_of_the_items(root: Path) -> None:
    data = FreiHAND(root, versions=(3, 1)).select([2, 0])
    assert [data.path(i) for i in range(-4, 4)] == 2 * [root / image(n) for n in (17, 15, 7, 5)]
    with pytest.raises(IndexError, match=r"index: expected a whole number in \[-4, 3\], got 4"):
        data.path(4)


def test_wrong_arguments_raise(root: Path) -> None:
    with pytest.raises(ValueError, match=r"split: expected 'training' or 'evaluation', got str 'val'\. .*holdout"):
        FreiHAND(root, "val")  # type: ignore[arg-type]
    for wrong in ((), (0, 0), (4,)):
        with pytest.raises(ValueError, match=r"versions: .* different versions of training, out of \(0, 1, 2, 3\)"):
            FreiHAND(root, versions=wrong)
    with pytest.raises(ValueError, match=r"versions: expected different versions of evaluation, out of \(0,\)"):
        FreiHAND(root, "evaluation", versions=(1,))
    with pytest.raises(TypeError, match="versions: expected a sequence of whole numbers, got int 0"):
        FreiHAND(root, versions=0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="versions: expected a whole number, got str 'a'"):
        FreiHAND(root, versions=["a"])  # type: ignore[list-item]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int8, np.int32])
def test_positions_are_positions_whatever_their_type(root: Path, dtype: type) -> None:
    data = FreiHAND(root)
    for chosen in ([4, 0], [0, 1, 2, 3, 4]):  # bytes, as many as samples: a mask to torch
        assert data.select(torch.from_numpy(np.array(chosen, dtype))).samples.tolist() == chosen


def test_wrong_selections_raise(root: Path) -> None:
    data = FreiHAND(root)
    for empty in ([], [[0]]):
        with pytest.raises(ValueError, match="samples: expected at least one position"):
            data.select(empty)  # type: ignore[arg-type]
    for outside in ([0, 5], [-1]):
        with pytest.raises(ValueError, match=r"samples: expected positions in \[0, 4\], got some from"):
            data.select(outside)
    for wrong in ([0.5], [True, False]):
        with pytest.raises(TypeError, match="samples: expected whole numbers"):
            data.select(wrong)  # type: ignore[arg-type]
    for fraction in (0, 1.0):
        with pytest.raises(ValueError, match=r"fraction: expected a share in \(0, 1\) of two samples or more"):
            data.holdout(fraction)
    with pytest.raises(ValueError, match=r"fraction: .*got 0\.5 of 1"):
        data.select([0]).holdout(0.5)
    with pytest.raises(ValueError, match="seed: expected a whole number of at least 0"):
        data.holdout(0.5, seed=-1)


def test_instances_are_samples_and_groups_are_blocks_of_them_in_one_version(root: Path, tmp_path: Path) -> None:
    data = FreiHAND(root)
    assert data.instances.tolist() == [*range(SAMPLES)] * 4
    assert data.groups.tolist() == [version for version in range(4) for _ in range(SAMPLES)]
    few = data.select([3, 1], versions=[2, 0])
    assert few.groups.tolist() == [2, 2, 0, 0]
    assert few.instances.tolist() == [3, 1, 3, 1]
    write_split(tmp_path, "training", 130, 1)
    many = FreiHAND(tmp_path)
    assert many.instances.tolist() == [*range(130)]
    assert many.groups.tolist() == [0] * 64 + [4] * 64 + [8] * 2
    rest, held = many.holdout(0.5)
    assert torch.equal(held.groups, held.samples // 64 * 4)
    assert rest.groups.dtype == rest.instances.dtype == torch.int64
    assert len(rest.groups) == len(rest)
