# For those who use lit: `lit filecheck_tests` runs the same RUN lines in a shell. pytest runs them too, and faster.
import lit.formats

config.name = "xmlc"  # noqa: F821
config.test_format = lit.formats.ShTest(execute_external=False)  # noqa: F821
config.suffixes = [".mlir", ".toy", ".ll"]  # noqa: F821
config.environment["PATH"] = __import__("os").environ["PATH"]  # noqa: F821
for tool in ("mlir-opt-22", "mlir-translate-22"):
    if __import__("shutil").which(tool):
        config.available_features.add(tool)  # noqa: F821
