"""What an op of `ml` prints is what parses back, in its own syntax and in the generic one."""

from __future__ import annotations

from io import StringIO

import pytest
from ml_samples import OPS, SAMPLES, Sample
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser
from xdsl.printer import Printer

from xmlc.dialects import context


def text_of(module: ModuleOp, generic: bool) -> str:
    out = StringIO()
    Printer(out, print_generic_format=generic).print_op(module)
    return out.getvalue()


@pytest.mark.parametrize("generic", [False, True], ids=["own", "generic"])
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_what_is_printed_parses_back(sample: Sample, generic: bool) -> None:
    for element in sample.elements:
        module = sample.module(element)
        module.verify()
        parsed = Parser(context(), text_of(module, generic)).parse_module()
        parsed.verify()
        assert parsed.is_structurally_equivalent(module)


def test_every_op_has_a_sample_that_contains_it() -> None:
    for sample in SAMPLES:
        assert any(isinstance(op, sample.op) for op in sample.module(sample.elements[0]).walk()), sample
    assert {sample.name for sample in SAMPLES} == set(OPS)


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_op_has_a_docstring_and_says_whether_it_has_effects(name: str) -> None:
    op = OPS[name]
    assert op.__doc__ and not op.__doc__.startswith(op.__name__)
    assert {"Pure", "RecursiveMemoryEffect"} & {type(trait).__name__ for trait in op.traits.traits}
