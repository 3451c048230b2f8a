"""Every op of `ml` has each of its facets: a meaning, and a way down. What lacks one is listed by name."""

from __future__ import annotations

import pytest
from ml_samples import OPS
from xdsl.ir import Operation
from xdsl.traits import IsTerminator

from xmlc.dialects.ml import ML
from xmlc.dialects.reference.interpreter import file_of, row_of
from xmlc.passes.decompose import DECOMPOSITIONS
from xmlc.passes.differentiate.pull_back import CONSTANT, GRADIENTS, UNDIFFERENTIATED, region_rows
from xmlc.passes.lower_ml import control, lower


def names(ops: set[type[Operation]]) -> list[str]:
    return sorted(op.name for op in ops)


TERMINATORS = {op for op in ML.operations if op.has_trait(IsTerminator)}
LOWERED = {*lower.LOWER, *control.REGIONS}


def test_every_op_has_reference_semantics() -> None:
    missing = {op for op in ML.operations if row_of(op) is None} - TERMINATORS
    assert not missing, f"ops without a row in xmlc/dialects/reference: {names(missing)}"


def test_every_op_is_lowered_or_decomposed() -> None:
    missing = set(ML.operations) - LOWERED - set(DECOMPOSITIONS) - TERMINATORS
    assert not missing, f"ops without a row in passes/lower_ml and in passes/decompose: {names(missing)}"


def test_every_op_has_a_gradient_or_none_at_all() -> None:
    known = {*GRADIENTS, *region_rows(), *CONSTANT, *DECOMPOSITIONS, *UNDIFFERENTIATED, *TERMINATORS}
    missing = set(ML.operations) - known
    assert not missing, f"ops without a row in passes/differentiate and in passes/decompose: {names(missing)}"


@pytest.mark.parametrize("name", sorted(OPS))
def test_the_rows_of_an_op_are_in_files_named_like_the_one_that_declares_it(name: str) -> None:
    op = OPS[name]
    file = op.__module__.rpartition(".")[2]
    assert file_of(op) == file
    if op in DECOMPOSITIONS:
        assert DECOMPOSITIONS[op].__module__ == f"xmlc.passes.decompose.{file}"
    if op in GRADIENTS:
        assert GRADIENTS[op].__module__ == f"xmlc.passes.differentiate.{file}"
