# ruff: noqa: E501
"""Random programs at the linalg level, full of awkward reuse: inits read later, swapped loop values, repeated results."""

from __future__ import annotations

from random import Random

TYPES = {"tensor<4xf32>": (4,), "tensor<2x2xf32>": (2, 2), "tensor<3x4xf32>": (3, 4)}
PARALLEL = '"parallel"'
Values = dict[str, list[str]]


class Writer:
    """Writes the body of a function statement by statement; `scope` holds the tensors in sight by type."""

    def __init__(self, random: Random, kernels: bool):
        self.random = random
        self.kernels = kernels
        self.lines: list[str] = []
        self.count = 0

    def new(self, hint: str = "v") -> str:
        self.count += 1
        return f"%{hint}_{self.count}"

    def pick(self, scope: Values, type: str) -> str:
        return self.random.choice(scope[type])

    def any_type(self) -> str:
        return self.random.choice(list(TYPES))

    def statements(self, scope: Values, depth: int, indices: list[str]) -> None:
        """Append a few statements; what they make joins `scope`."""
        for _ in range(self.random.randint(1, 5 if depth == 0 else 3)):
            kinds = [self.pointwise, self.pointwise, self.insert, self.insert_slice, self.extract_slice, self.reshape]
            kinds += [self.fill, self.total, self.empty, self.gather]
            if self.kernels and depth < 2:
                kinds += [self.call]
            if depth < 2:
                kinds += [self.loop, self.branch, self.until]
            self.random.choice(kinds)(scope, depth, indices)

    def put(self, scope: Values, type: str, text: str, hint: str = "v") -> None:
        name = self.new(hint)
        self.lines.append(f"{name} = {text}")
        scope[type].append(name)

    def empty(self, scope: Values, depth: int, indices: list[str]) -> None:
        """An empty tensor is filled before others may read it: what it holds is not defined."""
        type = self.any_type()
        name = self.new("e")
        self.lines.append(f"{name} = tensor.empty() : {type}")
        self.put(scope, type, f"linalg.fill ins(%one : f32) outs({name} : {type}) -> {type}")

    def fill(self, scope: Values, depth: int, indices: list[str]) -> None:
        type = self.any_type()
        self.put(scope, type, f"linalg.fill ins(%half : f32) outs({self.pick(scope, type)} : {type}) -> {type}")

    def pointwise(self, scope: Values, depth: int, indices: list[str]) -> None:
        """out = f(a, b, init) at permuted or reversed places, with one or two results."""
        random = self.random
        type = self.any_type()
        shape = TYPES[type]
        dims = ", ".join(f"d{i}" for i in range(len(shape)))
        identity = f"affine_map<({dims}) -> ({dims})>"
        backwards = f"affine_map<({dims}) -> ({', '.join(f'{n - 1} - d{i}' for i, n in enumerate(shape))})>"
        maps = [random.choice([identity, identity, backwards]) for _ in range(2)]
        if type == "tensor<2x2xf32>" and random.random() < 0.3:
            maps[1] = "affine_map<(d0, d1) -> (d1, d0)>"
        inputs = [self.pick(scope, type) for _ in range(2)]
        results = random.randint(1, 2)
        inits: list[str] = []
        reads = random.random() < 0.5
        for _ in range(results):
            if not reads and random.random() < 0.5:
                inits.append(self.new("e"))
                self.lines.append(f"{inits[-1]} = tensor.empty() : {type}")
            else:
                inits.append(self.pick(scope, type))
        names = [self.new() for _ in range(results)]
        outs = ", ".join([type] * results)
        args = ", ".join(f"%{self.new('a')[1:]}: f32" for _ in range(2 + results))
        a, b, *old = [each.split(":")[0] for each in args.split(", ")]
        s, t = self.new("s"), self.new("s")
        yields = [s, t][:results]
        self.lines.append(
            f"{', '.join(names)} = linalg.generic {{indexing_maps = [{', '.join(maps + [identity] * results)}],"
            f" iterator_types = [{', '.join([PARALLEL] * len(shape))}]}}"
            f" ins({', '.join(inputs)} : {type}, {type}) outs({', '.join(inits)} : {outs}) {{\n^bb0({args}):\n"
            f"{s} = arith.addf {a}, {old[-1] if reads else b} : f32\n{t} = arith.subf {b}, {s} : f32\n"
            f"linalg.yield {', '.join(yields)} : {', '.join(['f32'] * results)}\n}} -> {outs}"
        )
        scope[type] += names

    def gather(self, scope: Values, depth: int, indices: list[str]) -> None:
        """out[i] = captured[3 - i] + init[i], read inside the body."""
        type = "tensor<4xf32>"
        captured, init = self.pick(scope, type), self.pick(scope, type)
        a, i, j, x, s = self.new("a"), self.new("i"), self.new("i"), self.new("x"), self.new("s")
        self.put(
            scope,
            type,
            'linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}'
            f" outs({init} : {type}) {{\n^bb0({a}: f32):\n{i} = linalg.index 0 : index\n{j} = arith.subi %i3, {i} : index\n"
            f"{x} = tensor.extract {captured}[{j}] : {type}\n{s} = arith.addf {x}, {a} : f32\nlinalg.yield {s} : f32\n}} -> {type}",
        )

    def total(self, scope: Values, depth: int, indices: list[str]) -> None:
        """out[j] += sum over i of x[i, j]."""
        x, init = self.pick(scope, "tensor<3x4xf32>"), self.pick(scope, "tensor<4xf32>")
        a, b, s = self.new("a"), self.new("a"), self.new("s")
        self.put(
            scope,
            "tensor<4xf32>",
            "linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>],"
            f' iterator_types = ["reduction", "parallel"]}} ins({x} : tensor<3x4xf32>) outs({init} : tensor<4xf32>)'
            f" {{\n^bb0({a}: f32, {b}: f32):\n{s} = arith.addf {a}, {b} : f32\nlinalg.yield {s} : f32\n}} -> tensor<4xf32>",
        )

    def insert(self, scope: Values, depth: int, indices: list[str]) -> None:
        source, dest = self.pick(scope, "tensor<2x2xf32>"), self.pick(scope, "tensor<4xf32>")
        scalar = self.new("x")
        self.lines.append(f"{scalar} = tensor.extract {source}[%i1, %i0] : tensor<2x2xf32>")
        at = self.random.choice(indices)
        self.put(scope, "tensor<4xf32>", f"tensor.insert {scalar} into {dest}[{at}] : tensor<4xf32>")

    def insert_slice(self, scope: Values, depth: int, indices: list[str]) -> None:
        if self.random.random() < 0.5:
            source, dest = self.pick(scope, "tensor<4xf32>"), self.pick(scope, "tensor<3x4xf32>")
            where = f"[{self.random.choice(indices)}, 0] [1, 4] [1, 1] : tensor<4xf32>"
        else:
            source, dest = self.pick(scope, "tensor<2x2xf32>"), self.pick(scope, "tensor<3x4xf32>")
            where = "[0, 1] [2, 2] [2, 2] : tensor<2x2xf32>"
        self.put(scope, "tensor<3x4xf32>", f"tensor.insert_slice {source} into {dest}{where} into tensor<3x4xf32>")

    def extract_slice(self, scope: Values, depth: int, indices: list[str]) -> None:
        source = self.pick(scope, "tensor<3x4xf32>")
        if self.random.random() < 0.5:
            where = f"[{self.random.choice(indices)}, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>"
            self.put(scope, "tensor<4xf32>", f"tensor.extract_slice {source}{where}")
        else:
            where = "[1, 0] [2, 2] [1, 3] : tensor<3x4xf32> to tensor<2x2xf32>"
            self.put(scope, "tensor<2x2xf32>", f"tensor.extract_slice {source}{where}")

    def reshape(self, scope: Values, depth: int, indices: list[str]) -> None:
        if self.random.random() < 0.5:
            source = self.pick(scope, "tensor<4xf32>")
            self.put(
                scope,
                "tensor<2x2xf32>",
                f"tensor.expand_shape {source} [[0, 1]] output_shape [2, 2] : tensor<4xf32> into tensor<2x2xf32>",
            )
        else:
            source = self.pick(scope, "tensor<2x2xf32>")
            self.put(
                scope, "tensor<4xf32>", f"tensor.collapse_shape {source} [[0, 1]] : tensor<2x2xf32> into tensor<4xf32>"
            )

    def call(self, scope: Values, depth: int, indices: list[str]) -> None:
        a, b = self.pick(scope, "tensor<4xf32>"), self.pick(scope, "tensor<3x4xf32>")
        names = [self.new(), self.new()]
        types = ("tensor<4xf32>", "tensor<3x4xf32>")
        self.lines.append(
            f"{', '.join(names)} = func.call @kernel({a}, {b}) : ({', '.join(types)}) -> ({', '.join(types)})"
        )
        for name, type in zip(names, types):
            scope[type].append(name)

    def carried(self, scope: Values) -> tuple[list[str], list[str], list[str]]:
        types = [self.any_type() for _ in range(self.random.randint(1, 3))]
        return types, [self.pick(scope, type) for type in types], [self.new("c") for _ in types]

    def inside(self, scope: Values, types: list[str], args: list[str]) -> Values:
        inner = {type: list(values) for type, values in scope.items()}
        for arg, type in zip(args, types):
            inner[type] += [arg] * 3  # more likely to be used
        return inner

    def block(self, inner: Values, depth: int, indices: list[str], types: list[str]) -> list[str]:
        self.statements(inner, depth + 1, indices)
        return [self.random.choice(inner[type][-6:]) for type in types]

    def loop(self, scope: Values, depth: int, indices: list[str]) -> None:
        types, inits, args = self.carried(scope)
        names, i = [self.new() for _ in types], self.new("i")
        listed = ", ".join(types)
        pairs = ", ".join(f"{arg} = {init}" for arg, init in zip(args, inits))
        upper = self.random.choice(["%i0", "%i1", "%i3"])
        self.lines.append(
            f"{', '.join(names)} = scf.for {i} = %i0 to {upper} step %i1 iter_args({pairs}) -> ({listed}) {{"
        )
        yielded = self.block(self.inside(scope, types, args), depth, [*indices, i], types)
        self.lines.append(f"scf.yield {', '.join(yielded)} : {listed}\n}}")
        for name, type in zip(names, types):
            scope[type].append(name)

    def branch(self, scope: Values, depth: int, indices: list[str]) -> None:
        types, _, _ = self.carried(scope)
        names = [self.new() for _ in types]
        x, flag = self.new("x"), self.new("f")
        self.lines.append(f"{x} = tensor.extract {self.pick(scope, 'tensor<4xf32>')}[%i0] : tensor<4xf32>")
        self.lines.append(f"{flag} = arith.cmpf olt, {x}, %half : f32")
        self.lines.append(f"{', '.join(names)} = scf.if {flag} -> ({', '.join(types)}) {{")
        for closing in ("} else {", "}"):
            yielded = self.block(self.inside(scope, [], []), depth, indices, types)
            self.lines.append(f"scf.yield {', '.join(yielded)} : {', '.join(types)}\n{closing}")
        for name, type in zip(names, types):
            scope[type].append(name)

    def until(self, scope: Values, depth: int, indices: list[str]) -> None:
        """A while loop that a counter ends after a few rounds; it hands on some of what it carries, in any order."""
        types, inits, args = self.carried(scope)
        handed = [self.any_type() for _ in range(self.random.randint(1, 3))]
        n, more, next_ = self.new("n"), self.new("f"), self.new("n")
        names = [self.new() for _ in handed]
        pairs = ", ".join(f"{arg} = {init}" for arg, init in zip([n, *args], ["%i0", *inits]))
        into, out = ", ".join(["index", *types]), ", ".join(["index", *handed])
        self.lines.append(f"{', '.join([self.new('n'), *names])} = scf.while ({pairs}) : ({into}) -> ({out}) {{")
        inner = self.inside(scope, types, args)
        if self.random.random() < 0.5:
            values = self.block(inner, depth, indices, handed)
        else:
            values = [self.random.choice(inner[type][-3:]) for type in handed]
        self.lines.append(f"{more} = arith.cmpi slt, {n}, {self.random.choice(['%i0', '%i2'])} : index")
        self.lines.append(f"scf.condition({more}) {', '.join([n, *values])} : {out}\n}} do {{")
        m, after = self.new("n"), [self.new("c") for _ in handed]
        header = ", ".join(f"{arg}: {type}" for arg, type in zip([m, *after], ["index", *handed]))
        self.lines.append(f"^bb0({header}):")
        yielded = self.block(self.inside(scope, handed, after), depth, indices, types)
        self.lines.append(f"{next_} = arith.addi {m}, %i1 : index")
        self.lines.append(f"scf.yield {', '.join([next_, *yielded])} : {into}\n}}")
        for name, type in zip(names, handed):
            scope[type].append(name)


