"""Random Toy programs mean the same to NumPy, as generic functions, with shapes, simplified, and as `ml`."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.transforms.common_subexpression_elimination import CommonSubexpressionElimination

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.reference.interpreter import interpret
from xmlc.dialects.reference.toy import printed
from xmlc.driver import compile_module
from xmlc.frontend.toy import build, dump, parse
from xmlc.passes.infer_shapes import InferShapes
from xmlc.passes.inline import Inline
from xmlc.passes.lower_print import LowerPrint
from xmlc.passes.lower_toy import LowerToy
from xmlc.passes.simplify_toy import SimplifyToy
from xmlc.printing import PRINT_FUNCTIONS

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "toy"

STAGES: tuple[ModulePass, ...] = (
    Inline(),
    InferShapes(),
    SimplifyToy(),
    CommonSubexpressionElimination(),
    LowerToy(),
    LowerPrint(),
)


def output(module: ModuleOp) -> str:
    with redirect_stdout(io.StringIO()) as stream:
        interpret(module, functions=PRINT_FUNCTIONS)
    return stream.getvalue()


@dataclass
class Program:
    """A program while it is drawn: its statements and, for each variable, the value that NumPy says it has."""

    lines: list[str] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)

    def add(self, text: str, value: np.ndarray) -> None:
        self.lines.append(f"  var v{len(self.values)} = {text};")
        self.values.append(np.asarray(value, np.float64))


def shapes(most: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(1, 3), max_size=most).map(tuple)


def literal(value: np.ndarray) -> str:
    return f"[{', '.join(literal(part) for part in value)}]" if value.ndim else f"{value:g}"


def angles(shape: tuple[int, ...]) -> str:
    return f"<{', '.join(map(str, shape))}>"


FUNCTIONS = """struct Pair { var first; var second; }
def doubled(x) { return x + x; }
def swapped(x) { return doubled(transpose(x)); }
def difference(Pair p) { return p.first - p.second; }
"""


@st.composite
def programs(draw: Callable) -> tuple[str, str]:
    """The text of a program, and what it prints."""
    program = Program()
    for _ in range(draw(st.integers(1, 8))):
        step(draw, program)
    shown = draw(st.lists(st.integers(0, len(program.values) - 1), min_size=1, max_size=3))
    prints = [f"  print(v{i});" for i in shown]
    text = FUNCTIONS + "\n".join(["def main() {", *program.lines, *prints, "}"])
    return text, "".join(printed(program.values[i]) for i in shown)


def step(draw: Callable, program: Program) -> None:
    """One more variable, of any operation that fits."""
    kinds = ["literal", "pair"]
    if program.values:
        kinds += ["double", "swap", "transpose", "reshape", "broadcast", "same", "concat", "matmul", "sum"]
    kind = draw(st.sampled_from(kinds))
    if kind in ("literal", "pair"):
        shape = draw(shapes())
        a, b = (
            np.array(draw(st.lists(st.integers(-4, 4), min_size=n, max_size=n)), np.float64).reshape(shape)
            for n in [int(np.prod(shape))] * 2
        )
        program.add(*((literal(a), a) if kind == "literal" else (f"difference({{{literal(a)}, {literal(b)}}})", a - b)))
        return
    index = draw(st.integers(0, len(program.values) - 1))
    x, name = program.values[index], f"v{index}"
    if kind == "double":
        program.add(f"doubled({name})", x + x)
    elif kind == "swap":
        program.add(f"swapped({name})", 2 * np.transpose(x))
    elif kind == "transpose":
        program.add(f"transpose({name})", np.transpose(x))
    elif kind == "reshape":
        shape = draw(st.sampled_from([(x.size,), (1, x.size), (x.size, 1), x.shape[::-1], (*x.shape, 1)]))
        program.add(f"reshape({name}, {angles(shape)})", x.reshape(shape))
    elif kind == "broadcast" and x.ndim < 4:
        shape = (*draw(shapes(1)), *(draw(st.integers(1, 3)) if size == 1 else size for size in x.shape))
        program.add(f"broadcast({name}, {angles(shape)})", np.broadcast_to(x, shape))
    elif kind == "same":
        operator = draw(st.sampled_from("+-*"))
        value = {"+": x + x, "-": x - x, "*": x * x}[operator]
        program.add(f"{name} {operator} {name}", value)
    elif kind == "concat" and x.ndim:
        axis = draw(st.integers(-x.ndim, x.ndim - 1))
        program.add(f"concat({name}, {name}, {axis})", np.concatenate([x, x], axis))
    elif kind == "matmul" and x.ndim == 2:
        program.add(f"matmul({name}, transpose({name}))", x @ x.T)
    elif kind == "sum" and x.ndim:
        axis = draw(st.integers(-x.ndim, x.ndim - 1))
        program.add(f"reduce_sum({name}, {axis})", x.sum(axis))


@settings(max_examples=40, deadline=None)
@given(programs())
def test_every_stage_prints_what_numpy_computes(program: tuple[str, str]) -> None:
    # All numbers are small integers: every order of additions gives the same.
    source, wanted = program
    syntax = parse(source, "t.toy")
    assert dump(syntax)
    module = build(syntax)
    assert signless(output(module)) == signless(wanted)
    for stage in STAGES:
        stage.apply(Context(), module)
        module.verify()
        assert signless(output(module)) == signless(wanted), stage.name


def signless(text: str) -> str:
    """Zeros without their sign, which may differ between equal sums."""
    return text.replace("-0.000000", "0.000000")


OUTPUTS = {
    "arithmetic": "1.000000 16.000000 \n4.000000 25.000000 \n9.000000 36.000000 \n"
    "1.000000 8.000000 27.000000 \n64.000000 125.000000 216.000000 \n",
    "transposes": "1.000000 2.000000 3.000000 \n4.000000 5.000000 6.000000 \n",
    "reshapes": "1.000000 \n2.000000 \n",
    "structs": "31.000000 \n",
    "new_operations": "-1.500000 -0.500000 0.500000 1.500000 \n" * 2
    + "-1.000000 0.000000 0.000000 1.000000 \n"
    + "5.000000 5.000000 3.000000 \n" * 2
    + "3.000000 3.000000 2.000000 \n",
}


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_an_example_prints_its_numbers_at_every_stage(name: str) -> None:
    path = EXAMPLES / f"{name}.toy"
    module = build(parse(path.read_text(), path.name))
    assert output(module) == OUTPUTS[name]
    for stage in STAGES:
        stage.apply(Context(), module)
        assert output(module) == OUTPUTS[name], stage.name


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.toy")} == {*OUTPUTS, "mistakes"}


def test_the_example_of_mistakes_reports_all_five() -> None:
    path = EXAMPLES / "mistakes.toy"
    with pytest.raises(CompileError) as caught:
        build(parse(path.read_text(), path.name))
    assert [diagnostic.message for diagnostic in caught.value.diagnostics] == [
        "unknown variable 'c'",
        "cannot reshape tensor<3xf64> to tensor<2x2xf64>",
        "unknown function 'averge'",
        "variable 'x' is already defined",
        "'print' takes 1 argument, 2 given",
    ]


def printed_by_machine_code(module: ModuleOp) -> str:
    with redirect_stdout(io.StringIO()) as stream:
        compile_module(module)()
    return stream.getvalue()


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_an_example_prints_its_numbers_as_machine_code(name: str) -> None:
    path = EXAMPLES / f"{name}.toy"
    assert printed_by_machine_code(build(parse(path.read_text(), path.name))) == OUTPUTS[name]


@settings(max_examples=10, deadline=None)
@given(programs())
def test_machine_code_prints_what_numpy_computes(program: tuple[str, str]) -> None:
    source, wanted = program
    assert signless(printed_by_machine_code(build(parse(source, "t.toy")))) == signless(wanted)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abf <>(){}[];,.=+*-12#\n", max_size=60), st.booleans())
def test_any_text_is_a_program_or_a_compile_error(text: str, inside: bool) -> None:
    source = f"struct P {{ var a; }}\ndef f(a) {{ return a; }}\ndef main() {{ var a = 1; {text} }}" if inside else text
    try:
        module = build(parse(source, "t.toy"))
    except CompileError:
        return
    module.verify()
