import json
from pathlib import Path

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")
pytest.importorskip("tensorboard", reason="a run needs TensorBoard")

from examples.loading import load
from studying import part

commands, layout, pieces, plans, sets, sizes = (
    part(name) for name in ("commands", "layout", "pieces", "plan", "sets", "sizes")
)
TOY = sizes.PRESETS["toy"]
SCRIPTS = {
    name: load(f"{name}.py")
    for name in (
        "pretrain_freihand",
        "finetune_keypoints",
        "finetune_freihand",
        "evaluate_keypoints",
        "evaluate_freihand",
    )
}
TRAINED = {"pretrain_freihand", "finetune_keypoints", "finetune_freihand"}


@pytest.fixture(scope="module")
def study(folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    for name, folder in folders.items():
        if name == sets.PICTURES:
            layout.group_pictures(folder, out)
        else:
            layout.part_set(sets.SETS[name], folder, out, sizes.PRESETS["cpu"])
    return commands.Study(out, sizes.PRESETS["cpu"], folders, "cpu")


@pytest.fixture(autouse=True)
def no_video(monkeypatch):
    counted = commands.count_items
    found = lambda data, *rest: 994 if data.endswith(".mp4") else counted(data, *rest)  # noqa: E731  # it is short
    monkeypatch.setattr(commands, "count_items", found)


def parsed(words):
    script = Path(words[1])
    assert script.is_file()
    return script.stem, SCRIPTS[script.stem].parse_args(words[2:])


def test_all_commands_are_understood_and_agree_on_steps_and_seeds(study):
    plan = plans.Plan(tuple(sets.SETS.values()), plans.extras_of(True, frozenset(study.videos)), study.preset)
    seen = set()
    outs = [study.folder(piece) for piece in plan.all_pieces()]
    assert len(set(outs)) == len(outs)
    for piece in plan.all_pieces():
        kind = (
            type(piece),
            getattr(piece, "on", ""),
            getattr(piece, "data", ""),
            bool(getattr(piece, "unlabelled", ())),
        )
        if kind in seen:
            continue
        seen.add(kind)
        for words in study.commands(piece):
            name, args = parsed(words)
            if name not in TRAINED:
                assert args.model == study.folder(piece) / "best.pt"
                assert "test" in args.data or piece.on == "real_joints"
                continue
            assert (args.seed, args.arch, args.resume) == (piece.seed, "quarter_resnet18", True)
            assert args.out == study.folder(piece)
            if isinstance(piece, pieces.FineTune):
                assert args.weights == study.weights(piece.start)
                assert args.fraction == pytest.approx(piece.share, rel=1e-5)
                assert "test" not in Path(args.data).name
                assert bool(args.unlabelled) == bool(piece.unlabelled)
    assert len(seen) == 5 + 1 + 2 * 4


def steps(study, piece):
    """Compute the steps of a run as the programs do."""
    _, args = parsed(study.commands(piece)[0])
    if isinstance(piece, pieces.Pretrain):
        count = study.count(tuple(args.data), piece.seed)
    else:
        count = study.there(sets.SETS[piece.on], piece.seed)
        count = count if piece.on == "real_joints" else max(count, 20 * args.batch_size)
    return round(args.epochs * (count // args.batch_size))


def test_epochs_amount_to_the_steps_that_are_asked_for(study, monkeypatch):
    monkeypatch.setattr(commands, "count_items", lambda data, holdout, seed: 500 + 13 * seed)
    for seed in range(3):
        for name in sets.SETS:
            piece = pieces.FineTune(name, 0.1, 1e-3, seed, pieces.Given("none"), 400 + seed)
            assert steps(study, piece) == 400 + seed
        piece = pieces.Pretrain("exact", ("real_hands",), 64, 2, 1e-3, seed)
        assert steps(study, piece) == study.preset.steps


def test_what_is_unlabelled_is_never_a_test_part(study):
    start = pieces.Given("none")
    mouse = pieces.FineTune("mirror_mouse", 0.3, 1e-3, 1, start, 5, ("mirror_mouse video",))
    hands = pieces.FineTune("ti1k", 0.1, 1e-3, 1, start, 5, ("ti1k", "real_hands"))
    assert parsed(study.commands(mouse)[0])[1].unlabelled == [str(study.videos["mirror_mouse"][0])]
    args = parsed(study.commands(hands)[0])[1]
    assert args.unlabelled == [args.data, str(study.out / "data" / "real_hands")]
    assert args.data == str(study.out / "data" / "ti1k" / "0" / "train")
    assert "/1/train" in study.commands(mouse)[0][3]


def test_results_are_read_from_what_the_programs_write(study):
    piece = pieces.FineTune("ti1k", 0.1, 1e-3, 0, pieces.Given("none"), 5)
    folder = study.folder(piece)
    (folder / "test").mkdir(parents=True)
    rows = {"this model": {"nme": 0.2, "pixels": 3.0}, "mean pose": {"nme": 0.5, "pixels": 6.0}}
    (folder / "result.json").write_text(json.dumps({"validation": {"10": rows, "20": {}}, "best": 10}))
    tested = {"count": 9, "model": {"pixels": 4.0}, "mean pose": {"pixels": 7.0}, "data": "/somewhere", "PCK": [1, 2]}
    (folder / "test" / "evaluation.json").write_text(json.dumps(tested))
    found = study.found(piece)
    assert (found["validation"], found["validated by"]) == (0.2, "nme")
    assert found["test"] == {"count": 9, "model": {"pixels": 4.0}, "mean pose": {"pixels": 7.0}}
    assert found["labels"] == round(0.1 * study.there(sets.SETS["ti1k"], 0))
