"""Small functions added to a printed module where LLVM has no instruction: roundings, divisions.

Each is written once for scalars and vectors alike, and always inlined.
"""

from __future__ import annotations

from collections.abc import Callable

from xmlc.backends.llvm_text.types import lanes_of, like


def define(symbol: str, result: str, argument: str, body: str) -> str:
    """A helper's text; in `body`, `{i32}` is i32 with as many lanes as `argument`, `[7]` a splat i32 7."""
    kinds = {name: like(argument, name) for name in ("i1", "i16", "i32", "float", "double")}
    text = body.format(kind=argument, **kinds)
    if lanes_of(argument) is not None:
        text = text.replace("[", "splat (i32 ").replace("]", ")")
    else:
        text = text.replace("[", "").replace("]", "")
    parameters = f"{argument} %x" + (f", {argument} %y" if "%y" in body else "")
    lines = "\n".join("  " + line.strip() for line in text.strip().splitlines())
    return f"define internal {result} {symbol}({parameters}) alwaysinline nounwind {{\n{lines}\n}}"


def widen_bf16(symbol: str, kind: str) -> str:
    """bf16 bits -> f32: they are the upper half of a float."""
    return define(
        symbol,
        like(kind, "float"),
        kind,
        """%wide = zext {i16} %x to {i32}
        %bits = shl {i32} %wide, [16]
        %result = bitcast {i32} %bits to {float}
        ret {float} %result""",
    )


def narrow_bf16(symbol: str, kind: str) -> str:
    """f32 -> bf16 bits: round to nearest even by adding just under half; NaN stays NaN, made quiet."""
    return define(
        symbol,
        like(kind, "i16"),
        kind,
        """%bits = bitcast {float} %x to {i32}
        %high = lshr {i32} %bits, [16]
        %odd = and {i32} %high, [1]
        %bias = add {i32} %odd, [32767]
        %sum = add {i32} %bits, %bias
        %rounded = lshr {i32} %sum, [16]
        %quiet = or {i32} %high, [64]
        %nan = fcmp uno {float} %x, %x
        %chosen = select {i1} %nan, {i32} %quiet, {i32} %rounded
        %result = trunc {i32} %chosen to {i16}
        ret {i16} %result""",
    )


def narrow_bf16_by_instruction(symbol: str, kind: str) -> str:
    """The same in one instruction (AVX-512 BF16), but for subnormals, which that one takes for zero."""
    if lanes_of(kind) != 16:
        return narrow_bf16(symbol, kind)
    return "\n".join(
        [
            "declare <16 x i1> @llvm.x86.avx512.fpclass.ps.512(<16 x float>, i32)",
            "declare <16 x bfloat> @llvm.x86.avx512bf16.cvtneps2bf16.512(<16 x float>)",
            narrow_bf16(f"{symbol}.exact", kind),
            f"define internal <16 x i16> {symbol}(<16 x float> %x) alwaysinline nounwind {{",
            "  %subnormal = call <16 x i1> @llvm.x86.avx512.fpclass.ps.512(<16 x float> %x, i32 32)",
            "  %lanes = bitcast <16 x i1> %subnormal to i16",
            "  %any = icmp ne i16 %lanes, 0",
            "  br i1 %any, label %careful, label %quick",
            "quick:",
            "  %rounded = call <16 x bfloat> @llvm.x86.avx512bf16.cvtneps2bf16.512(<16 x float> %x)",
            "  %bits = bitcast <16 x bfloat> %rounded to <16 x i16>",
            "  ret <16 x i16> %bits",
            "careful:",
            f"  %exact = call <16 x i16> {symbol}.exact(<16 x float> %x)",
            "  ret <16 x i16> %exact",
            "}",
        ]
    )


def widen_f16(symbol: str, kind: str) -> str:
    """f16 bits -> f32: shift into place and scale by 2**112, which is exact and covers subnormals too."""
    return define(
        symbol,
        like(kind, "float"),
        kind,
        """%wide = zext {i16} %x to {i32}
        %sign16 = and {i32} %wide, [32768]
        %sign = shl {i32} %sign16, [16]
        %rest16 = and {i32} %wide, [32767]
        %rest = shl {i32} %rest16, [13]
        %small = bitcast {i32} %rest to {float}
        %scale = bitcast {i32} [2004877312] to {float}
        %scaled = fmul {float} %small, %scale
        %bits = bitcast {float} %scaled to {i32}
        %special = icmp uge {i32} %rest, [260046848]
        %exponent = or {i32} %bits, [2139095040]
        %magnitude = select {i1} %special, {i32} %exponent, {i32} %bits
        %signed = or {i32} %magnitude, %sign
        %result = bitcast {i32} %signed to {float}
        ret {float} %result""",
    )


