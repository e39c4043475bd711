"""Small sets of pictures in all layouts."""

import sys
from pathlib import Path

import pytest

# Where the repository's root is on the path too, examples.real_images is the study and not this folder.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    from studying import write_sets

    return write_sets(tmp_path_factory.mktemp("sets"))
