"""Training: optimisers, schedules, initial weights, batches, and parameters on disk.

    optimizer = training.adam(1e-3)
    state = optimizer.init(parameters)

    @xmlc.compile
    def step(parameters, state, x, labels):
        value, gradient = xmlc.value_and_grad(loss)(parameters, x, labels)
        parameters, state = optimizer.update(gradient, state, parameters)
        return parameters, state, value

Parameters are trees of arrays: dicts, lists, tuples, dataclasses. An optimiser is a pair of functions of such trees, so
that the forward pass, the gradients and the update become one program.
"""

from __future__ import annotations

from xmlc.training.batches import batches as batches
from xmlc.training.initializers import glorot_uniform as glorot_uniform
from xmlc.training.initializers import he_normal as he_normal
from xmlc.training.initializers import normal as normal
from xmlc.training.initializers import parameter_count as parameter_count
from xmlc.training.optimizers import Optimizer as Optimizer
from xmlc.training.optimizers import adam as adam
from xmlc.training.optimizers import adamw as adamw
from xmlc.training.optimizers import clip_by_norm as clip_by_norm
from xmlc.training.optimizers import global_norm as global_norm
from xmlc.training.optimizers import lion as lion
from xmlc.training.optimizers import sgd as sgd
from xmlc.training.progress import Progress as Progress
from xmlc.training.progress import plot_losses as plot_losses
from xmlc.training.safetensors import load_parameters as load_parameters
from xmlc.training.safetensors import save_parameters as save_parameters
from xmlc.training.schedules import cosine as cosine
from xmlc.training.schedules import exponential as exponential
from xmlc.training.schedules import linear as linear
from xmlc.training.schedules import warmup as warmup
