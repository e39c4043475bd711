import pytest
from torch import nn

from equicon._averages.evaluation import evaluating


@pytest.mark.parametrize("fails", [False, True])
def test_modules_evaluate_meanwhile_and_each_is_back_in_its_own_mode(fails):
    model, other = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout()), nn.Dropout()
    model[0].eval()
    other.eval()
    try:
        with evaluating(model, len, other):
            assert not any(module.training for module in (*model.modules(), other))
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert [module.training for module in model.modules()] == [True, False, True]
    assert not other.training
