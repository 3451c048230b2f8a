# For those who use lit: `lit filecheck_tests` runs the RUN lines as a shell does. pytest runs them too, and faster.
# ruff: noqa: F821  (lit gives us `config`)
import os
import shutil

import lit.formats

config.name = "xmlc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".toy", ".ll"]
config.environment["PATH"] = os.environ["PATH"]
for tool in ("mlir-opt-22", "mlir-translate-22"):
    if shutil.which(tool):
        config.available_features.add(tool)
