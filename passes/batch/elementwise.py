"""Batches of element-wise ops."""

from __future__ import annotations

from xmlc.dialects.ml import elementwise as ml
from xmlc.passes.batch.batching import elementwise

ROWS = dict.fromkeys(ml.ELEMENTWISE, elementwise)
