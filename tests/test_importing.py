"""Imports are quick, and what they put off is right when it comes."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest
from xdsl.dialects.arith import AddiOp
from xdsl.irdl.declarative_assembly_format import FormatProgram
from xdsl.utils.exceptions import ParseError

from xmlc.dialects import DIALECTS
from xmlc.importing import DeferredFormat, quickly


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_formats_of_our_ops_are_right_although_nobody_used_them(dialect: str) -> None:
    for op in DIALECTS[dialect]().operations:
        definition = op.get_irdl_definition()
        if definition.assembly_format is not None:
            assert DeferredFormat(definition.assembly_format, definition).program.stmts


def test_a_wrong_format_is_an_error_at_its_first_use() -> None:
    deferred = DeferredFormat("$nothing attr-dict", AddiOp.get_irdl_definition())
    with pytest.raises(ParseError, match="nothing"):
        _ = deferred.program


def test_formats_are_deferred_inside_only_and_the_collector_runs_again_outside() -> None:
    before = FormatProgram.from_str
    with quickly():
        assert FormatProgram.from_str is DeferredFormat
        with quickly():
            pass
        assert FormatProgram.from_str is DeferredFormat
        assert not gc.isenabled()
    assert FormatProgram.from_str is before
    assert gc.isenabled()


ONE_LINE = """
import json, sys, xmlc
builder = xmlc.Builder()
with builder.function(x=xmlc.tensor("1024xf32")) as f:
    f.returns(xmlc.ml.exp(f["x"]))
xmlc.compile_module(builder.module)
print(json.dumps(sorted(sys.modules)))
"""
NOT_NEEDED = (
    "xdsl.dialects.gpu",
    "xdsl.dialects.llvm",
    "xmlc.backends.cuda.stages",
    "xmlc.passes.attention.schedules",
    "xmlc.passes.contractions.free_sizes",
    "xmlc.passes.contractions.schedules",
)


def test_compiling_one_line_imports_nothing_that_it_does_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMLC_CACHE", "0")
    done = subprocess.run([sys.executable, "-c", ONE_LINE], capture_output=True, text=True, check=True)
    imported = set(json.loads(done.stdout))
    assert "xmlc.passes.bufferize" in imported
    assert not imported & set(NOT_NEEDED)


CACHED_FOR_A_GPU = """
import json, sys, xmlc
from xmlc import driver_cuda
from xmlc.backends.cuda.driver import Device
from xmlc.driver import Settings, any_target

class Pretended:
    device = Device(0, "none", (9, 0), 1 << 37, 132)
    def load(self, code): return code
    def function(self, module, name, shared): return name
    def allocate(self, size, stream): return 256

driver_cuda.driver_of = lambda number: Pretended()
builder = xmlc.Builder()
with builder.function(x=xmlc.tensor("64x1024xf32")) as f:
    f.returns(xmlc.ml.softmax(f["x"], axis=-1))
driver_cuda.compile_for_gpu(builder.module, {}, Settings(target=any_target("cuda")))
print(json.dumps(sorted(sys.modules)))
"""


def test_a_program_for_a_gpu_from_the_cache_needs_neither_passes_nor_llvm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XMLC_CACHE_DIR", str(tmp_path))
    for state in ("compiled", "cached"):
        command = [sys.executable, "-c", CACHED_FOR_A_GPU]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        imported: list[str] = json.loads(done.stdout)
        compiling = [each for each in imported if each.startswith(("xmlc.passes.", "xmlc.dialects.nvvm", "llvmlite"))]
        assert bool(compiling) == (state == "compiled"), compiling
