import dataclasses

import pytest

from equicon.hands._rendered.domain import STUDIO, WILD, find_domain


def test_domains_are_found_by_name():
    assert find_domain("studio") is STUDIO
    assert find_domain("wild") is WILD
    for name in ("Wild", "", None, 1):
        with pytest.raises(ValueError, match="domain: expected one of studio, wild, got"):
            find_domain(name)


@pytest.mark.parametrize("domain", [STUDIO, WILD])
def test_ranges_ascend_and_probabilities_are_probabilities(domain):
    for field in dataclasses.fields(domain):
        value = getattr(domain, field.name)
        if field.type in ("Range", "tuple[float, float]") or (isinstance(value, tuple) and field.name != "backdrops"):
            assert value[0] <= value[1], field.name
        elif isinstance(value, float):
            assert 0 <= value <= 1, field.name


def test_streams_of_versions_stay_apart():
    assert 0 < STUDIO.stream < STUDIO.stream + 1000 < WILD.stream
