"""Write a small network in Python, look at it, run passes on it, compile it, call it.

python examples/build_a_module.py
"""

from __future__ import annotations

import numpy as np

import xmlc
from xmlc import ml


def main() -> None:
    random = np.random.default_rng(0)
    weight = random.standard_normal((3, 4)).astype(np.float32)

    builder = xmlc.Builder()
    with builder.function("main", x=xmlc.tensor("2x3xf32"), weight=weight) as f:
        hidden = ml.relu(ml.matmul(f["x"], f["weight"]))
        f.returns(y=ml.softmax(hidden, axis=1))
    print(builder)

    builder.run("decompose,cse")
    print(builder)

    network = builder.compile()
    x = random.standard_normal((2, 3)).astype(np.float32)
    (y,) = network(x)
    print(y)

    (expected,) = builder.interpret(x)
    print("agrees with the reference:", np.allclose(y, expected, rtol=1e-5))

    try:
        with builder.function("wrong", a=xmlc.tensor("2x3xf32"), b=xmlc.tensor("2x3xf32")) as f:
            f.returns(ml.matmul(f["a"], f["b"]))
    except xmlc.CompileError as error:
        print(error)


if __name__ == "__main__":
    main()