def narrow_f16(symbol: str, kind: str) -> str:
    """f32 -> f16 bits, to nearest even.

    Four cases side by side: NaN; overflow from 65520 on; subnormals, rounded by adding 0.5 whose last
    place is f16's smallest step; and the rest, rounded by adding just under half of the last place.
    """
    return define(
        symbol,
        like(kind, "i16"),
        kind,
        """%bits = bitcast {float} %x to {i32}
        %top = lshr {i32} %bits, [16]
        %sign = and {i32} %top, [32768]
        %a = and {i32} %bits, [2147483647]
        %shifted = lshr {i32} %a, [13]
        %payload = and {i32} %shifted, [1023]
        %quiet = or {i32} %payload, [32256]
        %absolute = bitcast {i32} %a to {float}
        %half = bitcast {i32} [1056964608] to {float}
        %added = fadd {float} %absolute, %half
        %addedbits = bitcast {float} %added to {i32}
        %subnormal = sub {i32} %addedbits, [1056964608]
        %odd = and {i32} %shifted, [1]
        %bias = add {i32} %odd, [-939520001]
        %sum = add {i32} %a, %bias
        %normal = lshr {i32} %sum, [13]
        %tiny = icmp ult {i32} %a, [947912704]
        %r1 = select {i1} %tiny, {i32} %subnormal, {i32} %normal
        %huge = icmp uge {i32} %a, [1199566848]
        %r2 = select {i1} %huge, {i32} [31744], {i32} %r1
        %nan = icmp ugt {i32} %a, [2139095040]
        %r3 = select {i1} %nan, {i32} %quiet, {i32} %r2
        %signed = or {i32} %r3, %sign
        %result = trunc {i32} %signed to {i16}
        ret {i16} %result""",
    )


def f64_to_odd_f32(symbol: str, kind: str) -> str:
    """f64 -> f32 rounded to odd: a second rounding, to 16 bits, then gives what a single one would.

    Inexact results are truncated towards zero and their last bit set (Boldo and Melquiond, 2008).
    """
    lanes = lanes_of(kind)
    suffix = "f64" if lanes is None else f"v{lanes}f64"
    return define(
        symbol,
        like(kind, "float"),
        kind,
        f"""%near = fptrunc {{double}} %x to {{float}}
        %back = fpext {{float}} %near to {{double}}
        %inexact = fcmp one {{double}} %back, %x
        %size = call {{double}} @llvm.fabs.{suffix}({{double}} %x)
        %nearsize = call {{double}} @llvm.fabs.{suffix}({{double}} %back)
        %larger = fcmp ogt {{double}} %nearsize, %size
        %step = zext {{i1}} %larger to {{i32}}
        %bits = bitcast {{float}} %near to {{i32}}
        %below = sub {{i32}} %bits, %step
        %odd = or {{i32}} %below, [1]
        %chosen = select {{i1}} %inexact, {{i32}} %odd, {{i32}} %bits
        %result = bitcast {{i32}} %chosen to {{float}}
        ret {{float}} %result""",
    )


def floor_divide(symbol: str, kind: str) -> str:
    """Signed division rounded down: one less where there is a remainder of the other sign."""
    return define(
        symbol,
        kind,
        kind,
        """%q = sdiv {kind} %x, %y
        %r = srem {kind} %x, %y
        %inexact = icmp ne {kind} %r, zeroinitializer
        %mixed = xor {kind} %r, %y
        %opposite = icmp slt {kind} %mixed, zeroinitializer
        %lower = and {i1} %inexact, %opposite
        %step = sext {i1} %lower to {kind}
        %result = add {kind} %q, %step
        ret {kind} %result""",
    )


def ceil_divide(symbol: str, kind: str) -> str:
    """Signed division rounded up: one more where there is a remainder of the same sign."""
    return define(
        symbol,
        kind,
        kind,
        """%q = sdiv {kind} %x, %y
        %r = srem {kind} %x, %y
        %inexact = icmp ne {kind} %r, zeroinitializer
        %mixed = xor {kind} %r, %y
        %same = icmp sge {kind} %mixed, zeroinitializer
        %higher = and {i1} %inexact, %same
        %step = zext {i1} %higher to {kind}
        %result = add {kind} %q, %step
        ret {kind} %result""",
    )


def ceil_divide_unsigned(symbol: str, kind: str) -> str:
    """Unsigned division rounded up: one more where there is a remainder."""
    return define(
        symbol,
        kind,
        kind,
        """%q = udiv {kind} %x, %y
        %r = urem {kind} %x, %y
        %inexact = icmp ne {kind} %r, zeroinitializer
        %step = zext {i1} %inexact to {kind}
        %result = add {kind} %q, %step
        ret {kind} %result""",
    )


def modulo(symbol: str, kind: str) -> str:
    """The remainder with the sign of the divisor, as affine maps have it."""
    return define(
        symbol,
        kind,
        kind,
        """%r = srem {kind} %x, %y
        %negative = icmp slt {kind} %r, zeroinitializer
        %raised = add {kind} %r, %y
        %result = select {i1} %negative, {kind} %raised, {kind} %r
        ret {kind} %result""",
    )


HELPERS: dict[str, Callable[[str, str], str]] = {
    "widen.bf16": widen_bf16,
    "narrow.bf16": narrow_bf16,
    "widen.f16": widen_f16,
    "narrow.f16": narrow_f16,
    "odd": f64_to_odd_f32,
    "floordiv": floor_divide,
    "ceildiv": ceil_divide,
    "ceildivu": ceil_divide_unsigned,
    "mod": modulo,
}
