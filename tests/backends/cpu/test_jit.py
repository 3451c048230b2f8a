"""Compiling and loading: errors are told before code runs, and memory belongs to whoever holds the code."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from collections.abc import Callable

import pytest

from xmlc.backends.cpu import jit
from xmlc.backends.cpu.target import parse_target
from xmlc.dialects.diagnostics import CompileError

ADD_ONE = """
define void @main.packed(ptr %slots) {
  %x = load i64, ptr %slots
  %y = add i64 %x, 1
  store i64 %y, ptr %slots
  ret void
}
"""
CALLS = """
declare void @tell(i64)
declare void @forgotten()
define void @main.packed(ptr %slots) {
  call void @tell(i64 1)
  call void @forgotten()
  ret void
}
"""


def compiled(text: str, target: str = "cpu") -> bytes:
    return jit.compile_to_object(text, parse_target(target))


def test_a_missing_function_is_named_before_anything_is_loaded() -> None:
    tell = ctypes.CFUNCTYPE(None, ctypes.c_int64)(lambda value: None)
    with pytest.raises(CompileError, match="functions that are not provided: forgotten"):
        jit.load_object(compiled(CALLS), {"tell": tell})


def test_a_name_that_is_not_exported_suggests_another() -> None:
    with pytest.raises(CompileError) as raised:
        jit.load_object(compiled(ADD_ONE)).function("mian")
    assert (
        str(raised.value) == "error: the compiled module has no function 'mian.packed'\nhint: did you mean main.packed?"
    )


@pytest.mark.parametrize("cut", [0, 3, 40, 200, 500])
def test_a_damaged_object_is_refused(cut: int) -> None:
    with pytest.raises(CompileError, match="object"):
        jit.load_object(compiled(ADD_ONE)[:cut])


def test_an_object_for_another_machine_is_refused() -> None:
    other = "aarch64-linux-gnu" if parse_target("cpu").architecture == "x86_64" else "x86_64-linux-gnu"
    with pytest.raises(CompileError):
        jit.load_object(compiled(ADD_ONE, other))


def test_a_function_keeps_its_code() -> None:
    function = jit.load_object(compiled(ADD_ONE)).function("main")
    gc.collect()
    slots = (ctypes.c_int64 * 1)(41)
    function(slots)
    assert slots[0] == 42


def test_several_objects_link_with_each_other() -> None:
    caller = "declare i64 @two(i64)\n" + ADD_ONE.replace("add i64 %x, 1", "call i64 @two(i64 %x)")
    callee = "define i64 @two(i64 %x) {\n  %y = add i64 %x, 2\n  ret i64 %y\n}\n"
    objects = [compiled(caller), compiled(callee)]
    slots = (ctypes.c_int64 * 1)(40)
    jit.load_object(objects).function("main")(slots)
    assert slots[0] == 42


def test_many_modules_live_side_by_side() -> None:
    functions = [
        jit.load_object(compiled(ADD_ONE.replace("%x, 1", f"%x, {step}"))).function("main") for step in range(20)
    ]
    slots = (ctypes.c_int64 * 1)(0)
    for function in functions:
        function(slots)
    assert slots[0] == sum(range(20))


def test_threads_load_and_call_at_once() -> None:
    code = compiled(ADD_ONE)
    results: list[int] = []

    def work() -> None:
        slots = (ctypes.c_int64 * 1)(0)
        for _ in range(20):
            jit.load_object(code).function("main")(slots)
        results.append(slots[0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [20] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_calls_inherited_code_and_loads_its_own() -> None:
    code = compiled(ADD_ONE)
    inherited = jit.load_object(code).function("main")
    child = os.fork()
    if child == 0:
        slots = (ctypes.c_int64 * 1)(0)
        inherited(slots)
        jit.load_object(compiled(ADD_ONE)).function("main")(slots)
        os._exit(slots[0])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


def test_calls_that_llvm_introduces_resolve(emit: Callable[..., str]) -> None:
    """A loop that fills memory becomes memset; a remainder of floats is a call of fmod."""
    text = """
    define void @main.packed(ptr %slots) {
      %p = load ptr, ptr %slots
      call void @llvm.memset.p0.i64(ptr %p, i8 7, i64 4096, i1 false)
      %x = load double, ptr %p
      %r = frem double %x, 3.0
      store double %r, ptr %p
      ret void
    }"""
    buffer = (ctypes.c_int8 * 4096)()
    slots = (ctypes.c_void_p * 1)(ctypes.addressof(buffer))
    jit.load_object(compiled(text)).function("main")(slots)
    assert buffer[4095] == 7


def test_freed_modules_return_their_memory() -> None:
    text = ADD_ONE + "@big = global [4000000 x i8] zeroinitializer\n"
    code = compiled(text)

    def resident() -> int:
        with open("/proc/self/statm") as file:  # noqa: PTH123
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")

    if not os.path.exists("/proc/self/statm"):  # noqa: PTH110
        pytest.skip("needs Linux")
    jit.load_object(code).function("main")
    gc.collect()
    before = resident()
    for _ in range(50):
        jit.load_object(code).function("main")
    gc.collect()
    assert resident() - before < 50_000_000


def test_assembly_shows_vector_instructions_of_the_target() -> None:
    text = """
    define void @f(ptr noalias %x, ptr noalias %y) {
      %a = load <8 x float>, ptr %x
      %b = fadd <8 x float> %a, %a
      store <8 x float> %b, ptr %y
      ret void
    }"""
    assert "ymm" in jit.assembly(text, parse_target("x86_64-linux-gnu:avx2"))
    assert "v0.4s" in jit.assembly(text, parse_target("aarch64-linux-gnu"))
    assert "xmm" in jit.assembly(text, parse_target("x86_64-linux-gnu"))
