import threading

import pytest
import torch
from torch.autograd.forward_ad import dual_level, make_dual, unpack_dual
from torch.testing import assert_close

import equicon as eq
from equicon import _exact
from equicon._exact import exact_products, product, rounded_to

A, B = (torch.rand(256, 256, generator=torch.Generator().manual_seed(seed)) for seed in range(2))
CPU = torch.device("cpu")


@pytest.fixture(params=["highest", "high", "medium"])
def setting(request):
    torch.set_float32_matmul_precision(request.param)
    return request.param


def test_says_what_products_are_rounded_to(setting):
    assert rounded_to(CPU) == {"highest": "", "high": "tf32", "medium": "bf16"}[setting]
    assert rounded_to(torch.device("cuda")) == ("" if setting == "highest" else "tf32")


def test_no_setting_rounds_on_mps_which_has_no_float64_to_avoid_it(setting):
    assert rounded_to(torch.device("mps")) == ""


def test_products_are_exact_inside_and_what_they_were_outside(setting):
    before, expected = A @ B, A.double() @ B.double()
    with exact_products():
        assert rounded_to(CPU) == rounded_to(torch.device("cuda")) == ""
        with exact_products():
            pass
        assert_close((A @ B).double(), expected, rtol=1e-5, atol=0)
    assert torch.get_float32_matmul_precision() == setting
    assert torch.equal(A @ B, before)
    with pytest.raises(ZeroDivisionError), exact_products():
        _ = 1 / 0
    assert torch.get_float32_matmul_precision() == setting


def test_the_last_thread_puts_it_back(setting):
    inside, leave = threading.Event(), threading.Event()

    def work():
        with exact_products():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=work)
    before = rounded_to(CPU)
    with exact_products():
        thread.start()
        inside.wait()
    assert rounded_to(CPU) == ""  # the other is not done
    leave.set()
    thread.join()
    assert rounded_to(CPU) == before


def test_what_is_set_for_all_backends_still_is_afterwards():
    torch.backends.mkldnn.matmul.fp32_precision = "none"
    try:
        torch.backends.fp32_precision = "bf16"
        with exact_products():
            assert rounded_to(CPU) == ""
        assert rounded_to(CPU) == "bf16"
        torch.backends.fp32_precision = "ieee"
        assert rounded_to(CPU) == ""
    finally:
        torch.backends.fp32_precision = "none"


def first_and_second(multiply, a, b):
    a, b = (x.detach().requires_grad_() for x in (a, b))
    value = multiply(a, b).square().mean()
    first = torch.autograd.grad(value, (a, b), create_graph=True)
    return [value, *first, *torch.autograd.grad(sum(x.square().sum() for x in first), (a, b))]


@pytest.mark.parametrize("shape", [(), (2,)], ids=["matrices", "batches"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_product_and_its_gradients_are_exact(shape, compiled, setting):
    a, b = A.expand(*shape, -1, -1), B.expand(*shape, -1, -1)
    called = torch.compile(product, fullgraph=True, backend="aot_eager") if compiled else product
    expected = [x.float() for x in first_and_second(torch.matmul, a.double(), b.double())]
    if compiled:  # a compiled function has no second derivative
        a, b = (x.detach().requires_grad_() for x in (a, b))
        value = called(a, b).square().mean()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = [value, *torch.autograd.grad(value, (a, b))]
    else:
        with torch.autocast("cpu", dtype=torch.bfloat16):  # but in the backward pass alone, it would reach a product
            found = first_and_second(called, a, b)
    for value, wanted in zip(found, expected, strict=False):
        assert_close(value, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max().detach()))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning", "ignore:.*torch.jit.*:DeprecationWarning")  # torch's
def test_a_product_under_function_transforms_is_exact(setting):
    a, b = A[:64], B[:, :64]
    wanted = (a.double() @ b.double()).float()
    close = {"rtol": 1e-5, "atol": 1e-5}
    assert_close(torch.vmap(product, (0, None))(a[:, None], b)[:, 0], wanted, **close)
    assert_close(torch.func.grad(lambda x: product(x, b).sum())(a), b.sum(1).expand_as(a), **close)
    with dual_level():
        found = unpack_dual(product(make_dual(a, torch.ones_like(a)), b))
    assert_close(found.primal, wanted, **close)
    assert_close(found.tangent, b.sum(0).expand_as(wanted), **close)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("chunk_size", [None, 128], ids=["dense", "blocks"])
def test_a_loss_at_a_low_temperature_is_exact(compiled, chunk_size, setting):
    criterion = eq.NTXentLoss(0.01, chunk_size=chunk_size)
    z = [x - 0.5 for x in (A, A + 0.1 * B)]
    expected = eq.nt_xent(*(x.double() for x in z), 0.01)
    called = torch.compile(criterion, fullgraph=True, backend="aot_eager") if compiled else criterion
    assert_close(called(*z), expected.float(), rtol=1e-5, atol=1e-7)


def test_nothing_is_left_inside():
    assert _exact._inside == 0
