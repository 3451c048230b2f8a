"""The GPU interpreter on what warps do with matrices, on copies that go on by themselves, and on mbarriers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from launched_kernels import launch
from xdsl.dialects.builtin import VectorType

from xmlc.dialects.nvvm.matrix import FACTORS, SUMS
from xmlc.dialects.reference.interpreter import InterpreterError
from xmlc.dialects.reference.lanes.matrix import ELEMENTS

LANE = np.arange(32)
STORED = (
    "layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>,"
    " eltType = #nvvm.ld_st_matrix_elt_type<b16>"
)
SHARED_BYTES = 4096
POINTER = f"""
    %s = memref.get_global @s : memref<{SHARED_BYTES}xi8, #gpu.address_space<workgroup>>
    %s_index = "memref.extract_aligned_pointer_as_index"(%s)
      : (memref<{SHARED_BYTES}xi8, #gpu.address_space<workgroup>>) -> index
    %s_base = arith.index_cast %s_index : index to i64
    %t64 = arith.index_cast %t : index to i64"""


def pointer(name: str, offset: str, space: int = 3, base: str = "%s_base") -> str:
    return f"""
    %{name}_address = arith.addi {base}, {offset} : i64
    %{name} = llvm.inttoptr %{name}_address : i64 to !llvm.ptr<{space}>"""


def run(body: str, *arrays: Any, **sizes: Any) -> None:
    launch(POINTER + body, *arrays, shared=f"{SHARED_BYTES}xi8", **sizes)


def held(matrix: Any, shape: tuple[int, int, int], width: int, which: str) -> Any:
    """What each lane holds of a factor, register after register: written down again from the figures of PTX."""
    group, inside = LANE >> 2, LANE & 3
    rows, columns = matrix.shape
    found: list[Any] = []
    for register in range(matrix.size // 32 // width):
        for element in range(width):
            along_k = inside * width + element
            if which == "A":
                row = group + (8 if register in (1, 3) else 0)
                found.append(matrix[row % rows, (along_k + (width * 4 if register >= 2 else 0)) % columns])
            else:
                found.append(matrix[(along_k + (width * 4 if register == 1 else 0)) % rows, group])
    return np.stack(found, axis=1)


@pytest.mark.parametrize(("kind", "shape"), FACTORS)
def test_products_of_a_warp(kind: str, shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    register, count_a, count_b = FACTORS[kind, shape]
    rng = np.random.default_rng(m * n * k)
    dtype = ELEMENTS[kind]
    if kind in ("s8", "u8"):
        a, b = (rng.integers(0, 100, size).astype(dtype) for size in ((m, k), (k, n)))
    else:
        a, b = (rng.normal(size=size).astype(dtype) for size in ((m, k), (k, n)))
    if kind == "tf32":
        a, b = ((each.view(np.int32) & ~0x1FFF).view(np.float32) for each in (a, b))
    width = 1 if kind == "f64" else 4 // np.dtype(dtype).itemsize
    in_registers = np.float16 if kind == "f16" else np.float64 if kind == "f64" else np.int32
    given = [np.ascontiguousarray(held(x, shape, width, which)).view(in_registers) for x, which in ((a, "A"), (b, "B"))]
    for sum_type, count_c in SUMS[kind]:
        pairs = isinstance(sum_type, VectorType)
        element = sum_type.element_type if pairs else sum_type
        out_type = {"f16": np.float16, "f32": np.float32, "f64": np.float64, "i32": np.int32}[str(element)]
        out = np.zeros((32, m * n // 32), out_type)
        lines, names = [], []
        for matrix, (array, count) in enumerate(zip(given, (count_a, count_b))):
            size = "x".join(map(str, array.shape))
            memory = f"memref<{size}x{'f16' if kind == 'f16' else 'f64' if kind == 'f64' else 'i32'}>"
            names.append([f"%m{matrix}_{i}" for i in range(count)])
            for i, name in enumerate(names[-1]):
                step = 2 if kind == "f16" else 1
                lines.append(f"{name}_at = arith.constant {i * step} : index")
                load = f"vector.load %{'ab'[matrix]}[%t, {name}_at] : {memory}, {register}"
                if kind != "f16":
                    load = f"memref.load %{'ab'[matrix]}[%t, {name}_at] : {memory}"
                lines.append(f"{name} = {load}")
        zero = "dense<1.0> : vector<2xf16>" if pairs else f"{'1' if str(element) == 'i32' else '1.0'} : {element}"
        stated = (
            ""
            if kind in ("f16", "f64")
            else (f"multiplicandAPtxType = #nvvm.mma_type<{kind}>, multiplicandBPtxType = #nvvm.mma_type<{kind}>, ")
        )
        struct = f"!llvm.struct<({', '.join([str(sum_type)] * count_c)})>"
        lines.append(f"%one = arith.constant {zero}")
        lines.append(
            f"%d = nvvm.mma.sync A[{', '.join(names[0])}] B[{', '.join(names[1])}] C[{', '.join(['%one'] * count_c)}] "
            f"{{layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, {stated}"
            f"shape = #nvvm.shape<m = {m}, n = {n}, k = {k}>}} : ({register}, {register}, {sum_type}) -> {struct}"
        )
        memory = f"memref<32x{m * n // 32}x{element}>"
        for i in range(count_c):
            lines.append(f"%d{i} = llvm.extractvalue %d[{i}] : {struct}")
            lines.append(f"%at{i} = arith.constant {2 * i if pairs else i} : index")
            store = f"vector.store %d{i}, %c[%t, %at{i}] : {memory}, {sum_type}"
            lines.append(store if pairs else f"memref.store %d{i}, %c[%t, %at{i}] : {memory}")
        launch("\n".join(lines), *given, out)
        wanted = a.astype(np.float64) @ b.astype(np.float64) + 1
        found = np.zeros((m, n))
        for e in range(m * n // 32):
            found[(LANE >> 2) + (8 if e > 1 else 0), (LANE & 3) * 2 + (e & 1)] = out[:, e]
        tolerance = 2e-2 if str(element) == "f16" else 1e-6
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("layout", ["row", "col"])
def test_matrices_come_from_shared_memory_and_go_back(layout: str) -> None:
    a, b = np.arange(256, dtype=np.int16).reshape(32, 8), np.zeros((32, 4), np.int32)
    stored = STORED.replace("row", layout)
    run(
        f"""
    %bytes = arith.constant 16 : i64
    %row = arith.muli %t64, %bytes : i64
    {pointer("p", "%row")}
    %view = memref.view %s[%c0][] : memref<{SHARED_BYTES}xi8, #gpu.address_space<workgroup>>
      to memref<32x8xi16, #gpu.address_space<workgroup>>
    %v = vector.load %a[%t, %c0] : memref<32x8xi16>, vector<8xi16>
    vector.store %v, %view[%t, %c0] : memref<32x8xi16, #gpu.address_space<workgroup>>, vector<8xi16>
    gpu.barrier
    %m = nvvm.ldmatrix %p {{num = 4 : i32, {stored}}} : (!llvm.ptr<3>) -> !llvm.struct<(i32, i32, i32, i32)>
    {
            "".join(
                f'''
    %m{i} = llvm.extractvalue %m[{i}] : !llvm.struct<(i32, i32, i32, i32)>
    memref.store %m{i}, %b[%t, %c{i}] : memref<32x4xi32>'''
                for i in range(4)
            )
        }
    gpu.barrier
    nvvm.stmatrix %p, %m1, %m0 {{{stored}}} : !llvm.ptr<3>, i32, i32
    gpu.barrier
    %w = vector.load %view[%t, %c0] : memref<32x8xi16, #gpu.address_space<workgroup>>, vector<8xi16>
    vector.store %w, %a[%t, %c0] : memref<32x8xi16>, vector<8xi16>
    """,
        *(a, b),
    )
    matrices = np.arange(256, dtype=np.int16).reshape(4, 8, 8)
    seen = matrices.swapaxes(1, 2) if layout == "col" else matrices
    pairs = b.view(np.int16).reshape(32, 4, 2)
    for i in range(4):
        np.testing.assert_array_equal(pairs[:, i, 0], seen[i][LANE >> 2, 2 * (LANE & 3)])
        np.testing.assert_array_equal(pairs[:, i, 1], seen[i][LANE >> 2, 2 * (LANE & 3) + 1])
    np.testing.assert_array_equal(a.reshape(4, 8, 8), matrices[[1, 0, 2, 3]])


COPY = """
    %a_index = "memref.extract_aligned_pointer_as_index"(%a) : (memref<128xi32>) -> index
    %a_base = arith.index_cast %a_index : index to i64
    %bytes = arith.constant 16 : i64
    %offset = arith.muli %t64, %bytes : i64"""
READ = f"""
    %four = arith.constant 4 : index
    %first = arith.muli %t, %four : index
    %view = memref.view %s[%c0][] : memref<{SHARED_BYTES}xi8, #gpu.address_space<workgroup>>
      to memref<128xi32, #gpu.address_space<workgroup>>
    %v = vector.load %view[%first] : memref<128xi32, #gpu.address_space<workgroup>>, vector<4xi32>
    vector.store %v, %b[%first] : memref<128xi32>, vector<4xi32>"""


@pytest.mark.parametrize(("groups", "there"), [(0, True), (1, False)])
def test_a_copy_is_there_once_it_has_been_waited_for(groups: int, there: bool) -> None:
    a, b = np.arange(128, dtype=np.int32), np.zeros(128, np.int32)
    run(
        f"""{COPY}{pointer("to", "%offset")}{pointer("source", "%offset", 1, "%a_base")}
    %some = arith.constant 8 : i32
    nvvm.cp.async.shared.global %to, %source, 16, cache = ca, %some : !llvm.ptr<3>, !llvm.ptr<1>, i32
    nvvm.cp.async.commit.group
    nvvm.cp.async.wait.group {groups}{READ}
    """,
        *(a, b),
    )
    wanted = np.where(np.arange(128) % 4 < 2, a, 0)
    assert np.array_equal(b, wanted) == there


def with_barrier(body: str, count: int = 32) -> str:
    return f"""{COPY}
    %zero64 = arith.constant 2048 : i64
    %count = arith.constant {count} : i32
    %zero = arith.constant 0 : i32
    {pointer("bar", "%zero64")}{pointer("to", "%offset")}{pointer("source", "%offset", 1, "%a_base")}
    %is_first = arith.cmpi eq, %t, %c0 : index
    scf.if %is_first {{
      nvvm.mbarrier.init %bar, %count : !llvm.ptr<3>, i32
    }}
    gpu.barrier
    {body}"""


def test_a_phase_ends_when_all_threads_and_their_copies_have_arrived() -> None:
    a, b = np.arange(128, dtype=np.int32), np.zeros(128, np.int32)
    run(
        with_barrier(f"""
    nvvm.cp.async.shared.global %to, %source, 16, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>
    nvvm.cp.async.mbarrier.arrive %bar {{noinc = true}} : !llvm.ptr<3>
    nvvm.mbarrier.try_wait.parity %bar, %zero, %zero : !llvm.ptr<3>, i32, i32
    %state = nvvm.mbarrier.arrive %bar : !llvm.ptr<3> -> i64
    %ended = nvvm.mbarrier.test.wait %bar, %state : !llvm.ptr<3>, i64 -> i1
    scf.if %ended {{{READ}
    }}"""),
        *(a, b),
    )
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("body", "count", "message"),
    [
        ("nvvm.mbarrier.try_wait.parity %bar, %zero, %zero : !llvm.ptr<3>, i32, i32", 32, "32 arrivals and 0 bytes"),
        ("%x = nvvm.mbarrier.arrive %to : !llvm.ptr<3> -> i64", 32, "there is no mbarrier here"),
        ("%x = nvvm.mbarrier.arrive.nocomplete %bar, %count : !llvm.ptr<3>, i32 -> i64", 8, "more arrivals than"),
        ("gpu.barrier", 0, "at least 1 arrival, not 0"),
    ],
)
def test_what_cannot_end_is_reported(body: str, count: int, message: str) -> None:
    with pytest.raises(InterpreterError, match=re.escape(message)):
        run(with_barrier(body, count), np.zeros(128, np.int32))


def test_a_part_of_a_buffer_has_no_pointer_of_its_own() -> None:
    body = """
    %part = memref.subview %a[4] [4] [1] : memref<8xi32> to memref<4xi32, strided<[1], offset: 4>>
    %p = "memref.extract_aligned_pointer_as_index"(%part) : (memref<4xi32, strided<[1], offset: 4>>) -> index"""
    with pytest.raises(InterpreterError, match="ask for that of the whole"):
        launch(body, np.zeros(8, np.int32))
