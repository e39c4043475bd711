import argparse
import copy
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("torchvision", reason="the recipes need torchvision")

from test_device import Copies
from torch._subclasses.fake_tensor import FakeTensorMode

import equicon as eq
from equicon.data import Boxed, write_coco_keypoints
from equicon.hands import write_freihand
from equicon.recipes import Teacher, Validated, _consistency, check_unlabelled, load_finetune_data, load_unlabelled
from equicon.recipes._consistency import ramp, within
from equicon.recipes._run_data import PretrainData
from equicon.recipes.keypoints import load_keypoint_data, parse_keypoint_args
from equicon.training import ALONE, Checkpoints


def options(**changed):
    known = {
        "agree": 0.1, "average": 0.9, "batch_size": 4, "consistency": 1.0, "degrees": 30.0, "device": "cpu",
        "holdout": 0.25, "jitter": [0.0, 0.0, 0.0, 0.0], "precision": "float32", "ramp": 0.0, "scale": [0.8, 1.2],
        "seed": 3, "size": 48, "skip_corrupt": False, "translate": 0.1, "unlabelled": [], "workers": 0,
    }  # fmt: skip
    return argparse.Namespace(**(known | changed))


class Pictures(torch.utils.data.Dataset):
    """A bright blob in each, at another place, and a box around all."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        at, (x, y) = torch.arange(64), (22 + 2 * index, 40 - index)
        blob = torch.exp(-((at - x)[None] ** 2 + (at - y)[:, None] ** 2) / 18)
        return Boxed((255 * blob).round().to(torch.uint8).expand(3, 64, 64), torch.tensor([0.0, 0.0, 63.0, 63.0]))


class Finder(torch.nn.Module):
    """Finds the middle of what is bright, or a place of the view whatever is seen there."""

    def __init__(self, fixed: bool = False):
        super().__init__()
        self.fixed, self.weight = fixed, torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("mean", torch.zeros(1))


def read(model, images):
    side = images.shape[-1]
    if model.fixed:
        return torch.full((len(images), 2), 0.5), torch.ones(len(images), 1)
    at = (torch.arange(side) + 0.5) * 2 / side - 1
    mass = (images[:, 0] - images[:, 0].amin((1, 2), keepdim=True)) ** 2
    mass = mass / mass.sum((1, 2), keepdim=True)
    return torch.stack([(mass.sum(1) * at).sum(1), (mass.sum(2) * at).sum(1)], 1), torch.ones(len(images), 1)


def teacher(model, **changed):
    return Teacher(model, PretrainData(Pictures(), 10, None, "blobs"), eq.Points(), margin=1.0, args=options(**changed))


def test_a_model_that_is_equivariant_has_nothing_to_learn():
    one = teacher(Finder())
    one.strong = one.mild  # nothing is erased
    torch.manual_seed(0)
    for taught in one.lessons(read, 0, 3, ALONE):
        assert taught.images.shape == (4, 3, 48, 48)
        assert (taught.weights == 1).all()
        assert taught.loss(read(one.model, taught.images)[0]) < 0.01
        assert taught.loss(read(one.model, taught.images)[0] + 0.3) > 0.2


def test_a_teacher_that_says_the_same_of_every_view_teaches_nothing():
    one = teacher(Finder(fixed=True), agree=0.01, degrees=90.0)
    torch.manual_seed(0)
    (taught,) = one.lessons(read, 0, 1, ALONE)
    assert not taught.weights.any()
    assert taught.loss(torch.rand(4, 2)) == 0


def test_the_views_of_the_teacher_are_milder():
    one = teacher(Finder(), scale=[0.5, 2.0])
    (scale, turn, shift, *looks), (strong_scale, strong_turn, strong_shift, *more) = (
        augment.transforms for augment in (one.mild, one.strong)
    )
    assert [type(look) for look in looks] == [eq.Normalize]
    assert [type(look) for look in more] == [eq.ColorJitter, eq.RandomErasing, eq.Normalize]
    assert (strong_scale, strong_turn, strong_shift) == (
        eq.RandomScale((0.5, 2.0)), eq.RandomRotation(30.0), eq.RandomTranslate(0.1)
    )  # fmt: skip
    assert (scale, turn, shift) == (
        eq.RandomScale((0.5**0.3, 2.0**0.3)), eq.RandomRotation(9.0), eq.RandomTranslate(0.03)
    )  # fmt: skip


def test_the_target_is_the_mean_of_two_predictions():
    one, said = teacher(Finder(), agree=1.0, degrees=0.0, translate=0.0, scale=[1.0, 1.0]), iter([0.1, 0.3])

    def speak(model, images):
        return torch.full((len(images), 2), next(said)), torch.full((len(images), 1), 0.5)

    (taught,) = one.lessons(speak, 0, 1, ALONE)
    torch.testing.assert_close(taught.z, torch.full((4, 2), 0.2))
    assert (taught.weights == 0.5).all()


def test_points_outside_the_view_are_not_taught():
    one = teacher(Finder(), agree=10.0, translate=0.9, scale=[1.0, 1.0])
    one.mild = eq.Compose([eq.Normalize.imagenet()])
    torch.manual_seed(0)
    (taught,) = one.lessons(read, 0, 1, ALONE)
    carried = eq.Points().act(taught.g, taught.z)
    assert torch.equal(taught.weights[:, 0] > 0, (carried.abs() <= 1).all(1))
    assert 0 < taught.weights.sum() < 4


def test_the_weight_rises_and_further_values_count_as_their_points_do():
    one = teacher(Finder(), ramp=0.5, consistency=3.0)

    def deep(model, images):
        z, sure = read(model, images)
        return torch.cat([z, torch.zeros(len(z), 1)], 1), sure

    one.representation = one.criterion.representation = eq.DirectSum([(eq.Points(), 2), (eq.Invariant(), 1)])
    torch.manual_seed(0)
    weights = [taught.weights.max().item() for taught in one.lessons(deep, 0, 8, ALONE)]
    assert weights == pytest.approx([3 * ramp(step, 8, 0.5) for step in range(8)])
    assert weights == sorted(weights)
    (taught,) = one.lessons(deep, 7, 8, ALONE)
    assert taught.weights.max() == 3
    z = torch.cat([one.representation.act(taught.g, taught.z)[:, :2], torch.full((4, 1), 0.2)], 1)
    scales = torch.tensor([1.0, 1.0, 5.0])
    assert taught.loss(z, scales) == pytest.approx(float((taught.weights * 5 * 0.2).mean() / 3), rel=1e-4)


def test_lessons_begin_where_a_run_goes_on():
    one = teacher(Finder())
    whole = one.lessons(read, 0, 5, ALONE)
    for step in range(5):
        torch.manual_seed(step)
        known = next(whole)
        if step < 3:
            continue
        if step == 3:
            late = one.lessons(read, 3, 5, ALONE)
        torch.manual_seed(step)
        assert torch.equal(next(late).images, known.images)


def test_waiting_for_pictures_is_told_apart_from_making_views():
    marks = []
    one = teacher(Finder())
    lessons = one.lessons(read, 0, 3, ALONE, SimpleNamespace(mark=marks.append))
    taught = one.teach
    one.teach = lambda *args: marks.append("teach") or taught(*args)
    assert not marks  # the loop has not come to them yet
    for number in range(1, 4):
        next(lessons)
        assert marks == number * ["views", "data", "teach"]
    with pytest.raises(StopIteration):
        next(lessons)


def test_a_room_for_checkpoints_counts_the_teacher(tmp_path):
    class Run(Validated):
        kind, errors, kept, least = "toy", dict, "model", "error"
        load_data = make_views = loop = None

        def build(self, weights):
            return torch.nn.Linear(3, 5)  # 80 bytes

        def make_optimizer(self, model):
            return torch.optim.SGD(model.parameters(), 0.1)

        def make_teacher(self, unlabelled):
            return SimpleNamespace(model=copy.deepcopy(self.model))

    class Disk(Checkpoints):
        def check_room(self, size):
            sizes.append(size)
            if full:
                raise OSError("no room")

    sizes, args = [], options(epochs=1, lr=0.1, warmup=0, weights="none", device="cpu")
    data = SimpleNamespace(count=8, unlabelled=None)
    for full, unlabelled, found in ((False, None, []), (False, True, [4 * 80]), (True, True, [4 * 80] * 2)):
        run, data.unlabelled = Run(args, Disk(tmp_path)), unlabelled
        with pytest.raises(OSError, match="no room") if full else nullcontext():
            run.start(data, None)
        assert sizes == found


def test_the_number_of_rendered_hands_can_be_said(tmp_path):
    words = ["--data", str(tmp_path), "--device", "cpu", "--size", "32", "--unlabelled", "synthetic"]
    assert parse_keypoint_args("", words).hands == 8192
    args = parse_keypoint_args("", [*words, "--hands", "5"])
    data = load_unlabelled(args, quiet=True)
    assert (data.count, len(data.images)) == (5, 5)
    assert data.images[0].image.shape[-1] == 64  # twice the size of the views


def test_the_average_follows_and_is_restored():
    model = Finder()
    one, other = teacher(model), teacher(model)
    one.follow(model, 1000)
    with torch.no_grad():
        model.weight.fill_(1.0)
        model.mean.fill_(2.0)
    one.follow(model, 1000)
    assert one.model.weight.item() == pytest.approx(0.1)
    assert one.model.mean.item() == pytest.approx(0.2)
    other.model.load_state_dict(one.model.state_dict())
    assert other.model.weight.item() == pytest.approx(0.1)
    other.follow(model, 1000)
    assert other.model.weight.item() == pytest.approx(0.19)
    other.follow(model, 0)  # an early step
    assert other.model.weight.item() == pytest.approx(0.19 + 0.9 * 0.81)


def test_pictures_that_validate_are_not_among_them(tmp_path):
    image = torch.randint(0, 255, (12, 3, 40, 40), dtype=torch.uint8)
    xy, groups = 40 * torch.rand(12, 2, 2), torch.arange(12) // 3
    write_coco_keypoints(tmp_path, image, xy, torch.full((12, 2), 2), names=["a", "b"], groups=groups)
    args = options(data=str(tmp_path), fraction=1.0, unlabelled=[str(tmp_path)])
    held_out = load_keypoint_data(args).held_out
    images = load_unlabelled(args, quiet=True).images
    seen, tested = ({str(part.path(i)) for i in range(len(part))} for part in (images, held_out))
    assert len(seen) == 9
    assert len(tested) == 3
    assert not seen & tested
    assert load_unlabelled(options(data=str(tmp_path)), quiet=True) is None


def test_hands_that_validate_are_not_among_them(tmp_path):
    write_freihand(tmp_path, 8, size=40)
    args = options(data=str(tmp_path), fraction=1.0, unlabelled=[str(tmp_path)])
    held_out = load_finetune_data(args, quiet=True).validation
    images = load_unlabelled(args, quiet=True).images
    assert sorted([*{int(i) for i in images.samples}, *(int(i) for i in held_out.samples)]) == list(range(8))


def test_nothing_is_held_out_of_another_data_set(tmp_path):
    image = torch.randint(0, 255, (4, 3, 40, 40), dtype=torch.uint8)
    write_coco_keypoints(tmp_path, image, 40 * torch.rand(4, 1, 2), torch.full((4, 1), 2), names=["a"])
    assert load_unlabelled(options(data="other", unlabelled=[str(tmp_path)]), quiet=True).count == 4


def test_a_picture_without_a_box_is_seen_whole():
    boxes = torch.tensor([[-0.5, -0.5, 63.5, 63.5], [12.0, 12.0, 51.0, 31.0]])
    shrunk = within(boxes, (64, 64), 1.25)
    assert shrunk[0].tolist() == pytest.approx([31.5 - 25.6, 31.5 - 25.6, 31.5 + 25.6, 31.5 + 25.6])
    assert torch.equal(shrunk[1], boxes[1])


def test_ranks_keep_one_average():
    class Other(type(ALONE)):
        def mean(self, values):
            return (values + 10) / 2

    model = Finder()
    one = teacher(model)
    one.follow(model, 1000, Other())
    assert one.model.mean.item() == pytest.approx(0.1 * 5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], r"unlabelled: expected .*a folder.*got nowhere"),
        (["stream"], r"unlabelled: expected pictures that can be counted, got stream"),
        (["HERE", "synthetic"], r"unlabelled: synthetic cannot be mixed"),
        (["HERE", "HERE/../HERE"], r"unlabelled: expected each data set once"),
    ],
)
def test_what_cannot_be_opened_is_named(tmp_path, words, message):
    folder = tmp_path / "HERE"
    folder.mkdir()
    with pytest.raises(ValueError, match=message):
        check_unlabelled(options(unlabelled=[word.replace("HERE", str(folder), 1) for word in words]))


@pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="fakes CUDA tensors, which a CPU build has not")
def test_no_lesson_waits_for_the_device(monkeypatch):
    class Network(torch.nn.Sequential):
        def __init__(self):
            super().__init__(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.AdaptiveAvgPool2d(1))

    def predict(model, images):
        return model(images).flatten(1), torch.ones(len(images), 2, device=images.device)

    with FakeTensorMode(allow_non_fake_inputs=True), Copies() as copies:
        with torch.device("cuda"):
            model, other = Network(), Network()
        monkeypatch.setattr(_consistency.copy, "deepcopy", lambda _: other)  # fake tensors cannot be copied
        one = teacher(model, device="cuda", jitter=[0.5, 0.1, 0.5, 0.01])
        batch = Boxed(torch.zeros(4, 3, 64, 64, dtype=torch.uint8), torch.rand(4, 4))
        copies.waiting.clear()  # to build the model waits
        taught = one.teach(batch, predict, 1.0)
        assert taught.loss(predict(model, taught.images)[0]).device.type == "cuda"
        one.follow(model, 1000)
        assert not copies.waiting, copies.waiting[0]
