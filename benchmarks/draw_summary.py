"""Draw the chart of the benchmarks' page from the figures that the page shows.

python benchmarks/draw_summary.py --out docs/images/benchmarks.png

The figures are written as on the page, and name the section that they are taken from. Nothing is measured.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine

FIGURES = Path(__file__).parents[1] / "docs" / "results" / "benchmarks.json"
TEAL, GREY, DARK = "#0b7285", "#adb5bd", "#212529"


@dataclass(frozen=True)
class Panel:
    """Bars that are compared: figures as the page's section writes them, by the name of what was measured."""

    title: str
    unit: str
    section: str
    ours: str
    bars: dict[str, str]

    @property
    def values(self) -> list[float]:
        """The figures as numbers."""
        return [number(figure) for figure in self.bars.values()]


def number(figure: str) -> float:
    """Read a figure of the page: 1,554 has a comma between thousands."""
    return float(figure.replace(",", ""))


def read_panels(path: Path = FIGURES) -> list[Panel]:
    return [Panel(**panel) for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--figures", type=Path, default=FIGURES, help="the figures to draw")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks.png"), help="the picture to write")
    return parser.parse_args(argv)


def draw_panel(axis: Axes, panel: Panel) -> None:
    """Draw a bar for each figure, with it beside, and how many times ours it is."""
    ours = number(panel.bars[panel.ours])
    rows = range(len(panel.bars))
    axis.barh(rows, panel.values, color=[TEAL if name == panel.ours else GREY for name in panel.bars], height=0.72)
    for row, (name, figure) in enumerate(panel.bars.items()):
        said = f"{figure} {panel.unit}"
        if name != panel.ours:
            ratio = number(figure) / ours
            said = f"{ratio:.1f} × ({said})" if ratio < 10 else f"{ratio:.0f} × ({said})"
        axis.text(number(figure) + 0.04 * max(panel.values), row, said, va="center_baseline", fontsize=18, color=DARK)
    axis.set_yticks(rows, list(panel.bars), fontsize=18)
    axis.invert_yaxis()
    axis.set(xlim=(0, 2.25 * max(panel.values)), xticks=[])
    axis.set_title(panel.title, fontsize=19, loc="left", color=DARK, weight="bold", pad=8)
    axis.tick_params(length=0)
    axis.spines[["top", "right", "bottom"]].set_visible(False)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    panels = read_panels(args.figures)
    layout = ConstrainedLayoutEngine(hspace=0.09, h_pad=0.12, w_pad=0.12)
    figure, axes = plt.subplots(-(-len(panels) // 2), 2, figsize=(15, 6.2), layout=layout, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis, panel in zip(axes.flat, panels, strict=False):
        draw_panel(axis, panel)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=110, facecolor="white")
    plt.close(figure)
    print(f"drawn in {args.out}")


if __name__ == "__main__":
    main()
