import os
from multiprocessing.reduction import ForkingPickler
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equicon.data._names import Names, look_alike, other_spelling


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


@given(st.text(min_size=1, max_size=9), st.sampled_from(["NFC", "NFD"]), st.sampled_from(["NFC", "NFD"]))
def test_names_look_alike_only_if_they_differ_and_have_one_normal_form(text, first, second):
    wanted, there = normalize(first, text), normalize(second, text)
    said = look_alike(["z", "\xf6", wanted], ["a", there, "\xfc"])
    assert bool(said) == (wanted != there)
    if said:
        assert f"written {there!a}, but you asked for {wanted!a}. Write names" in said
        assert said.isprintable() or not (wanted + there).isprintable()


def test_the_form_to_write_names_in_is_told():
    composed, apart = "caf\xe9.jpg", "cafe\u0301.jpg"
    assert look_alike([composed], [apart]).endswith(
        "Write names as the folder has them: unicodedata.normalize('NFD', name)."
    )
    assert look_alike([apart], [composed]).endswith("unicodedata.normalize('NFC', name).")
    mixed = f"{composed}{apart}"
    assert look_alike([normalize("NFC", mixed)], [mixed]).endswith("Write names as the folder has them.")


def test_names_that_are_no_text_look_like_no_others():
    assert look_alike([os.fsdecode(b"caf\xe9.jpg")], ["caf\xe9.jpg", "cafe\u0301.jpg"]) == ""


def test_a_path_is_looked_for_on_disk(tmp_path):
    (tmp_path / "e\u0301" / "sub").mkdir(parents=True)
    (tmp_path / "o\u0308.png").touch()
    assert "'\\xe9'" in other_spelling(tmp_path / "\xe9")
    assert "'\\xe9'" in other_spelling(tmp_path / "\xe9" / "sub" / "0.png")
    assert "'\\xf6.png'" in other_spelling(tmp_path / "\xf6.png")
    assert "" == other_spelling(tmp_path / "\xfc") == other_spelling(tmp_path / "u") == other_spelling(tmp_path)
    assert other_spelling(tmp_path / "o\u0308.png" / "\xe9") == ""  # below a file
