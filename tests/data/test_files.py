import errno

import pytest

from equicon.data._files import write_text, write_whole


def test_a_text_is_written_in_utf_8_and_its_folders_are_made(tmp_path):
    write_text(tmp_path / "new" / "file", "± 1\n")
    assert (tmp_path / "new" / "file").read_bytes() == b"\xc2\xb1 1\n"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    def fail(file):
        file.write(b"new")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match=r"file could not be written: .*No space left on device"):
        write_whole(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
