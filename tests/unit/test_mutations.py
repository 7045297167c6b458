"""The protections that tests/mutations.py takes away are still there to be taken away."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutations import MUTATIONS, Mutation

import courier


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.fault}: {mutation.protection}")
def test_a_protection_is_where_it_is_looked_for(mutation: Mutation) -> None:
    assert mutation.old in (Path(courier.__file__).parent / mutation.file).read_text()
    assert (Path(__file__).parents[1] / mutation.test[0]).exists()
