"""How all pictures of the gallery look: panels in a grid, captions, skeletons, grids and outlines."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from PIL import Image
from torch import Tensor

WIDTH = 916  # pixels of a picture; all lengths and letters grow and shrink with it
FINGERS = ("#E69F00", "#F0E442", "#56B4E9", "#00B884", "#E078B8")  # after Okabe and Ito, for eyes of all kinds
VIEWS = ("#0072B2", "#D55E00", "#008060")  # views 1, 2 and 3
INK, FAINT = "#222222", "#999999"
_MARGIN, _GAP, _TITLE, _LINE = 8.0, 12.0, 22.0, 15.5


@dataclass(frozen=True)
class Sheet:
    """A grid of square panels, each with a title above it and a few lines of caption below.

    Args:
        figure: What is drawn on.
        columns: How many panels to a row.
        scale: The figure's width over ``WIDTH``.
        lines: How many lines of caption the panels of each row have.
    """

    figure: Figure
    columns: int
    scale: float
    lines: tuple[int, ...]

    @classmethod
    def of(cls, columns: int, *lines: int, width: int) -> "Sheet":
        """Make an empty sheet, with a row for each number of lines."""
        scale = width / WIDTH
        sheet = cls(Figure(dpi=150 * scale), columns, scale, lines)
        height = sheet._top(len(lines)) - sheet._px(_GAP) + sheet._px(_MARGIN)
        sheet.figure.set_size_inches(width / sheet.figure.dpi, height / sheet.figure.dpi)
        FigureCanvasAgg(sheet.figure)
        return sheet

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a panel in pixels: a picture of this size is shown pixel by pixel."""
        free = WIDTH * self.scale - 2 * self._px(_MARGIN) - (self.columns - 1) * self._px(_GAP)
        return (int(free / self.columns), int(free / self.columns))

    def _px(self, length: float) -> int:
        return round(length * self.scale)

    def _top(self, row: int) -> int:
        """Tell where a row begins, in pixels from the top."""
        above = sum(self.size[0] + self._px(_TITLE + _LINE * lines + _GAP) for lines in self.lines[:row])
        return self._px(_MARGIN / 2) + above

    def panel(self, row: int, column: int, title: str = "", caption: str = "", color: str = INK) -> Axes:
        """Make the axes of one panel; a caption in backticks, and a line in brackets, is written as code is."""
        width, height = (self.figure.get_size_inches() * self.figure.dpi).round()
        side = self.size[0]
        left = self._px(_MARGIN) + column * (side + self._px(_GAP))
        top = self._top(row) + self._px(_TITLE)
        axes = self.figure.add_axes((left / width, 1 - (top + side) / height, side / width, side / height))
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(edgecolor=color, linewidth=0.5 if color in (INK, FAINT) else 2.2)
        x, y = left / width, 1 - (top - self._px(6)) / height
        self.figure.text(x, y, title, size=7.5, weight="bold", color=color, family="DejaVu Sans")
        code = caption.startswith("`")
        for i, line in enumerate(caption.strip("`").splitlines()):
            y = 1 - (top + side + self._px(_LINE * i + 15)) / height
            family = "DejaVu Sans Mono" if code or line.startswith("[") else "DejaVu Sans"
            self.figure.text(x, y, line, size=6.4, color=INK, family=family)
        return axes

    def show(self, row: int, column: int, image: Tensor, title: str = "", caption: str = "", color: str = INK) -> Axes:
        """Show one picture (3, h, w) in [0, 1], in whose pixels the axes then are."""
        axes = self.panel(row, column, title, caption, color)
        axes.imshow(image.detach().clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest")
        height, width = image.shape[-2:]
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        return axes

    def plane(self, row: int, column: int, reach: float, title: str = "", caption: str = "") -> Axes:
        """Make a panel that shows the plane from −reach to reach, x to the right and y down."""
        axes = self.panel(row, column, title, caption)
        axes.axhline(0, color=FAINT, linewidth=0.4)
        axes.axvline(0, color=FAINT, linewidth=0.4)
        axes.set(xlim=(-reach, reach), ylim=(reach, -reach))
        return axes

    def save(self, path: Path) -> None:
        """Write a PNG of 224 colours, which is a quarter as large as one of all, and holds no date and no version."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", facecolor="white", metadata={"Software": None})
        picture = Image.open(buffer).convert("RGB")
        few = picture.quantize(224, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
        few.save(path, optimize=True)


def halo(width: float) -> list[Any]:
    """Make the path effects that let a line stand out from any picture."""
    return [Stroke(linewidth=width, foreground="white"), Normal()]


def skeleton(axes: Axes, xy: Tensor, color: str | None = None, *, width: float = 1.3) -> None:
    """Draw a hand (21, 2): a line from the wrist along each finger, and its joints as dots."""
    for finger, shade in enumerate(FINGERS):
        line = xy[[0, *range(4 * finger + 1, 4 * finger + 5)]]
        axes.plot(line[:, 0], line[:, 1], color=color or shade, linewidth=width, path_effects=halo(width + 1.1))
    joints(axes, xy, color)


def joints(axes: Axes, xy: Tensor, color: str | None = None) -> None:
    """Draw the joints (21, 2) alone, as dots."""
    shades = [INK, *(shade for shade in FINGERS for _ in range(4))]
    axes.scatter(xy[:, 0], xy[:, 1], 7.5, color or shades, edgecolors="white", linewidths=0.5, zorder=3)


def outline(axes: Axes, corners: Tensor, color: str, linestyle: str = "-", width: float = 1.5) -> None:
    """Draw a polygon (N, 2)."""
    closed = torch.cat([corners, corners[:1]])
    effects = halo(width + 0.9) if linestyle == "-" else []
    axes.plot(closed[:, 0], closed[:, 1], color=color, linestyle=linestyle, linewidth=width, path_effects=effects)


def lattice(axes: Axes, lines: Tensor) -> None:
    """Draw lines (N, 2, 2), each from one point to another, faintly."""
    axes.add_collection(LineCollection(list(lines.numpy()), colors="white", linewidths=0.7, alpha=0.7))


def signed(number: float, places: int = 0) -> str:
    """Write a number with its sign, which 0 has not."""
    text = f"{number:+.{places}f}".replace("-", "−")
    return text if text.strip("+−0.") else text[1:]


def numbers(matrix: Tensor, form: str = "5.2f") -> str:
    """Write a matrix as lines of text."""
    zero = f"{-0.0:{form}}"
    cells = [[f"{value:{form}}" for value in row] for row in matrix.tolist()]
    cells = [[zero.replace("-", " ") if cell == zero else cell.replace("-", "−") for cell in row] for row in cells]
    return "\n".join(f"[{' '.join(row)}]" for row in cells)
