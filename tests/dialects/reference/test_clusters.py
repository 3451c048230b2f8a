"""Clusters on the GPU interpreter: blocks that wait for each other, and see each other's shared memory."""

from __future__ import annotations

import re

import numpy as np
import pytest
from launched_kernels import SHARED, launch
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.reference.interpreter import InterpreterError

MEET = "nvvm.cluster.arrive {aligned}\nnvvm.cluster.wait {aligned}\n"
TO_OTHER = f"""
%s = memref.get_global @s : memref<32xi64, {SHARED}>
%block = gpu.block_id x
%rank = arith.remui %block, %c2 : index
%place = arith.subi %c1, %rank : index
%other = arith.index_cast %place : index to i32
%there = gpu.peer_memory %s of %other : memref<32xi64, {SHARED}> -> memref<32xi64, 7>
%mine = arith.index_cast %block : index to i64
memref.store %mine, %there[%t] : memref<32xi64, 7>
"""
READ = f"""
%v = memref.load %s[%t] : memref<32xi64, {SHARED}>
memref.store %v, %a[%block, %t] : memref<6x32xi64>
"""


def test_blocks_of_a_cluster_write_into_each_others_shared_memory() -> None:
    a = np.zeros((6, 32), np.int64)
    launch(MEET + TO_OTHER + MEET + READ, a, grid=(6, 1, 1), shared="32xi64", cluster=2)
    np.testing.assert_array_equal(a[:, 0], [1, 0, 3, 2, 5, 4])


def test_without_a_barrier_of_the_cluster_that_is_a_race() -> None:
    with pytest.raises(InterpreterError, match="data race"):
        launch(
            TO_OTHER + "gpu.barrier\n" + READ, np.zeros((6, 32), np.int64), grid=(6, 1, 1), shared="32xi64", cluster=2
        )


def test_a_cluster_has_so_many_blocks_only() -> None:
    far = TO_OTHER.replace("arith.subi %c1, %rank", "arith.addi %c8, %rank")
    with pytest.raises(InterpreterError, match="there is no block 9 in a cluster of 2"):
        launch(far, np.zeros((6, 32), np.int64), grid=(6, 1, 1), shared="32xi64", cluster=2)


def test_every_block_of_a_cluster_comes_to_its_barrier() -> None:
    body = "%b = gpu.block_id x\n%first = arith.cmpi eq, %b, %c0 : index\nscf.if %first {\n" + MEET + "}"
    with pytest.raises(InterpreterError, match="not every block of its cluster comes to the barrier"):
        launch(body, np.zeros(1, np.int64), grid=(2, 1, 1), cluster=2)


def test_a_grid_is_made_of_whole_clusters() -> None:
    with pytest.raises(InterpreterError, match=re.escape("a grid of (3, 1, 1) blocks is not made of clusters")):
        launch("", np.zeros(1, np.int64), grid=(3, 1, 1), cluster=2)


def test_only_shared_memory_is_seen_by_other_blocks() -> None:
    body = "%one = arith.constant 1 : i32\n%there = gpu.peer_memory %a of %one : memref<4xi64> -> memref<4xi64, 7>"
    with pytest.raises(VerifyException, match="only shared memory is seen by other blocks"):
        launch(body, np.zeros(4, np.int64), cluster=2)
