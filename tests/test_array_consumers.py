"""Functions of scipy and scikit-learn that take arrays of the standard give with tensors what they do with arrays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

OF_SCIPY = """
import scipy.cluster.vq, scipy.integrate, scipy.optimize, scipy.signal, scipy.special, scipy.stats

FUNCTIONS = {
    "logsumexp": lambda a: scipy.special.logsumexp(a, axis=0),
    "softmax": lambda a: scipy.special.softmax(a, axis=1),
    "erf": scipy.special.erf,
    "zscore": scipy.stats.zscore,
    "skew": scipy.stats.skew,
    "kurtosis": scipy.stats.kurtosis,
    "pearsonr": lambda a: scipy.stats.pearsonr(a[:, 0], a[:, 1]).statistic,
    "ttest_1samp": lambda a: scipy.stats.ttest_1samp(a, 0.0).statistic,
    "trapezoid": lambda a: scipy.integrate.trapezoid(a, axis=0),
    "whiten": scipy.cluster.vq.whiten,
    "vq": lambda a: scipy.cluster.vq.vq(a, a[:3])[0],
    "rosen": lambda a: scipy.optimize.rosen(a[0, :]),
    "detrend": lambda a: scipy.signal.detrend(a, axis=0),
}
"""
OF_SKLEARN = """
import sklearn
from sklearn import decomposition, discriminant_analysis, linear_model, metrics, preprocessing

sklearn.set_config(array_api_dispatch=True)
FUNCTIONS = {
    "scaled": lambda a: preprocessing.StandardScaler().fit_transform(a),
    "between": lambda a: preprocessing.MinMaxScaler().fit_transform(a),
    "normalized": lambda a: preprocessing.Normalizer().fit_transform(a),
    "error": lambda a: metrics.mean_squared_error(a[:, 0], a[:, 1]),
    "determination": lambda a: metrics.r2_score(a[:, 0], a[:, 1]),
    "kernel": lambda a: metrics.pairwise.rbf_kernel(a, a),
    "components": lambda a: decomposition.PCA(2, svd_solver="full").fit(a).explained_variance_,
    "ridge": lambda a: linear_model.Ridge(solver="svd").fit(a, a[:, 0]).coef_,
}
"""
COMPARE = """
import numpy as np
from xmlc import numpy as xp

a = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
for name, function in FUNCTIONS.items():
    found, expected = function(xp.asarray(a)), function(a)
    assert isinstance(found, xp.Tensor | float), f"{name} gives {type(found)}"
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-3, atol=1e-5, err_msg=name)
"""


@pytest.mark.parametrize(("library", "functions"), [("scipy", OF_SCIPY), ("sklearn", OF_SKLEARN)])
def test_functions_of_a_library_take_tensors(library: str, functions: str) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed: it comes with the extra 'array'")
    environment = {"SCIPY_ARRAY_API": "1", "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", functions + COMPARE],
        cwd=Path(__file__).parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
