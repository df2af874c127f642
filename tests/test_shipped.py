"""What ships: catalogues, and a first model for each."""

from __future__ import annotations

import pytest

from receiver import catalogue, registry
from receiver.errors import ModelError
from receiver.settings import SHIPPED_CATALOGUES, shipped_catalogue
from tests.workloads import WORKLOADS


@pytest.mark.parametrize("name", SHIPPED_CATALOGUES)
def test_each_catalogue_has_a_model_that_fits_it(name: str) -> None:
    of = catalogue.load(shipped_catalogue(name))
    assert registry.first_model(of).info.feature_names == of.feature_names
    assert registry.ships(registry.shipped_model(of.name).read_bytes(), of)


def test_a_catalogue_of_ones_own_needs_a_model_of_ones_own() -> None:
    with pytest.raises(
        ModelError, match=r"no model ships for the catalogue 'workload': train one, and name it with --model"
    ):
        registry.first_model(WORKLOADS)
    assert not registry.ships(b"a model", WORKLOADS)