CONSTANTS = """%half = arith.constant 0.5 : f32
%one = arith.constant 1.0 : f32
%dense = arith.constant dense<[[1.0, -2.0], [3.0, 0.25]]> : tensor<2x2xf32>
%splat = arith.constant dense<2.0> : tensor<3x4xf32>
"""


def function(random: Random, name: str, returns: list[str] | None, kernels: bool) -> str:
    """A function of the arguments tensor<4xf32>, tensor<3x4xf32>; `returns` None: any number of any results."""
    writer = Writer(random, kernels)
    scope: Values = {
        "tensor<4xf32>": ["%x"],
        "tensor<2x2xf32>": ["%dense"],
        "tensor<3x4xf32>": ["%y", "%splat"],
    }
    indices = ["%i0", "%i1", "%i2"]
    writer.statements(scope, 0, indices)
    writer.statements(scope, 0, indices)
    types = returns or [writer.any_type() for _ in range(random.randint(1, 4))]
    values = [random.choice(scope[type]) for type in types]
    kind = "private " if returns else ""
    mark = " attributes {xmlc.kernel}" if returns else ""
    constants = CONSTANTS + "".join(f"%i{n} = arith.constant {n} : index\n" for n in range(4))
    return (
        f"func.func {kind}@{name}(%x: tensor<4xf32>, %y: tensor<3x4xf32>) -> ({', '.join(types)}){mark} {{\n"
        + constants
        + "\n".join(writer.lines)
        + f"\nfunc.return {', '.join(values)} : {', '.join(types)}\n}}\n"
    )


def program(random: Random) -> str:
    """A module: @main, and the kernel it may call."""
    kernel = function(random, "kernel", ["tensor<4xf32>", "tensor<3x4xf32>"], kernels=False)
    return kernel + function(random, "main", None, kernels=True)
