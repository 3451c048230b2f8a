"""A product whose factors the tensor memory engine brings, by warps that wait for each other; for tests and a GPU.

D (64 x n) = A (64 x k) B^T (n x k): one warp asks for boxes of both, `stages` of them on their way at once, four others
multiply. All is written out: 128 bytes of a row of each factor a step, four products for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

STAGES = 2
ROWS, ROW_BYTES = 64, 128
SHARED = "memref<?xi8, #gpu.address_space<workgroup>>"
KINDS: dict[str, tuple[int, int, str]] = {
    "bf16": (2, 16, "f32"),
    "f16": (2, 16, "f32"),
    "tf32": (4, 8, "f32"),
    "s8": (1, 32, "i32"),
}
"""Elements -> bytes, depth of a product, and what is summed in."""


def box(n: int, kind: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """The boxes of both factors, as maps have them: the fastest dimension first."""
    width = ROW_BYTES // KINDS[kind][0]
    return (width, ROWS), (width, n)


def shared_bytes(n: int) -> int:
    return STAGES * ROW_BYTES * (ROWS + n) + 16 * STAGES


def pointer(name: str, offset: int, space: int) -> str:
    return f"""
    %{name}_at = arith.constant {offset} : i64
    %{name}_byte = arith.addi %base, %{name}_at : i64
    %{name} = llvm.inttoptr %{name}_byte : i64 to !llvm.ptr<{space}>"""


MAPS = f"""
    %memory = gpu.dynamic_shared_memory : {SHARED}
    %start = "memref.extract_aligned_pointer_as_index"(%memory) : ({SHARED}) -> index
    %base = arith.index_cast %start : index to i64
    %ai = "memref.extract_aligned_pointer_as_index"(%a) : (memref<128xi8>) -> index
    %bi = "memref.extract_aligned_pointer_as_index"(%b) : (memref<128xi8>) -> index
    %al = arith.index_cast %ai : index to i64
    %bl = arith.index_cast %bi : index to i64
    %map_a = llvm.inttoptr %al : i64 to !llvm.ptr
    %map_b = llvm.inttoptr %bl : i64 to !llvm.ptr
    %zero = arith.constant 0 : i32
    %one = arith.constant 1 : i32
    %patience = arith.constant 1000000 : i32"""
"""How kernels begin: where shared memory and the maps %a and %b are."""


@dataclass(frozen=True)
class Product:
    """The kernel of one product, in parts that follow one another in its text."""

    n: int
    k: int
    kind: str
    fault: str

    @property
    def element_bytes(self) -> int:
        return KINDS[self.kind][0]

    @property
    def sums(self) -> str:
        """The type of the elements of the result."""
        return KINDS[self.kind][2]

    @property
    def held(self) -> int:
        """How many elements of the result each thread has."""
        return ROWS * self.n // 128

    @property
    def struct(self) -> str:
        return f"!llvm.struct<({', '.join([self.sums] * self.held)})>"

    @property
    def steps(self) -> int:
        return self.k * self.element_bytes // ROW_BYTES

    @property
    def stage_bytes(self) -> int:
        """A stage holds a box of A, then one of B."""
        return (ROWS + self.n) * ROW_BYTES

    def places(self) -> str:
        """Where the stages and their mbarriers are, and who a thread is."""
        barriers = STAGES * self.stage_bytes
        lines = [
            f"""
    %many = arith.constant 128 : i32
    %bytes = arith.constant {self.stage_bytes} : i32
    %producer = arith.constant 128 : index
    %is_first = arith.cmpi eq, %t, %c0 : index
    %is_producer = arith.cmpi uge, %t, %producer : index
    %asks = arith.cmpi eq, %t, %producer : index"""
        ]
        for stage in range(STAGES):
            lines += [
                pointer(f"full{stage}", barriers + 8 * stage, 3),
                pointer(f"empty{stage}", barriers + 8 * (STAGES + stage), 3),
                pointer(f"to_a{stage}", stage * self.stage_bytes, 7),
                pointer(f"to_b{stage}", stage * self.stage_bytes + ROWS * ROW_BYTES, 7),
            ]
        return "\n".join(lines)

    def beginning(self) -> str:
        """The first thread makes the mbarriers, which all wait for."""
        made = "".join(
            f"""
      nvvm.mbarrier.init %full{stage}, %one : !llvm.ptr<3>, i32
      nvvm.mbarrier.init %empty{stage}, %many : !llvm.ptr<3>, i32"""
            for stage in range(STAGES)
        )
        return f"""
    scf.if %is_first {{{made}
      nvvm.fence.mbarrier.init
    }}
    gpu.barrier"""

    def asking(self) -> str:
        """The producer asks for the boxes of each step, as soon as the stage has been given back."""
        lines: list[str] = []
        for step in range(self.steps):
            stage, turn = step % STAGES, step // STAGES
            if turn and self.fault != "waiting":
                lines.append(waiting("empty", stage, turn - 1))
            lines.append(f"""
        nvvm.mbarrier.arrive.expect_tx %full{stage}, %bytes : !llvm.ptr<3>, i32
        %k{step} = arith.constant {step * ROW_BYTES // self.element_bytes} : i32""")
            lines += [
                f"nvvm.cp.async.bulk.tensor.shared.cluster.global %to_{each}{stage}, %map_{each}, %full{stage}, "
                f"box[%k{step}, %zero] : !llvm.ptr<7>, !llvm.ptr"
                for each in "ab"
            ]
        return "\n".join(lines)

    def multiplying(self) -> str:
        """The others multiply what has come, a step after the other."""
        bits = (1 << 16) | (8 * ROW_BYTES >> 4 << 32) | (1 << 62)
        last = "%sum_0_0"
        lines = [
            f"""
      {last} = llvm.mlir.zero : {self.struct}
      %bits = arith.constant {bits} : i64
      %four = arith.constant 4 : i64
      %window = arith.constant {0x3FFFF} : i64"""
        ]
        for step in range(self.steps):
            stage, turn = step % STAGES, step // STAGES
            lines += [waiting("full", stage, turn), "nvvm.wgmma.fence.aligned"]
            for part in range(ROW_BYTES // 32):
                name = f"{step}_{part + 1}"
                lines += [self.part(name, stage * self.stage_bytes + 32 * part, last)]
                last = f"%sum_{name}"
            ends = "nvvm.wgmma.commit.group.sync.aligned\nnvvm.wgmma.wait.group.sync.aligned 0"
            gives_back = f"%state{step} = nvvm.mbarrier.arrive %empty{stage} : !llvm.ptr<3> -> i64"
            lines += [gives_back, ends] if self.fault == "reading" else [ends, gives_back]
        return "\n".join([*lines, self.storing(last)])

    def part(self, name: str, at: int, before: str) -> str:
        """%sum_NAME = before + what is `at` bytes into shared memory @ its part of B."""
        _, depth, sums = KINDS[self.kind]
        lines: list[str] = []
        for each, offset in (("a", at), ("b", at + ROWS * ROW_BYTES)):
            lines.append(f"""
      %at_{each}{name} = arith.constant {offset} : i64
      %in_{each}{name} = arith.addi %base, %at_{each}{name} : i64
      %low_{each}{name} = arith.andi %in_{each}{name}, %window : i64
      %line_{each}{name} = arith.shrui %low_{each}{name}, %four : i64
      %d_{each}{name} = arith.ori %line_{each}{name}, %bits : i64""")
        lines.append(
            f"%sum_{name} = nvvm.wgmma.mma_async %d_a{name}, %d_b{name}, {before}, "
            f"<m = 64, n = {self.n}, k = {depth}>, D[<{'s32' if sums == 'i32' else 'f32'}>, <one>], "
            f"A[<{self.kind}>, <one>, <row>], B[<{self.kind}>, <one>, <col>] : {self.struct} -> {self.struct}"
        )
        return "\n".join(lines)

    def storing(self, value: str) -> str:
        """Each thread stores the elements of the result that it has."""
        lines = [
            """
      %warp = arith.divui %t, %c32 : index
      %lane = arith.remui %t, %c32 : index
      %sixteen = arith.muli %warp, %c16 : index
      %high = arith.divui %lane, %c4 : index
      %row = arith.addi %sixteen, %high : index
      %low = arith.remui %lane, %c4 : index
      %twice = arith.muli %low, %c2 : index"""
        ]
        for number in range(self.held):
            lines.append(f"""
      %rowplus{number} = arith.constant {8 * (number // 2 % 2)} : index
      %columnplus{number} = arith.constant {8 * (number // 4) + number % 2} : index
      %row{number} = arith.addi %row, %rowplus{number} : index
      %column{number} = arith.addi %twice, %columnplus{number} : index
      %value{number} = llvm.extractvalue {value}[{number}] : {self.struct}
      memref.store %value{number}, %c[%row{number}, %column{number}] : memref<{ROWS}x{self.n}x{self.sums}>""")
        return "\n".join(lines)


def waiting(barrier: str, stage: int, turn: int) -> str:
    """Wait until the mbarrier of a stage has ended its phase of that turn."""
    parity = "%one" if turn % 2 else "%zero"
    return f"nvvm.mbarrier.try_wait.parity %{barrier}{stage}, {parity}, %patience : !llvm.ptr<3>, i32, i32"


def product(n: int, k: int, kind: str, fault: str = "") -> str:
    """The body of the kernel: %a and %b are maps, %c the result.

    The faults are that the producer fills a stage without `waiting`, and that a stage is given back before `reading`.
    """
    made = Product(n, k, kind, fault)
    return f"""{MAPS}{made.places()}{made.beginning()}
    scf.if %is_producer {{
      scf.if %asks {{
{made.asking()}
      }}
    }} else {{
{made.multiplying()}
    }}"""


def factors(n: int, k: int, kind: str, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """A, B by columns, room for D, and what D should be."""
    import ml_dtypes

    rng = np.random.default_rng(seed)
    dtypes: dict[str, Any] = {"bf16": ml_dtypes.bfloat16, "f16": np.float16, "tf32": np.float32, "s8": np.int8}
    if kind == "s8":
        a, b = (rng.integers(-128, 128, (rows, k)).astype(np.int8) for rows in (ROWS, n))
        return a, b, np.zeros((ROWS, n), np.int32), a.astype(np.int32) @ b.astype(np.int32).T
    a, b = (rng.normal(size=(rows, k)).astype(np.float32).astype(dtypes[kind]) for rows in (ROWS, n))
    if kind == "tf32":
        a, b = ((each.view(np.int32) & np.int32(-1 << 13)).view(np.float32) for each in (a, b))
    return a, b, np.zeros((ROWS, n), np.float32), (a.astype(np.float64) @ b.astype(np.float64).T)
