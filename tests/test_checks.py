import pytest
import torch

from equicon import _checks as checks


def test_messages_name_the_argument_what_was_expected_what_came_and_the_fix():
    error = checks.value_error("size", "two numbers", torch.zeros(2, 3), "Do this.")
    assert str(error) == "size: expected two numbers, got a tensor of shape (2, 3) and type torch.float32. Do this."
    assert "int 3" in str(checks.type_error("size", "a pair", 3))
    assert len(checks.describe("x" * 1000)) < 100


def test_messages_can_be_printed_whatever_a_file_is_named():
    error = checks.value_error("root", "caf\udce9", "\udcff", "\ud800 é")
    assert str(error) == r"root: expected caf\udce9, got \udcff. \ud800 é"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_are_finite(bad):
    with pytest.raises(ValueError, match="p: expected a number"):
        checks.check_number("p", bad)


def test_a_whole_number_may_be_no_float():
    with pytest.raises(ValueError, match="p: expected a number"):
        checks.check_number("p", 10**400)


def test_factors_neither_vanish_nor_overflow():
    for good in (1e-4, 1, 1e4):
        assert checks.check_factor("p", good) == good
        assert checks.check_factors("p", (good, good)) == (good, good)
    for bad in (0, -0.0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="p: expected a number"):
            checks.check_factor("p", bad)
    for bad in (1e-45, 9e-5, 1.1e4, 1e30):
        with pytest.raises(ValueError, match=r"p: expected a number in \[0\.0001, 10000\]"):
            checks.check_factor("p", bad)
        with pytest.raises(ValueError, match=r"p: expected a number in \[0\.0001, 10000\]"):
            checks.check_factors("p", (bad, bad))
    with pytest.raises(ValueError, match="p: expected lowest <= highest"):
        checks.check_factors("p", (2.0, 1.0))


def test_values_above_0_are_looked_at_on_the_host_alone():
    checks.check_positive_values("v", torch.tensor([1e-30, 1.0, 3e38]))
    checks.check_positive_values("v", torch.zeros(2, device="meta"))
    for bad in (0.0, -1.0, 1e-45, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"v: expected finite numbers above 0, got .* at index 2"):
            checks.check_positive_values("v", torch.tensor([[1.0, 2.0], [bad, 3.0]]))


@pytest.mark.parametrize("bad", ["1", None, True, torch.tensor(1.0), [1]])
def test_numbers_are_numbers(bad):
    with pytest.raises(TypeError, match="p: expected a number"):
        checks.check_number("p", bad)


def test_an_index_may_count_from_the_end():
    assert [checks.check_index(i, 3) for i in (0, 2, -1, -3, torch.tensor(1))] == [0, 2, 2, 0, 1]
    for bad in (3, -4):
        with pytest.raises(IndexError, match=rf"index: expected a whole number in \[-3, 2\], got {bad}"):
            checks.check_index(bad, 3)
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        checks.check_index(0.5, 3)


def test_ranges():
    assert checks.check_range("r", [0, 1]) == (0.0, 1.0)
    with pytest.raises(ValueError, match="lowest <= highest"):
        checks.check_range("r", (1, 0))
    for bad in (1, (1,), (1, 2, 3), "ab"):
        with pytest.raises(TypeError, match="r: expected a pair"):
            checks.check_range("r", bad)
    with pytest.raises(ValueError, match="of at least 0"):
        checks.check_range("r", (-1, 1), low=0)


@pytest.mark.parametrize("bad", [(0, 4), (4, -1)])
def test_sizes_are_positive(bad):
    with pytest.raises(ValueError, match="size: expected a whole number of at least 1"):
        checks.check_size("size", bad)


@pytest.mark.parametrize("bad", [64, (64.0, 64.0), (64,), "64"])
def test_sizes_are_pairs_of_whole_numbers(bad):
    with pytest.raises(TypeError, match="size: expected"):
        checks.check_size("size", bad)


def test_images():
    with pytest.raises(ValueError, match=r"Add the batch dimension: images\[None\]"):
        checks.check_images(torch.rand(3, 8, 8))
    with pytest.raises(TypeError, match="uint8, or a floating type"):
        checks.check_images(torch.zeros(1, 3, 8, 8, dtype=torch.int64))
    with pytest.raises(TypeError, match="images: expected a tensor"):
        checks.check_images([1, 2])
    with pytest.raises(ValueError, match="at least one channel and one pixel"):
        checks.check_images(torch.zeros(1, 3, 0, 8))
    assert checks.check_images(torch.zeros(0, 3, 8, 8)).shape[0] == 0
