import os
from multiprocessing.reduction import ForkingPickler

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equicon.data._names import Names


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=9), min_size=1, max_size=20))
def test_each_name_comes_back(texts):
    if not any(texts):
        return
    names = Names(texts)
    assert len(names) == len(texts)
    assert [names[i] for i in range(len(texts))] == texts


def test_names_that_are_no_text_come_back():
    odd = [os.fsdecode(b"a\xff.jpg"), "é.png"]
    names = Names(odd)
    assert [names[0], names[1]] == odd


def test_a_name_past_the_last_raises():
    with pytest.raises(ValueError, match="not enough values"):
        Names(["a", "b"])[2]


def test_workers_share_them():
    # What goes to a process is a handle to shared memory, however many there are.
    assert len(ForkingPickler.dumps(Names([f"folder/{i:08d}.jpg" for i in range(10_000)]))) < 2_000
