"""The plan of ``reproduce.py``: the rows of its tables, and which pieces they need, as functions of what is known."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import chain
from statistics import mean

from real_images.pieces import FineTune, Given, Piece, Pretrain, Results, Start, Supervised
from real_images.sets import PICTURES, RENDERED, VIDEO, Labelled
from real_images.sizes import Preset

METHODS = ("simclr", "peclr", "exact")
BEST = "best"

LONGER = 3
"""How many times as many steps a control has, so that it gets more time than pre-training or consistency takes."""


@dataclass(frozen=True)
class Row:
    """A row of the tables.

    Args:
        name: Its name.
        start: What fine-tuning starts from: one of ``METHODS``, ``BEST`` (the best of them), ``none``, ``rendered``,
            ``supervised``, or ``shipped`` and the end of a name of ``equicon.list_pretrained``.
        consistent: Whether fine-tuning also learns from pictures without labels.
        hands: Whether it is for sets that show hands.
        times: The steps of fine-tuning, as a multiple of those of the other rows.
        ours: Whether it may be the best of ours.
        first: Whether its runs at about a tenth of the labels come before those of the other rows.
        once: Whether it is for about a tenth of the labels only.
    """

    name: str
    start: str
    consistent: bool = False
    hands: bool = False
    times: int = 1
    ours: bool = False
    first: bool = False
    once: bool = False


ROWS = (
    Row("scratch", "none", first=True),
    Row("scratch, longer", "none", hands=True, times=LONGER, once=True),
    Row("simclr", "simclr", first=True, once=True),
    Row("peclr", "peclr", ours=True, first=True, once=True),
    Row("exact", "exact", ours=True, first=True),
    Row("consistency", "none", consistent=True, ours=True, first=True),
    Row("best + consistency", BEST, consistent=True, ours=True),
    Row("rendered", "rendered", hands=True, ours=True, once=True),
    Row("supervised on rendered", "supervised", hands=True, once=True),
    Row("shipped", "shipped-exact", hands=True, ours=True, once=True),
    Row("shipped 2.5D model", "shipped-pose", hands=True, ours=True),
)
"""All rows. The others are compared with the first two."""


@dataclass(frozen=True)
class Plan:
    """Which pieces a study needs.

    Settings are chosen with one seed, by the validation errors of fine-tunings. No test error takes part.
    The pieces come in blocks, so that a study that is stopped early has told as much as it could.

    Args:
        sets: The sets with labels that are given.
        extras: The names of what is given besides: ``PICTURES``, and ``SET video`` for each set with videos.
        preset: The sizes of the study.
    """

    sets: tuple[Labelled, ...]
    extras: frozenset[str]
    preset: Preset

    def rows(self, task: Labelled) -> list[Row]:
        """List the rows of a set. Those that need pictures which are not given are left out."""
        kept = [row for row in ROWS if not self.preset.rows or row.name in self.preset.rows]
        if not task.hands:
            kept = [row for row in kept if not row.hands]
        if not self.preset.shipped:
            kept = [row for row in kept if not row.start.startswith("shipped")]
        if not self.unlabelled(task):
            kept = [row for row in kept if row.start not in (*METHODS, BEST)]
        if not self.alike(task):
            kept = [row for row in kept if not row.consistent]
        return kept

    def unlabelled(self, task: Labelled) -> tuple[str, ...]:
        """List the pictures to pre-train on that are given."""
        return self._given(task, task.unlabelled)

    def alike(self, task: Labelled) -> tuple[str, ...]:
        """List the pictures without labels for fine-tuning that are given."""
        return self._given(task, task.alike)

    def _given(self, task: Labelled, wanted: tuple[str, ...]) -> tuple[str, ...]:
        names = [f"{task.name} video" if name == VIDEO else name for name in wanted]
        return tuple(name for name in names if name == task.name or name in self.extras)

    def starts(self, task: Labelled, row: Row, done: Results) -> list[Start]:
        """List what a row can start from, with the seed 0. The list is empty while the best method is unknown."""
        preset, size = self.preset, task.size(self.preset)
        if row.start == BEST:
            method = self.best_method(task, done)
            chosen = self.chosen(task, method, done) if method else None
            return [chosen.start] if chosen else []
        if row.start == "rendered":
            return [Pretrain("exact", (RENDERED,), size, 2, preset.rates[0], 0)]
        if row.start == "supervised":
            return [Supervised(size, 0)]
        if row.start in METHODS:
            data, rates = self.unlabelled(task), preset.rates if task.hands else preset.rates[:1]
            return [Pretrain(row.start, data, size, task.groups, rate, 0) for rate in rates]
        return [Given("none" if row.start == "none" else preset.shipped + row.start.removeprefix("shipped"))]

    def candidates(self, task: Labelled, row: Row, done: Results) -> list[FineTune]:
        """List the fine-tunings, with the seed 0, that choose the settings of a row. They are shorter than its runs.

        Those at the middle rate come first: they choose what a row starts from. The best of these is then tried at the
        other rates, which are listed as soon as it is known.
        """
        beside, rates = self.alike(task) if row.consistent else (), self.preset.tune_rates
        middle = rates[len(rates) // 2]
        begun = [
            FineTune(task.name, task.chosen_at, middle, 0, start, self.preset.choose_steps, beside)
            for start in self.starts(task, row, done)
        ]
        best = _least(begun, done) if len(begun) > 1 else next(iter(begun), None)
        return [*begun, *(replace(best, rate=rate) for rate in rates if rate != middle)] if best else begun

    def chosen(self, task: Labelled, row: Row, done: Results) -> FineTune | None:
        """Choose the candidate with the least validation error. It is None if a candidate is not done yet."""
        return _least(self.candidates(task, row, done), done)

    def runs(self, task: Labelled, row: Row, share: float, done: Results) -> list[FineTune]:
        """List the fine-tunings of a row with all seeds.

        The list is empty while its settings are unknown, and if the row is not for this share.
        """
        chosen = self.chosen(task, row, done)
        if chosen is None or (row.once and share != task.chosen_at):
            return []
        longer = replace(chosen, share=share, steps=row.times * self.preset.tune_steps)
        return [
            replace(longer, seed=seed, start=self._with_seed(task, chosen.start, seed))
            for seed in task.seeds(self.preset, share)
        ]

    def _with_seed(self, task: Labelled, start: Start, seed: int) -> Start:
        if isinstance(start, Given):
            return start
        return replace(start, seed=seed % self.preset.seeds if task.few else seed)  # test parts may share encoders

    def best_method(self, task: Labelled, done: Results) -> Row | None:
        """Choose the method with the least mean validation error over all seeds; None while one is not done."""
        errors: dict[Row, float] = {}
        for row in self.rows(task):
            if row.start in METHODS:
                runs = self.runs(task, row, task.chosen_at, done)
                if not runs or any(run.key not in done for run in runs):
                    return None
                errors[row] = mean(float(done[run.key]["validation"]) for run in runs)
        return min(errors, key=lambda row: errors[row]) if errors else None

    def todo(self, done: Results, lost: AbstractSet[str] = frozenset()) -> list[Piece]:
        """List the pieces that can run now, in the order in which they should.

        Args:
            done: What is known.
            lost: The keys of pieces that are done, but whose weights are gone. They are made again if a piece that is
                not done starts from them.
        """
        missing = (run for run in chain(*self.blocks(done).values()) if run.key not in done)
        return list(dict.fromkeys(self._first(run, done, lost) for run in missing))

    def _first(self, run: FineTune, done: Results, lost: AbstractSet[str]) -> Piece:
        start = run.start
        if isinstance(start, Given) or (start.key in done and start.key not in lost):
            return run
        return start

    def blocks(self, done: Results) -> dict[str, list[FineTune]]:
        """List the fine-tunings that are known, in the order in which they should run, by the name of their block."""
        hands = [task for task in self.sets if task.hands]
        found: dict[str, list[FineTune]] = {}
        if hands:
            names, rows = " and ".join(task.name for task in hands), self._pairs(hands)
            main = [(task, row) for task, row in rows if row.first]
            rest = [(task, row) for task, row in rows if not row.first]
            found[f"{names}, a tenth of the labels, the main rows"] = [*self._tenth(main, done)]
            found[f"{names}, a tenth of the labels, the other rows"] = [*self._tenth(rest, done)]
            found[f"{names}, the other shares"] = [*self._others(rows, done)]
        for task in self.sets:
            if not task.hands:
                rows = self._pairs([task])
                found[task.name] = [*self._tenth(rows, done), *self._others(rows, done)]
        return found

    def _pairs(self, sets: Sequence[Labelled]) -> list[tuple[Labelled, Row]]:
        return [(task, row) for task in sets for row in self.rows(task)]

    def _tenth(self, rows: Sequence[tuple[Labelled, Row]], done: Results) -> Iterator[FineTune]:
        for task, row in rows:
            yield from self.candidates(task, row, done)
        runs = [run for task, row in rows for run in self.runs(task, row, task.chosen_at, done)]
        yield from sorted(runs, key=lambda run: run.seed)

    def _others(self, rows: Sequence[tuple[Labelled, Row]], done: Results) -> Iterator[FineTune]:
        runs = [
            run
            for task, row in rows
            for share in task.kept_shares(self.preset)
            if share != task.chosen_at
            for run in self.runs(task, row, share, done)
        ]
        yield from sorted(runs, key=lambda run: run.seed)

    def finished(self, done: Results) -> list[Piece]:
        """List the pieces of this study that are done."""
        return [*chain(*self.finished_blocks(done).values())]

    def finished_blocks(self, done: Results) -> dict[str, list[Piece]]:
        """List the pieces of this study that are done, by the name of their block."""
        found: dict[str, list[Piece]] = {}
        seen: set[str] = set()
        for name, runs in self.blocks(done).items():
            starts = [run.start for run in runs if not isinstance(run.start, Given)]
            pieces = [piece for piece in dict.fromkeys([*starts, *runs]) if piece.key in done and piece.key not in seen]
            seen |= {piece.key for piece in pieces}
            found[name] = pieces
        return found

    def whole(self) -> dict[str, list[Piece]]:
        """List the pieces of a whole study by block, as if the first candidate were always the best.

        Their number does not depend on what is chosen, as long as it is chosen once for each row.
        """
        done: dict[str, dict[str, float]] = {}
        found: dict[str, list[Piece]] = {}
        while True:
            begun: dict[str, dict[str, float]] = {}
            for name, runs in self.blocks(done).items():
                firsts = dict.fromkeys(self._first(run, done, frozenset()) for run in runs if run.key not in done)
                pieces = [piece for piece in firsts if piece.key not in begun]
                found.setdefault(name, []).extend(pieces)
                begun |= {piece.key: {"validation": 0.0} for piece in pieces}
            if not begun:
                return found
            done |= begun

    def all_pieces(self) -> list[Piece]:
        """List the pieces of a whole study, as ``whole`` does."""
        return [*chain(*self.whole().values())]


def _least(runs: Sequence[FineTune], done: Results) -> FineTune | None:
    """Choose the run with the least validation error. It is None if there is none, or one is not done yet."""
    if not runs or any(run.key not in done for run in runs):
        return None
    return min(runs, key=lambda run: float(done[run.key]["validation"]))


def extras_of(pictures: bool, videos: frozenset[str]) -> frozenset[str]:
    """Name what is given besides sets with labels.

    Args:
        pictures: Whether ``PICTURES`` is given.
        videos: The names of the sets that have videos.
    """
    return frozenset({PICTURES} if pictures else ()) | {f"{name} video" for name in videos}
