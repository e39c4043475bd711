"""The plan of ``reproduce.py``: the rows of its tables, and which pieces they need, as functions of what is known."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from statistics import mean

from real_images.pieces import FineTune, Given, Piece, Pretrain, Results, Start, Supervised
from real_images.sets import PICTURES, RENDERED, VIDEO, Labelled
from real_images.sizes import Preset

METHODS = ("simclr", "peclr", "exact")
BEST = "best"


@dataclass(frozen=True)
class Row:
    """A row of the tables.

    Args:
        name: Its name.
        start: What fine-tuning starts from: one of ``METHODS``, ``BEST`` (the best of them), ``none``, ``rendered``,
            ``supervised`` or ``shipped``.
        consistent: Whether fine-tuning also learns from pictures without labels.
        hands: Whether it is for sets that show hands.
    """

    name: str
    start: str
    consistent: bool = False
    hands: bool = False


ROWS = (
    Row("scratch", "none"),
    *(Row(method, method) for method in METHODS),
    Row("consistency", "none", consistent=True),
    Row("best + consistency", BEST, consistent=True),
    Row("rendered", "rendered", hands=True),
    Row("supervised on rendered", "supervised", hands=True),
    Row("shipped", "shipped", hands=True),
)
"""All rows: scratch is what the others are compared with."""


@dataclass(frozen=True)
class Plan:
    """Which pieces a study needs.

    Settings are chosen with one seed, by the validation errors of fine-tunings. No test error takes part.

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
            kept = [row for row in kept if row.start != "shipped"]
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
            data = self.unlabelled(task)
            return [Pretrain(row.start, data, size, task.groups, rate, 0) for rate in preset.rates]
        return [Given("none" if row.start == "none" else preset.shipped)]

    def candidates(self, task: Labelled, row: Row, done: Results) -> list[FineTune]:
        """List the fine-tunings, with the seed 0, that choose the settings of a row."""
        beside = self.alike(task) if row.consistent else ()
        return [
            FineTune(task.name, task.chosen_at, rate, 0, start, beside)
            for start in self.starts(task, row, done)
            for rate in self.preset.tune_rates
        ]

    def chosen(self, task: Labelled, row: Row, done: Results) -> FineTune | None:
        """Choose the candidate with the least validation error. It is None if a candidate is not done yet."""
        runs = self.candidates(task, row, done)
        if not runs or any(run.key not in done for run in runs):
            return None
        return min(runs, key=lambda run: float(done[run.key]["validation"]))

    def runs(self, task: Labelled, row: Row, share: float, done: Results) -> list[FineTune]:
        """List the fine-tunings of a row with all seeds. The list is empty while its settings are unknown."""
        chosen = self.chosen(task, row, done)
        if chosen is None:
            return []
        return [
            replace(chosen, share=share, seed=seed, start=self._with_seed(chosen.start, seed))
            for seed in task.seeds(self.preset)
        ]

    def _with_seed(self, start: Start, seed: int) -> Start:
        # Sets with more seeds than others share the encoders of the first ones.
        return start if isinstance(start, Given) else replace(start, seed=seed % self.preset.seeds)

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
        missing = (run for run in self._wanted(done) if run.key not in done)
        return list(dict.fromkeys(self._first(run, done, lost) for run in missing))

    def _first(self, run: FineTune, done: Results, lost: AbstractSet[str]) -> Piece:
        start = run.start
        if isinstance(start, Given) or (start.key in done and start.key not in lost):
            return run
        return start

    def _wanted(self, done: Results) -> Iterator[FineTune]:
        rows = [(task, row) for task in self.sets for row in self.rows(task)]
        for task, row in rows:
            yield from self.candidates(task, row, done)
        for task, row in rows:
            yield from self.runs(task, row, task.chosen_at, done)
        for task, row in rows:
            for share in reversed(task.kept_shares(self.preset)):
                yield from self.runs(task, row, share, done)

    def finished(self, done: Results) -> list[Piece]:
        """List the pieces of this study that are done."""
        runs = list(dict.fromkeys(self._wanted(done)))
        starts = [run.start for run in runs if not isinstance(run.start, Given)]
        return [piece for piece in dict.fromkeys([*starts, *runs]) if piece.key in done]

    def all_pieces(self) -> list[Piece]:
        """List the pieces of a whole study, as if the first candidate were always the best.

        Their number does not depend on what is chosen, as long as it is chosen once for each row.
        """
        done: dict[str, dict[str, float]] = {}
        found: list[Piece] = []
        while todo := self.todo(done):
            found += todo
            done |= {piece.key: {"validation": 0.0} for piece in todo}
        return found


def extras_of(pictures: bool, videos: frozenset[str]) -> frozenset[str]:
    """Name what is given besides sets with labels.

    Args:
        pictures: Whether ``PICTURES`` is given.
        videos: The names of the sets that have videos.
    """
    return frozenset({PICTURES} if pictures else ()) | {f"{name} video" for name in videos}
