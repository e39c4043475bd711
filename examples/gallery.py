"""Draw the pictures of the gallery, docs/gallery.md: what each transform, padding mode, label and representation does.

.venv/bin/python examples/gallery.py --out docs/images/gallery
.venv/bin/python examples/gallery.py --only RandomRotation padding --out runs/gallery
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

if __name__ == "__main__":  # Ctrl-C while all that follows is imported ends it without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from equicon.training import need

need("matplotlib", "PIL")

from _gallery.fields import draw_fields
from _gallery.labels import draw_boxes, draw_clip_boxes, draw_intrinsics, draw_points
from _gallery.looks import draw_erasing, draw_jitter, draw_normalize
from _gallery.representations import WAYS, draw_heatmaps, draw_way, draw_ways_home
from _gallery.style import WIDTH, Sheet
from _gallery.transforms import ROWS, draw_path, draw_row, tell_crop, tell_similarity
from _gallery.views import draw_coverage, draw_frame, draw_inside, draw_interpolation, draw_padding, draw_preset

import equicon as eq
from equicon.training import Help, escape_stdout, interruptible, whole

# What shows a public name has that name.
PICTURES: dict[str, Callable[[int], Sheet]] = {
    **{name: partial(draw_row, row) for name, row in ROWS.items()},
    "path": draw_path,
    "ColorJitter": draw_jitter,
    "Normalize": draw_normalize,
    "RandomErasing": draw_erasing,
    "peclr": lambda width: draw_preset(eq.presets.peclr(), tell_similarity, width, (40, 54), margin=1.0),
    "simclr": lambda width: draw_preset(eq.presets.simclr(96), tell_crop, width, (5, 23), margin=1.5),
    "padding": draw_padding,
    "interpolation": draw_interpolation,
    "frame": draw_frame,
    "inside": draw_inside,
    "coverage": draw_coverage,
    "labels_points": draw_points,
    "labels_boxes": draw_boxes,
    "labels_clip_boxes": draw_clip_boxes,
    "labels_fields": draw_fields,
    "labels_intrinsics": draw_intrinsics,
    **{name: partial(draw_way, name) for name in WAYS},
    "Heatmaps": draw_heatmaps,
    "ways_home": draw_ways_home,
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], formatter_class=Help)
    parser.add_argument("--out", type=Path, default=Path("runs/gallery"), help="the folder to write to")
    parser.add_argument("--width", type=whole(160), default=WIDTH, help="of each picture [pixels]")
    parser.add_argument("--only", nargs="+", choices=sorted(PICTURES), metavar="NAME", help="which (default: all)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    escape_stdout()
    with interruptible():
        args = parse_args(argv)
        names = args.only or list(PICTURES)
        try:
            args.out.mkdir(parents=True, exist_ok=True)
            for name in names:
                PICTURES[name](args.width).save(args.out / f"{name}.png")
        except OSError as error:
            sys.exit(f"--out: {args.out} could not be written: {error}.")
        print(f"{len(names)} pictures in {args.out}")


if __name__ == "__main__":
    main()
