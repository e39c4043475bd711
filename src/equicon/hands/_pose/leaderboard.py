"""The file that FreiHAND's leaderboard takes."""

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from equicon._checks import check_floating, first_bad, value_error
from equicon.data._files import write_whole
from equicon.hands._skeleton import VERTICES

_NAME = "pred.json"


def write_leaderboard(path: str | os.PathLike[str], joints: Tensor) -> None:
    """Write predictions as FreiHAND's leaderboard takes them, and check the file by reading it back.

    The zip holds ``pred.json``, a list of two: the joints, and the vertices of the mesh, which are all 0, since the
    model has no mesh. Numbers are written to their last bit. The file appears whole or not at all; folders are made.

    Convention: FreiHAND's joint order, the wrist for joint 0; camera frame x right, y down, z forward; hands in the
    order of the evaluation set.

    Args:
        path: The zip to write, usually ``pred.zip``.
        joints: (N, 21, 3) in metres, such as ``Pose.joints`` gives.

    Raises:
        TypeError: If the joints are not a floating tensor.
        ValueError: If their shape is wrong, there are none, or one is not finite.
        OSError: If the file cannot be written, or what was read back is not what was written.

    Examples:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/pred.zip"
        >>> write_leaderboard(path, torch.rand(3, 21, 3))

    Source: Zimmermann et al., ICCV 2019, and the evaluation program released with FreiHAND.
    """
    check_floating("joints", joints, "(N, 21, 3)", last=(21, 3), ndim=3)
    if len(joints) == 0:
        raise value_error("joints", "at least one hand", joints)
    joints = joints.detach().cpu().double()
    if (bad := first_bad(joints.isfinite().flatten(1).all(1))) is not None:
        raise value_error("joints", "finite numbers", f"NaN or infinity in hand {bad}")
    # The vertices are all equal: written once, since as Python's numbers they would take a gigabyte.
    mesh = json.dumps([[0.0, 0.0, 0.0]] * VERTICES)
    text = f"[{json.dumps(joints.tolist())}, [{', '.join([mesh] * len(joints))}]]"

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_NAME, text)

    write_whole(Path(path), write)
    check_leaderboard(Path(path), joints)


def check_leaderboard(path: Path, joints: Tensor) -> None:
    """Check that a file holds these joints (N, 21, 3) to the last bit, a mesh for each hand, and nothing else.

    Raises:
        OSError: If it does not, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            xyz, verts = json.loads(archive.read(_NAME))
        shapes = {(len(mesh), *{len(vertex) for vertex in mesh}) for mesh in verts}
        same = torch.equal(torch.tensor(xyz, dtype=torch.float64, device="cpu"), joints.double())
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, ValueError) as error:
        raise OSError(f"{path} is damaged: {error}") from error
    if names != [_NAME] or not same or len(verts) != len(xyz) or shapes != {(VERTICES, 3)}:
        raise OSError(f"{path}: what was read back is not what was written.")
