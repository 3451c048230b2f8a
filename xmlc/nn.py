"""The functions of neural networks, on tensors and in functions that are being traced: one row each."""

from __future__ import annotations

from xmlc.frontend.python import nn as f
from xmlc.tensors.tensor import Operation

__all__ = [
    "attention",
    "avg_pool",
    "conv",
    "cross_entropy",
    "elu",
    "gelu",
    "layer_norm",
    "leaky_relu",
    "log_softmax",
    "max_pool",
    "one_hot",
    "relu",
    "rms_norm",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
]

attention = Operation(f.attention)
avg_pool = Operation(f.avg_pool)
conv = Operation(f.conv)
cross_entropy = Operation(f.cross_entropy)
elu = Operation(f.elu)
gelu = Operation(f.gelu)
layer_norm = Operation(f.layer_norm)
leaky_relu = Operation(f.leaky_relu)
log_softmax = Operation(f.log_softmax)
max_pool = Operation(f.max_pool)
one_hot = Operation(f.one_hot)
relu = Operation(f.relu)
rms_norm = Operation(f.rms_norm)
sigmoid = Operation(f.sigmoid)
silu = Operation(f.silu)
softmax = Operation(f.softmax)
softplus = Operation(f.softplus)
