"""The functions of arrays as operations on tensors: one row each, with the names of the array API standard."""

from __future__ import annotations

from xmlc.frontend.python import functions as f
from xmlc.tensors.tensor import Operation

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "broadcast_arrays",
    "broadcast_to",
    "ceil",
    "clip",
    "concat",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "count_nonzero",
    "cumulative_max",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "divide",
    "einsum",
    "empty",
    "empty_like",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "expm1",
    "eye",
    "flip",
    "floor",
    "floor_divide",
    "full",
    "full_like",
    "greater",
    "greater_equal",
    "hypot",
    "imag",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "linspace",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "matmul",
    "matrix_transpose",
    "max",
    "maximum",
    "mean",
    "meshgrid",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "negative",
    "not_equal",
    "ones",
    "ones_like",
    "outer",
    "pad",
    "permute_dims",
    "positive",
    "pow",
    "prod",
    "real",
    "reciprocal",
    "remainder",
    "reshape",
    "roll",
    "round",
    "rsqrt",
    "searchsorted",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "topk",
    "tril",
    "triu",
    "trunc",
    "unstack",
    "var",
    "vecdot",
    "where",
    "zeros",
    "zeros_like",
]

abs = Operation(f.abs)
acos = Operation(f.acos)
acosh = Operation(f.acosh)
add = Operation(f.add)
all = Operation(f.all)
any = Operation(f.any)
arange = Operation(f.arange)
argmax = Operation(f.argmax)
argmin = Operation(f.argmin)
argsort = Operation(f.argsort)
asin = Operation(f.asin)
asinh = Operation(f.asinh)
astype = Operation(f.astype)
atan = Operation(f.atan)
atan2 = Operation(f.atan2)
atanh = Operation(f.atanh)
bitwise_and = Operation(f.bitwise_and)
bitwise_invert = Operation(f.bitwise_invert)
bitwise_left_shift = Operation(f.bitwise_left_shift)
bitwise_or = Operation(f.bitwise_or)
bitwise_right_shift = Operation(f.bitwise_right_shift)
bitwise_xor = Operation(f.bitwise_xor)
broadcast_arrays = Operation(f.broadcast_arrays)
broadcast_to = Operation(f.broadcast_to)
ceil = Operation(f.ceil)
clip = Operation(f.clip)
concat = Operation(f.concat)
conj = Operation(f.conj)
copysign = Operation(f.copysign)
cos = Operation(f.cos)
cosh = Operation(f.cosh)
count_nonzero = Operation(f.count_nonzero)
cumulative_max = Operation(f.cumulative_max)
cumulative_prod = Operation(f.cumulative_prod)
cumulative_sum = Operation(f.cumulative_sum)
diff = Operation(f.diff)
divide = Operation(f.divide)
einsum = Operation(f.einsum)
empty = Operation(f.empty)
empty_like = Operation(f.empty_like)
equal = Operation(f.equal)
erf = Operation(f.erf)
exp = Operation(f.exp)
expand_dims = Operation(f.expand_dims)
expm1 = Operation(f.expm1)
eye = Operation(f.eye)
flip = Operation(f.flip)
floor = Operation(f.floor)
floor_divide = Operation(f.floor_divide)
full = Operation(f.full)
full_like = Operation(f.full_like)
greater = Operation(f.greater)
greater_equal = Operation(f.greater_equal)
hypot = Operation(f.hypot)
imag = Operation(f.imag)
isfinite = Operation(f.isfinite)
isinf = Operation(f.isinf)
isnan = Operation(f.isnan)
less = Operation(f.less)
less_equal = Operation(f.less_equal)
linspace = Operation(f.linspace)
log = Operation(f.log)
log10 = Operation(f.log10)
log1p = Operation(f.log1p)
log2 = Operation(f.log2)
logaddexp = Operation(f.logaddexp)
logical_and = Operation(f.logical_and)
logical_not = Operation(f.logical_not)
logical_or = Operation(f.logical_or)
logical_xor = Operation(f.logical_xor)
matmul = Operation(f.matmul)
matrix_transpose = Operation(f.matrix_transpose)
max = Operation(f.max)
maximum = Operation(f.maximum)
mean = Operation(f.mean)
meshgrid = Operation(f.meshgrid)
min = Operation(f.min)
minimum = Operation(f.minimum)
moveaxis = Operation(f.moveaxis)
multiply = Operation(f.multiply)
negative = Operation(f.negative)
not_equal = Operation(f.not_equal)
ones = Operation(f.ones)
ones_like = Operation(f.ones_like)
outer = Operation(f.outer)
pad = Operation(f.pad)
permute_dims = Operation(f.permute_dims)
positive = Operation(f.positive)
pow = Operation(f.pow)
prod = Operation(f.prod)
real = Operation(f.real)
reciprocal = Operation(f.reciprocal)
remainder = Operation(f.remainder)
repeat = Operation(f.repeat)
reshape = Operation(f.reshape)
roll = Operation(f.roll)
round = Operation(f.round)
rsqrt = Operation(f.rsqrt)
searchsorted = Operation(f.searchsorted)
sign = Operation(f.sign)
signbit = Operation(f.signbit)
sin = Operation(f.sin)
sinh = Operation(f.sinh)
sort = Operation(f.sort)
split = Operation(f.split)
sqrt = Operation(f.sqrt)
square = Operation(f.square)
squeeze = Operation(f.squeeze)
stack = Operation(f.stack)
std = Operation(f.std)
subtract = Operation(f.subtract)
sum = Operation(f.sum)
take = Operation(f.take)
take_along_axis = Operation(f.take_along_axis)
tan = Operation(f.tan)
tanh = Operation(f.tanh)
tensordot = Operation(f.tensordot)
tile = Operation(f.tile)
topk = Operation(f.topk)
tril = Operation(f.tril)
triu = Operation(f.triu)
trunc = Operation(f.trunc)
unstack = Operation(f.unstack)
var = Operation(f.var)
vecdot = Operation(f.vecdot)
where = Operation(f.where)
zeros = Operation(f.zeros)
zeros_like = Operation(f.zeros_like)
