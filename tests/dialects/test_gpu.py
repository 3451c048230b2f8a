"""`gpu` and `nvvm`: read back as printed, accepted and spelled by MLIR as here, refused where they are wrong."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from oracle import mlir_opt, needs_mlir, parse
from xdsl.dialects.builtin import VectorType
from xdsl.ir import Operation
from xdsl.traits import MemoryEffect
from xdsl.utils.exceptions import VerifyException

from xmlc.backends.cuda.compile import assembled, find_ptxas, llvm_ir, ptx
from xmlc.backends.cuda.target import parse_cuda
from xmlc.dialects.nvvm import OPERATIONS
from xmlc.dialects.nvvm.matrix import FACTORS, SUMS
from xmlc.dialects.nvvm.spelling import SPELLING, Intrinsic

FOLDER = Path(__file__).resolve().parents[2] / "filecheck_tests" / "dialects"
STORED = (
    "layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>,"
    " eltType = #nvvm.ld_st_matrix_elt_type<b16>"
)
LAYOUTS = "layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>"
HALF = "shape = #nvvm.shape<m = 16, n = 8, k = 16>"
BF16 = "multiplicandAPtxType = #nvvm.mma_type<bf16>, multiplicandBPtxType = #nvvm.mma_type<bf16>"
BF16_BOTH = (
    "D[<f32>, <one>], A[<bf16>, <one>, <row>], B[<bf16>, <one>, <col>]"
    " : !llvm.struct<(f32, f32)> -> !llvm.struct<(f32, f32)>"
)
KERNEL = """gpu.module @m {{
  gpu.func @k(%x: f32, %i: i32, %b: i1, %near: !llvm.ptr<3>, %far: !llvm.ptr<1>,
    %d: i64, %s: !llvm.struct<(f32, f32)>) kernel {{
    {}
    gpu.return
  }}
}}"""


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["gpu.mlir", "nvvm.mlir"])
def test_what_is_printed_is_read_back(name: str) -> None:
    once = str(parse(text_of(name)))
    assert str(parse(once)) == once


@needs_mlir
@pytest.mark.parametrize("name", ["gpu.mlir", "nvvm.mlir"])
def test_mlir_accepts_what_is_printed(name: str) -> None:
    mlir_opt(str(parse(text_of(name))))


@needs_mlir
def test_a_generic_kernel_of_mlir_is_read_and_stays_a_kernel() -> None:
    generic = mlir_opt(text_of("gpu.mlir"), "--mlir-print-op-generic", "--mlir-print-local-scope")
    assert "gpu.func @known_sizes() kernel attributes {known_block_size" in str(parse(generic))


def test_every_op_of_nvvm_has_a_spelling_and_an_example() -> None:
    examples = {op.name for op in parse(text_of("nvvm.mlir")).walk()}
    assert [op.name for op in OPERATIONS if op not in SPELLING] == []
    registers = {name for name in (op.name for op in OPERATIONS) if ".sreg." in name}
    assert {op.name for op in OPERATIONS} - registers <= examples


@needs_mlir
def test_ops_are_spelled_as_mlir_spells_them() -> None:
    module = parse(text_of("nvvm.mlir").replace("gpu.module @module {", "").rstrip().removesuffix("}"))
    # MLIR writes these as lines of PTX, and translates functions of `llvm` only
    lines = ("nvvm.barrier.arrive", "nvvm.mbarrier.try_wait.parity", "nvvm.wgmma.mma_async")
    ops = [op for op in module.walk() if type(op) in SPELLING and op.name not in lines]
    text = "\n".join(line for line in str(module).splitlines() if not any(f"{each} " in line for each in lines))
    text = text.replace("gpu.func", "llvm.func").replace(" kernel {", " {").replace("gpu.return", "llvm.return")
    translate = shutil.which("mlir-translate-22")
    assert translate is not None
    done = subprocess.run([translate, "--mlir-to-llvmir"], input=text, capture_output=True, text=True, check=True)
    called = re.findall(r"call .*?@(llvm\.nvvm\.[\w.]+)\(", done.stdout)
    spelled = [SPELLING[type(op)](op) for op in ops]
    assert called == [each.name for each in spelled if isinstance(each, Intrinsic)] and len(called) == len(ops)


@pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.name)
def test_every_op_of_nvvm_says_what_it_does_to_memory(kind: type[Operation]) -> None:
    assert any(isinstance(each, MemoryEffect) for each in kind.traits)


def test_ptxas_takes_every_op_of_nvvm() -> None:
    """All but those of threads that must agree are in one kernel: it need not make sense, only be assembled."""
    module = parse(text_of("nvvm.mlir"))
    target = parse_cuda("cuda:sm_90a")
    made = ptx(llvm_ir(module, target), target)
    for word in ("mbarrier.try_wait.parity", "cp.async.bulk.tensor.3d", "wgmma.mma_async", "ldmatrix"):
        assert word in made
    if find_ptxas() is not None:
        assert assembled(made, target).code


def test_ptxas_takes_every_product_of_a_warp() -> None:
    kernels: list[str] = []
    for (elements, (m, n, k)), (register, count_a, count_b) in FACTORS.items():
        for sum_type, count_c in SUMS[elements]:
            values = [", ".join([name] * count) for name, count in (("%a", count_a), ("%b", count_b), ("%c", count_c))]
            stated = "" if elements in ("f16", "f64") else BF16.replace("bf16", elements) + ", "
            overflow = "intOverflowBehavior = #nvvm.mma_int_overflow<wrapped>, " if elements in ("s8", "u8") else ""
            element = sum_type.element_type if isinstance(sum_type, VectorType) else sum_type
            store = f"memref.store %e, %out[%zero] : memref<4x{element}>"
            if sum_type != element:
                store = f"vector.store %e, %out[%zero] : memref<4x{element}>, {sum_type}"
            struct = f"!llvm.struct<({', '.join([str(sum_type)] * count_c)})>"
            kernels.append(f"""
  gpu.func @k{len(kernels)}(%a: {register}, %b: {register}, %c: {sum_type}, %out: memref<4x{element}>) kernel {{
    %d = nvvm.mma.sync A[{values[0]}] B[{values[1]}] C[{values[2]}] {{{LAYOUTS}, {stated}{overflow}
      shape = #nvvm.shape<m = {m}, n = {n}, k = {k}>}} : ({register}, {register}, {sum_type}) -> {struct}
    %e = llvm.extractvalue %d[0] : {struct}
    %zero = arith.constant 0 : index
    {store}
    gpu.return
  }}""")
    module = parse("gpu.module @m {" + "".join(kernels) + "\n}")
    target = parse_cuda("cuda:sm_90a")
    made = ptx(llvm_ir(module, target), target)
    assert made.count("mma.sync.aligned") == len(kernels)
    if find_ptxas() is not None:
        assert len(assembled(made, target).resources) == len(kernels)


POINTERS = """gpu.module @m {
  "memref.global"() <{sym_name = "s", sym_visibility = "private", type = memref<64xf32, #gpu.address_space<workgroup>>,
    initial_value}> : () -> ()
  gpu.func @k(%a: memref<64xf32>) kernel {
    %s = memref.get_global @s : memref<64xf32, #gpu.address_space<workgroup>>
    %near = "memref.extract_aligned_pointer_as_index"(%s) : (memref<64xf32, #gpu.address_space<workgroup>>) -> index
    %far = "memref.extract_aligned_pointer_as_index"(%a) : (memref<64xf32>) -> index
    %n = arith.index_cast %near : index to i64
    %f = arith.index_cast %far : index to i64
    %to = llvm.inttoptr %n : i64 to !llvm.ptr<3>
    %from = llvm.inttoptr %f : i64 to !llvm.ptr<1>
    nvvm.cp.async.shared.global %to, %from, 16, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>
    gpu.return
  }
}"""


def test_pointers_into_memory_of_the_block_and_of_the_device() -> None:
    target = parse_cuda("cuda:sm_80")
    made = ptx(llvm_ir(parse(POINTERS), target), target)
    assert "cp.async.cg.shared.global" in made
    if find_ptxas() is not None:
        assert assembled(made, target).resources[0].shared_bytes == 256


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%r = gpu.subgroup_reduce add %x cluster(size = 3) : (f32) -> f32", "the cluster size is 3"),
        ("%r = gpu.subgroup_reduce add %x cluster(size = 32, stride = 2) : (f32) -> f32", "reaches over 64 lanes"),
        ("nvvm.cp.async.shared.global %near, %far, 8, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>", "expected 16"),
        ("nvvm.setmaxregister increase 100", "expected a multiple of 8 from 24 to 256"),
        (
            "nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>}",
            "a fence of async.shared, and no",
        ),
        (
            f"%r = nvvm.ldmatrix %near {{num = 3 : i32, {STORED}}} : (!llvm.ptr<3>) -> i32",
            "3 matrices, expected",
        ),
        (
            f"%r = nvvm.ldmatrix %near {{num = 2 : i32, {STORED}}} : (!llvm.ptr<3>) -> i32",
            "the result is i32, expected",
        ),
        (
            f"%r = nvvm.mma.sync A[%x] B[%x] C[%x] {{{LAYOUTS}, {HALF}}} : (f32, f32, f32) -> f32",
            "no product of unknown",
        ),
        (
            f"%r = nvvm.mma.sync A[%i] B[%i, %i] C[%x] {{{LAYOUTS}, {BF16}, {HALF}}} : (i32, i32, f32) -> f32",
            "A is 1 of i32",
        ),
        (f"%r = nvvm.wgmma.mma_async %d, %d, %s, <m = 64, n = 12, k = 16>, {BF16_BOTH}", "the shape is"),
        (f"%r = nvvm.wgmma.mma_async %d, %d, %s, <m = 64, n = 16, k = 16>, {BF16_BOTH}", "D is .*, expected"),
        ("%r = nvvm.vote.sync ballot %i, %b -> i1", "the result is i1, expected i32"),
        ("%r = nvvm.shfl.sync bfly %i, %x, %i, %i : f32 -> i32", "the result is i32, expected f32"),
    ],
)
def test_what_is_wrong_is_refused(line: str, message: str) -> None:
    with pytest.raises(VerifyException, match=message):
        parse(KERNEL.format(line)).verify()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu.module @m { gpu.func @k() -> (f32) kernel { gpu.return } }", "a kernel returns nothing"),
        (
            "gpu.module @m { gpu.func @k() kernel attributes {known_block_size = array<i32: 0, 1, 1>} { gpu.return } }",
            "three positive numbers",
        ),
    ],
)
def test_a_kernel_that_is_wrong_is_refused(text: str, message: str) -> None:
    with pytest.raises(VerifyException, match=message):
        parse(text).verify()
