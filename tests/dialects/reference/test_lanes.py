"""The GPU interpreter: kernels give what they mean, and what has no meaning is reported with the thread."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from launched_kernels import SHARED, launch
from oracle import parse

from xmlc.dialects.reference.interpreter import InterpreterError, interpret


def numbers(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)


def test_threads_of_all_blocks_find_their_element() -> None:
    a, b = numbers(6, 70), np.zeros((6, 70), np.float32)
    launch(
        """
        %y = gpu.block_id y
        %i = gpu.global_id x
        %v = memref.load %a[%y, %i] : memref<6x70xf32>
        %w = arith.addf %v, %v : f32
        memref.store %w, %b[%y, %i] : memref<6x70xf32>
        """,
        *(a, b),
        grid=(2, 6, 1),
        block=(35, 1, 1),
    )
    np.testing.assert_array_equal(b, a + a)


def test_threads_that_have_less_to_do_leave_a_loop_before_the_others() -> None:
    a, b = numbers(77), np.zeros(32, np.float32)
    launch(
        """
        %n = arith.constant 77 : index
        %zero = arith.constant 0.0 : f32
        %sum = scf.for %i = %t to %n step %c32 iter_args(%x = %zero) -> (f32) {
          %v = memref.load %a[%i] : memref<77xf32>
          %y = arith.addf %x, %v : f32
          scf.yield %y : f32
        }
        memref.store %sum, %b[%t] : memref<32xf32>
        """,
        *(a, b),
    )
    np.testing.assert_allclose(b, [a[i::32].sum() for i in range(32)], rtol=1e-6)


def test_each_side_of_a_branch_is_run_by_the_threads_that_take_it() -> None:
    a = np.zeros(32, np.int64)
    launch(
        """
        %low = arith.cmpi ult, %t, %c8 : index
        %v = scf.if %low -> (index) {
          %x = arith.muli %t, %t : index
          scf.yield %x : index
        } else {
          %u = arith.subi %t, %c8 : index
          %x = arith.divui %c64, %u : index
          scf.yield %x : index
        }
        %w = arith.index_cast %v : index to i64
        memref.store %w, %a[%t] : memref<32xi64>
        """.replace("%u = arith.subi %t, %c8", "%u = arith.subi %t, %c4"),
        a,
    )
    np.testing.assert_array_equal(a, [i * i if i < 8 else 64 // (i - 4) for i in range(32)])


@settings(max_examples=20)
@given(st.lists(st.integers(0, 40), min_size=32, max_size=32))
def test_each_thread_goes_round_a_while_as_often_as_it_has_to(rounds: list[int]) -> None:
    a, b = np.array(rounds, np.int32), np.zeros(32, np.int32)
    launch(
        """
        %n = memref.load %a[%t] : memref<32xi32>
        %zero = arith.constant 0 : i32
        %one = arith.constant 1 : i32
        %last:2 = scf.while (%i = %n, %s = %zero) : (i32, i32) -> (i32, i32) {
          %more = arith.cmpi sgt, %i, %zero : i32
          scf.condition(%more) %i, %s : i32, i32
        } do {
        ^bb0(%i: i32, %s: i32):
          %j = arith.subi %i, %one : i32
          %u = arith.addi %s, %i : i32
          scf.yield %j, %u : i32, i32
        }
        memref.store %last#1, %b[%t] : memref<32xi32>
        """,
        *(a, b),
    )
    np.testing.assert_array_equal(b, a * (a + 1) // 2)


def test_vectors_differ_between_threads_and_masks_keep_them_inside() -> None:
    a, b = numbers(30), np.zeros(32, np.float32)
    launch(
        """
        %i = arith.muli %t, %c4 : index
        %zero = arith.constant 0.0 : f32
        %v = vector.transfer_read %a[%i], %zero : memref<30xf32>, vector<4xf32>
        %w = arith.mulf %v, %v : vector<4xf32>
        vector.store %w, %b[%i] : memref<32xf32>, vector<4xf32>
        """,
        *(a, b),
        block=(8, 1, 1),
    )
    np.testing.assert_array_equal(b, np.pad(a * a, (0, 2)))


def test_a_tile_is_transposed_through_shared_memory() -> None:
    a, b = numbers(16, 16), np.zeros((16, 16), np.float32)
    launch(
        f"""
        %y = gpu.thread_id y
        %s = memref.get_global @s : memref<16x17xf32, {SHARED}>
        %v = memref.load %a[%y, %t] : memref<16x16xf32>
        memref.store %v, %s[%y, %t] : memref<16x17xf32, {SHARED}>
        gpu.barrier
        %w = memref.load %s[%t, %y] : memref<16x17xf32, {SHARED}>
        memref.store %w, %b[%y, %t] : memref<16x16xf32>
        """,
        *(a, b),
        block=(16, 16, 1),
        shared="16x17xf32",
    )
    np.testing.assert_array_equal(b, a.T)


def test_dynamic_shared_memory_is_each_blocks_own() -> None:
    a = np.zeros((3, 8), np.float32)
    launch(
        f"""
        %block = gpu.block_id x
        %d = gpu.dynamic_shared_memory : memref<?xi8, {SHARED}>
        %s = memref.view %d[%c32][] : memref<?xi8, {SHARED}> to memref<8xf32, {SHARED}>
        %i = arith.index_cast %block : index to i32
        %f = arith.sitofp %i : i32 to f32
        memref.store %f, %s[%t] : memref<8xf32, {SHARED}>
        gpu.barrier
        %c7 = arith.constant 7 : index
        %j = arith.subi %c7, %t : index
        %v = memref.load %s[%j] : memref<8xf32, {SHARED}>
        memref.store %v, %a[%block, %t] : memref<3x8xf32>
        """,
        a,
        grid=(3, 1, 1),
        block=(8, 1, 1),
        dynamic=64,
    )
    np.testing.assert_array_equal(a, np.repeat([[0], [1], [2]], 8, 1))


def test_private_memory_is_each_threads_own() -> None:
    a = np.zeros(32, np.int64)
    launch(
        """
        %p = memref.alloca() : memref<2xindex>
        memref.store %t, %p[%c1] : memref<2xindex>
        %v = memref.load %p[%c1] : memref<2xindex>
        %w = arith.index_cast %v : index to i64
        memref.store %w, %a[%t] : memref<32xi64>
        """,
        a,
    )
    np.testing.assert_array_equal(a, np.arange(32))


def test_a_window_may_start_elsewhere_for_each_thread() -> None:
    a, b = numbers(32, 4), np.zeros(32, np.float32)
    launch(
        """
        %row = memref.subview %a[%t, 0] [1, 4] [1, 1] : memref<32x4xf32> to memref<4xf32, strided<[1], offset: ?>>
        %v = memref.load %row[%c2] : memref<4xf32, strided<[1], offset: ?>>
        memref.store %v, %b[%t] : memref<32xf32>
        """,
        *(a, b),
    )
    np.testing.assert_array_equal(b, a[:, 2])


@pytest.mark.parametrize(
    ("mode", "source"), [("xor", lambda i: i ^ 5), ("up", lambda i: i - 5), ("down", lambda i: i + 5)]
)
def test_a_shuffle_gives_the_value_of_another_lane(mode: str, source: Any) -> None:
    a, b, c = numbers(64), np.zeros(64, np.float32), np.zeros(64, np.bool_)
    launch(
        f"""
        %five = arith.constant 5 : i32
        %width = arith.constant 32 : i32
        %v = memref.load %a[%t] : memref<64xf32>
        %w, %inside = gpu.shuffle {mode} %v, %five, %width : f32
        memref.store %w, %b[%t] : memref<64xf32>
        memref.store %inside, %c[%t] : memref<64xi1>
        """,
        *(a, b, c),
        block=(64, 1, 1),
    )
    lanes = [(i, source(i % 32)) for i in range(64)]
    np.testing.assert_array_equal(c, [0 <= lane < 32 for _, lane in lanes])
    np.testing.assert_array_equal(b, [a[i - i % 32 + lane] if 0 <= lane < 32 else a[i] for i, lane in lanes])


def test_a_warp_combines_its_values_also_where_it_is_not_full() -> None:
    a, b, c = numbers(40), np.zeros(40, np.float32), np.zeros(40, np.float32)
    launch(
        """
        %v = memref.load %a[%t] : memref<40xf32>
        %max = gpu.subgroup_reduce maximumf %v : (f32) -> f32
        memref.store %max, %b[%t] : memref<40xf32>
        %some = gpu.subgroup_reduce add %v cluster(size = 4) : (f32) -> f32
        memref.store %some, %c[%t] : memref<40xf32>
        """,
        *(a, b, c),
        block=(40, 1, 1),
    )
    np.testing.assert_array_equal(b, np.repeat([a[:32].max(), a[32:].max()], [32, 8]))
    np.testing.assert_allclose(c, a.reshape(10, 4).sum(1).repeat(4), rtol=1e-5, atol=1e-6)


def test_nvvm_shuffles_votes_and_matches() -> None:
    a, b = np.arange(32, dtype=np.int32) // 3, np.zeros((6, 32), np.int32)
    stores = "\n".join(f"memref.store %r{i}, %b[%k{i}, %t] : memref<6x32xi32>" for i in range(6))
    launch(
        f"""
        {"".join(f"%k{i} = arith.constant {i} : index{chr(10)}" for i in range(6))}
        %all = arith.constant -1 : i32
        %one = arith.constant 1 : i32
        %seven = arith.constant 7 : i32
        %clamp = arith.constant 31 : i32
        %v = memref.load %a[%t] : memref<32xi32>
        %odd = arith.trunci %v : i32 to i1
        %r0 = nvvm.shfl.sync idx %all, %v, %seven, %clamp : i32 -> i32
        %pair = nvvm.shfl.sync down %all, %v, %one, %clamp {{return_value_and_is_valid}}
          : i32 -> !llvm.struct<(i32, i1)>
        %r1 = llvm.extractvalue %pair[0] : !llvm.struct<(i32, i1)>
        %r2 = nvvm.redux.sync add %v, %all : i32 -> i32
        %r3 = nvvm.vote.sync ballot %all, %odd -> i32
        %r4 = nvvm.match.sync any %all, %v : i32 -> i32
        %first = nvvm.elect.sync -> i1
        %r5 = arith.extui %first : i1 to i32
        {stores}
        """,
        *(a, b),
    )
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    assert (b[0] == a[7]).all() and (b[2] == a.sum()).all()
    np.testing.assert_array_equal(b[1], np.append(a[1:], a[31]))
    np.testing.assert_array_equal(b[3].view(np.uint32), np.full(32, bits[a % 2 == 1].sum(dtype=np.uint32)))
    np.testing.assert_array_equal(b[4].view(np.uint32), [bits[a == each].sum(dtype=np.uint32) for each in a])
    np.testing.assert_array_equal(b[5], np.arange(32) == 0)


def test_atomic_additions_of_all_threads_count() -> None:
    a, b = np.zeros(4, np.int32), np.zeros(96, np.int32)
    launch(
        """
        %i = gpu.global_id x
        %one = arith.constant 1 : i32
        %old = "memref.atomic_rmw"(%one, %a, %c2) <{kind = 1 : i64}> : (i32, memref<4xi32>, index) -> i32
        memref.store %old, %b[%i] : memref<96xi32>
        """,
        *(a, b),
        grid=(3, 1, 1),
    )
    assert a.tolist() == [0, 0, 96, 0] and sorted(b) == list(range(96))


LOOK_BACK = """
    %block = gpu.block_id x
    %zero = arith.constant 0 : i32
    %one = arith.constant 1 : i32
    %first = arith.cmpi eq, %t, %c0 : index
    scf.if %first {
      %start = arith.cmpi eq, %block, %c0 : index
      %before = scf.if %start -> (i32) {
        scf.yield %zero : i32
      } else {
        %p = arith.subi %block, %c1 : index
        scf.while () : () -> () {
          %flag = "memref.atomic_rmw"(%zero, %b, %p) <{kind = 1 : i64}> : (i32, memref<5xi32>, index) -> i32
          %wait = arith.cmpi eq, %flag, %zero : i32
          scf.condition(%wait)
        } do {
          scf.yield
        }
        %sum = memref.load %c[%p] : memref<5xi32>
        scf.yield %sum : i32
      }
      %own = memref.load %a[%block] : memref<5xi32>
      %sum = arith.addi %before, %own : i32
      memref.store %sum, %c[%block] : memref<5xi32>
      FENCE
      %old = "memref.atomic_rmw"(%one, %b, %block) <{kind = 1 : i64}> : (i32, memref<5xi32>, index) -> i32
    }"""


def test_a_block_may_wait_for_one_before_it() -> None:
    a, b, c = np.arange(5, dtype=np.int32) + 1, np.zeros(5, np.int32), np.zeros(5, np.int32)
    launch(LOOK_BACK.replace("FENCE", "nvvm.memory.barrier <gpu>"), a, b, c, grid=(5, 1, 1))
    np.testing.assert_array_equal(c, np.cumsum(a))


def test_a_flag_without_a_fence_is_a_race() -> None:
    a, b, c = np.ones(5, np.int32), np.zeros(5, np.int32), np.zeros(5, np.int32)
    with pytest.raises(InterpreterError, match="data race"):
        launch(LOOK_BACK.replace("FENCE", ""), a, b, c, grid=(5, 1, 1))


def test_views_of_one_arena_are_one_memory() -> None:
    text = """
    module attributes {gpu.container_module} {
      gpu.module @kernels {
        gpu.func @k(%x: memref<8xf32>, %y: memref<8xf32>) kernel {
          %t = gpu.thread_id x
          %v = memref.load %x[%t] : memref<8xf32>
          memref.store %v, %y[%t] : memref<8xf32>
          gpu.return
        }
      }
      func.func @main(%arena: memref<64xi8>) {
        %one = arith.constant 1 : index
        %n = arith.constant 8 : index
        %from = arith.constant 0 : index
        %to = arith.constant WHERE : index
        %x = memref.view %arena[%from][] : memref<64xi8> to memref<8xf32>
        %y = memref.view %arena[%to][] : memref<64xi8> to memref<8xf32>
        gpu.launch_func @kernels::@k blocks in (%one, %one, %one) threads in (%n, %one, %one)
          args(%x : memref<8xf32>, %y : memref<8xf32>)
        func.return
      }
    }"""
    arena = np.arange(64, dtype=np.int8)
    interpret(parse(text.replace("WHERE", "32")), "main", [arena])
    np.testing.assert_array_equal(arena, np.tile(np.arange(32), 2))
    with pytest.raises(InterpreterError, match=r"data race: thread \(\d, 0, 0\) of block \(0, 0, 0\) writes element"):
        interpret(parse(text.replace("WHERE", "16")), "main", [arena])


STORE = f"""
    %s = memref.get_global @s : memref<64xi32, {SHARED}>
    %v = arith.index_cast %t : index to i32
    memref.store %v, %s[%t] : memref<64xi32, {SHARED}>"""
NEIGHBOUR = f"""
    %o = arith.xori %t, %c1 : index
    %w = memref.load %s[%o] : memref<64xi32, {SHARED}>"""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            "%i = arith.addi %t, %c1 : index\n%v = memref.load %a[%i] : memref<64xi32>",
            "memref.load in @k: thread (63, 0, 0) of block (0, 0, 0): "
            "index 64 is out of bounds of dimension 0, of size 64",
            id="out-of-bounds",
        ),
        pytest.param(
            "%v = vector.load %a[%t] : memref<64xi32>, vector<4xi32>",
            "thread (61, 0, 0) of block (0, 0, 0): index 64 is out of bounds",
            id="vector-out-of-bounds",
        ),
        pytest.param(
            STORE + NEIGHBOUR,
            "data race: thread (0, 0, 0) of block (0, 0, 0) reads element 1 of @s, which thread (1, 0, 0) of "
            "block (0, 0, 0) writes (memref.store) with no barrier between",
            id="read-after-write",
        ),
        pytest.param(
            STORE + "\ngpu.barrier\n" + NEIGHBOUR + f"\nmemref.store %w, %s[%t] : memref<64xi32, {SHARED}>",
            "data race: thread (0, 0, 0) of block (0, 0, 0) writes element 0 of @s, which thread (1, 0, 0) of "
            "block (0, 0, 0) read",
            id="write-after-read",
        ),
        pytest.param(
            STORE + f"\nmemref.store %v, %s[%c3] : memref<64xi32, {SHARED}>",
            "data race: thread (0, 0, 0) of block (0, 0, 0) writes element 3 of @s",
            id="write-after-write",
        ),
        pytest.param(
            "%h = arith.cmpi ult, %t, %c32 : index\nscf.if %h {\n gpu.barrier\n}",
            "gpu.barrier in @k: 32 threads come to the barrier, 64 must: thread (0, 0, 0) of block (0, 0, 0) is one",
            id="barrier",
        ),
        pytest.param(
            "%h = arith.cmpi ult, %t, %c8 : index\nscf.if %h {\n %x = gpu.subgroup_reduce add %t : (index) -> index\n}",
            "not every lane of its warp comes: the lanes named are 0xffffffff, those that come 0x000000ff",
            id="warp",
        ),
        pytest.param(
            f"%d = gpu.dynamic_shared_memory : memref<?xi8, {SHARED}>\n"
            f"%x = memref.view %d[%c64][] : memref<?xi8, {SHARED}> to memref<8xf32, {SHARED}>",
            "byte 96 is out of bounds of 64 bytes",
            id="dynamic-shared-memory",
        ),
        pytest.param(
            f"%d = gpu.dynamic_shared_memory : memref<?xi8, {SHARED}>\n"
            f"%x = memref.view %d[%c2][] : memref<?xi8, {SHARED}> to memref<4xf32, {SHARED}>\n"
            f"%y = memref.load %x[%c0] : memref<4xf32, {SHARED}>",
            "byte 2 is not aligned to elements of 4 bytes",
            id="misaligned",
        ),
    ],
)
def test_what_has_no_meaning_is_reported(body: str, message: str) -> None:
    with pytest.raises(InterpreterError, match=re.escape(message)):
        launch(body, np.zeros(64, np.int32), block=(64, 1, 1), shared="64xi32", dynamic=64)


def test_a_barrier_between_makes_it_right() -> None:
    body = STORE + "\ngpu.barrier\n" + NEIGHBOUR + f"\ngpu.barrier\nmemref.store %w, %s[%t] : memref<64xi32, {SHARED}>"
    launch(body, np.zeros(64, np.int32), grid=(3, 1, 1), block=(64, 1, 1), shared="64xi32")


def test_a_barrier_of_the_warp_orders_its_lanes_only() -> None:
    warp = "%all = arith.constant -1 : i32\nnvvm.bar.warp.sync %all : i32\n"
    launch(STORE + warp + NEIGHBOUR, np.zeros(64, np.int32), block=(64, 1, 1), shared="64xi32")
    other = NEIGHBOUR.replace("%t, %c1", "%t, %c32")
    with pytest.raises(InterpreterError, match="data race"):
        launch(STORE + warp + other, np.zeros(64, np.int32), block=(64, 1, 1), shared="64xi32")


@pytest.mark.parametrize(
    ("grid", "block", "dynamic", "message"),
    [
        ((1, 1, 1), (2048, 1, 1), 0, "is more than 1024"),
        ((0, 1, 1), (32, 1, 1), 0, "the grid is (0, 1, 1), expected positive sizes"),
        ((1, 70000, 1), (32, 1, 1), 0, "more than 65535 blocks along y or z"),
        ((1, 1, 1), (32, 1, 1), 300_000, "a block cannot have 300000 bytes of shared memory, only 232448"),
    ],
)
def test_a_launch_that_no_device_takes_is_refused(
    grid: Sequence[int], block: Sequence[int], dynamic: int, message: str
) -> None:
    with pytest.raises(InterpreterError, match=re.escape(message)):
        launch("", np.zeros(1, np.int32), grid=grid, block=block, dynamic=dynamic)
