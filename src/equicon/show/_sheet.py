"""The figure of ``views``. This module imports matplotlib, so it is imported where a figure is made."""

import io
from typing import final

from matplotlib.figure import Figure


@final
class Sheet(Figure):
    """A figure of matplotlib that a notebook shows as a picture, also where pyplot is not used."""

    def _repr_png_(self) -> bytes:
        """Draw it as a PNG: notebooks call this for what a cell returns."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()
