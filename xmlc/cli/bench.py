"""`xmlc bench`: measure xmlc and its peers side by side, show a record, compare two."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xmlc.cli.group import Group
from xmlc.files import write_whole
from xmlc.logs import log_to_standard_error
from xmlc.wording import known_names

if TYPE_CHECKING:
    from xmlc.bench.case import Case
    from xmlc.bench.measure import Plan
    from xmlc.bench.record import Cell, Record
    from xmlc.bench.roofs import Roofs

Command = TypeVar("Command", bound=Callable[..., Any])

CASE_OVERHEAD = 1.5
"""Of the time a budget gives a case, this is to what of it is measuring as one is to the whole: the rest prepares."""


LONGEST_SPIN = 0.3
"""Seconds: threads that wait for work have stopped spinning after this."""
WARM_UP = 0.05
"""Seconds: the threads of a contestant that is called so long have found their cores."""
SAMPLE = 0.01
"""Seconds of a sample of several threads, which disturb each other for moments."""
MOST_SHOWN = 10
"""Cells in the list of those where xmlc is furthest behind."""


DEVICES = {"cpu": "micro", "cuda": "gpu"}
"""Device -> the suite of its single operations: `--device cuda` is another way to name that suite."""


class BenchGroup(Group):
    """The suites, one of which may be named by its device."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        name, _, value = args[0].partition("=") if args else ("", "", "")
        if name != "--device":
            return super().parse_args(ctx, args)
        rest = args[1:]
        if not value:
            value, rest = (rest[0], rest[1:]) if rest else ("", [])
        if value not in DEVICES:
            raise click.UsageError(f"unknown device '{value}'\nhint: {known_names(value, DEVICES)}", ctx)
        return super().parse_args(ctx, [DEVICES[value], *rest])


@click.group(cls=BenchGroup)
@click.option("--device", metavar="cpu|cuda", help="the single operations of a device, instead of a suite's name")
def bench(device: str | None) -> None:
    """Measure xmlc and its peers side by side, in one run, on random inputs, each answer checked.

    Peers that are not installed are reported as absent. Times are of this machine, now: compare records with `xmlc
    bench compare`, which takes the drift of the peers out.
    """
    log_to_standard_error()


def measuring(command: Command) -> Command:
    """The options of the commands that measure."""
    options = (
        click.option("--only", metavar="REGEX", help="cases whose name or group matches"),
        click.option("--quick", is_flag=True, help="a few cases, measured briefly"),
        click.option("--budget", type=click.FloatRange(min=1), metavar="SECONDS", help="start no case after this"),
        click.option(
            "--threads",
            default="1",
            show_default=True,
            metavar="LIST",
            help="how many each contestant may use, such as 1,2",
        ),
        click.option("--peers", metavar="LIST", help="such as numpy,onnxruntime; all by default; 'none'"),
        click.option(
            "--patience",
            default=120.0,
            show_default=True,
            metavar="SECONDS",
            help="give a contestant up that is silent for so long",
        ),
        click.option("-o", "output", type=click.Path(path_type=Path), metavar="FILE.json", help="write the record"),
        click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="draw it; .svg too"),
        click.option("--list", "just_list", is_flag=True, help="print the names of the cases and stop"),
        click.option("--json", "as_json", is_flag=True, help="print the record instead of tables"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@bench.command()
@measuring
def micro(**options: Any) -> int:
    """Single operations: products, convolutions, softmax, norms, reductions, transposes, attention."""
    from xmlc.bench.micro import micro as cases

    return run_suite("micro", cases(), **options)


@bench.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    help="folder of ONNX files, such as benchmarks/fetch_models.py fetches; else the network of `xmlc demo`",
)
@click.option("--every-shape", is_flag=True, help="models of free sizes at each of their sizes, not the first only")
@measuring
def models(folder: Path | None, every_shape: bool, **options: Any) -> int:
    """Whole ONNX models of a folder."""
    from xmlc.bench.models import models as cases
    from xmlc.cli.demo import example

    return run_suite("models", cases(folder or example("digits.onnx").parent, every_shape), **options)


def part_of(ctx: click.Context, parameter: click.Parameter, text: str | None) -> slice:
    """Which of the cases K/N means."""
    if text is None:
        return slice(None)
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise click.BadParameter(f"'{text}' is no part\nhint: 1/2 and 2/2 are halves", ctx, parameter)
    return slice(int(found[1]) - 1, None, int(found[2]))


@bench.command()
@click.option("--only", metavar="REGEX", help="cases whose name matches")
@click.option("--budget", type=click.FloatRange(min=1), metavar="SECONDS", help="start no case after this")
@click.option("--folder", type=click.Path(path_type=Path), help="where compiled cases are kept; else a temporary one")
@click.option("--build", "only_build", is_flag=True, help="only compile, into --folder: needs no GPU")
@click.option("--built", is_flag=True, help="only measure what --folder has: needs no LLVM")
@click.option("--target", default="cuda:sm_90a", show_default=True, help="what to compile for")
@click.option("--compilers/--no-compilers", default=True, help="measure torch.compile and JAX too: seconds a case")
@click.option("--part", metavar="K/N", callback=part_of, help="every N-th case, from the K-th: for several GPUs")
@click.option(
    "--join",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE.json",
    help="records of parts, to be one: nothing is measured",
)
@click.option("-o", "output", type=click.Path(path_type=Path), metavar="FILE.json", help="write the record")
@click.option("--list", "just_list", is_flag=True, help="print the names of the cases and stop")
def gpu(
    only: str | None,
    part: slice,
    join: Sequence[Path],
    budget: float | None,
    folder: Path | None,
    only_build: bool,
    built: bool,
    target: str,
    compilers: bool,
    output: Path | None,
    just_list: bool,
) -> int:
    """Kernels on an NVIDIA GPU from 64 x 64 to 65536 x 65536, beside PyTorch, JAX and CUB (CuPy's, cuda.cccl's)."""
    from tempfile import TemporaryDirectory

    from xmlc.bench.gpu.cases import cases

    pattern = re.compile(only or "")
    chosen = [case for case in cases() if pattern.search(case.name)][part]
    if just_list:
        for case in chosen:
            click.echo(case.name)
        return 0
    if join:
        from xmlc.bench.gpu.measure import joined, to_json

        record = joined([json.loads(path.read_text(encoding="utf-8")) for path in join])
        click.echo(to_json(record), nl=False) if output is None else write_whole(output, to_json(record))
        return 0
    if (only_build or built) and folder is None:
        raise click.UsageError("--build and --built need --folder")
    with TemporaryDirectory() as temporary:
        where = folder or Path(temporary)
        where.mkdir(parents=True, exist_ok=True)
        if not built:
            from xmlc.bench.gpu.build import build

            for case in chosen:
                build(case, where, target)
        if only_build:
            return 0
        from xmlc.bench.gpu.measure import measure, to_json

        record = measure([case for case in chosen if (where / case.file).exists()], where, budget, compilers)
    if output is not None:
        write_whole(output, to_json(record))
    return int(any(not cell["right"] for cell in record["cells"]))


def run_suite(
    suite: str,
    cases: Sequence[Case],
    *,
    only: str | None,
    quick: bool,
    budget: float | None,
    threads: str,
    peers: str | None,
    patience: float,
    output: Path | None,
    plot: Path | None,
    just_list: bool,
    as_json: bool,
) -> int:
    from xmlc.bench.plot import check_plot, write_plot

    chosen = chosen_cases(cases, only, quick)
    if just_list:
        for case in chosen:
            click.echo(case.name)
        return 0
    if plot is not None:
        check_plot(plot)
    record = measured(suite, chosen, counts(threads), contestants(peers), quick, budget, patience)
    if output is not None:
        write_whole(output, record.to_json())
    if plot is not None:
        write_plot(record, plot)
    if as_json:
        click.echo(record.to_json(), nl=False)
    else:
        show_record(record)
    return 1 if any("xmlc" in cell.outcomes and cell.outcomes["xmlc"].status == "wrong" for cell in record.cells) else 0


def chosen_cases(cases: Sequence[Case], only: str | None, quick: bool) -> list[Case]:
    """Raises click.UsageError for a pattern that is none, or that nothing matches."""
    try:
        pattern = re.compile(only or "")
    except re.error as error:
        raise click.UsageError(f"'{only}' is not a regular expression: {error}") from error
    chosen = [case for case in cases if pattern.search(case.name) or pattern.search(case.group)]
    chosen = [case for case in chosen if case.quick or not quick]
    if not chosen:
        raise click.UsageError(f"no case matches '{only}'\nhint: --list shows their names")
    return chosen


def counts(text: str) -> list[int]:
    numbers = text.split(",")
    if not all(each.strip().isdecimal() and int(each) > 0 for each in numbers):
        raise click.UsageError(f"cannot read the numbers of threads '{text}'\nhint: give one or more, such as 1,2")
    return list(dict.fromkeys(int(each) for each in numbers))


def contestants(text: str | None) -> list[str]:
    """The names given, ours first."""
    from xmlc.bench.peers import OURS, PEERS

    if text is None:
        return list(PEERS)
    names = [] if text == "none" else [each.strip() for each in text.split(",")]
    for name in names:
        if name not in PEERS:
            raise click.UsageError(f"unknown peer '{name}'\nhint: {known_names(name, PEERS)}")
    return list(dict.fromkeys([OURS, *names]))


def measured(
    suite: str,
    cases: list[Case],
    threads: list[int],
    names: list[str],
    quick: bool,
    budget: float | None,
    patience: float,
) -> Record:
    """Run the sessions, one for each number of threads, and put their findings together."""
    from xmlc.bench.machine import commit, load, machine
    from xmlc.bench.peers import absent_peers, versions
    from xmlc.bench.record import Record
    from xmlc.bench.runner import run_cases

    absent = absent_peers(names)
    present = [name for name in names if name not in absent]
    started = time.monotonic()
    date = datetime.now(UTC).isoformat(timespec="seconds")
    about = machine()
    roofs: dict[int, Roofs] = {}
    cells: list[Cell] = []
    left_out: list[str] = []
    plans = {count: plan_for(quick, budget, len(cases) * len(threads), len(present), count) for count in threads}
    with progress_bar(len(cases) * len(threads)) as progress:
        for i, (count, plan) in enumerate(plans.items()):
            deadline = None if budget is None else started + budget * (i + 1) / len(threads)
            found = run_cases(cases, present, count, plan, patience, progress, deadline)
            if found.roofs is not None:
                roofs[count] = found.roofs
            cells += found.cells
            left_out += found.left_out
            if found.interrupted:
                left_out += [f"{case.name} [{later}]" for later in threads[i + 1 :] for case in cases]
                break
    about["load_after"] = load()
    settings = {
        "quick": quick,
        "budget_s": budget,
        "patience_s": patience,
        "contestants": present,
        "plans": {str(count): asdict(plan) for count, plan in plans.items()},
    }
    return Record(suite, date, about, versions(present), commit(), settings, absent, roofs, cells, left_out)


def plan_for(quick: bool, budget: float | None, cells: int, contestants: int, threads: int) -> Plan:
    """How long to measure each contestant: briefly when quick, and within what a budget leaves for each.

    With several threads half of the time goes into warming them up.
    """
    from xmlc.bench.measure import Plan

    seconds, rounds = (0.1, 7) if quick else (0.5, 15)
    if threads > 1:
        seconds *= 2
    if budget is not None:
        seconds = min(seconds, max(0.02, budget / cells / contestants / (1 + CASE_OVERHEAD)))
    if threads == 1:
        return Plan(rounds=rounds, seconds=seconds)
    return Plan(rounds, seconds, sample_s=SAMPLE, pause_s=LONGEST_SPIN, warm_s=WARM_UP)


class progress_bar:  # used as a function
    """A bar on standard error while measuring, on a terminal only."""

    def __init__(self, total: int):
        self.total = total

    def __enter__(self) -> Callable[[str, str, Cell | None], None]:
        self.bar: Any = None
        if not sys.stderr.isatty():
            return lambda case, what, cell: None
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self.bar.start()
        task = self.bar.add_task("starting", total=self.total)

        def progress(case: str, what: str, cell: Cell | None) -> None:
            self.bar.update(task, description=f"{case}: {what}" if what else case, advance=0 if cell is None else 1)

        return progress

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()


def show_record(record: Record) -> None:
    from xmlc.bench.table import cell_table, group_table, header, show, slowest_table, troubles

    for line in header(record):
        click.echo(line)
    click.echo()
    show(cell_table(record))
    click.echo()
    show(group_table(record))
    behind = slowest_table(record, MOST_SHOWN)
    if behind.rows:
        click.echo()
        show(behind)
    found = troubles(record)
    if found:
        click.echo("\nnot counted:")
        for line in found:
            click.echo(f"  {line}")
    if record.left_out:
        click.echo(f"\nleft out: {', '.join(record.left_out)}")


@bench.command(name="show")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="draw it; .svg too")
@click.option("--threads", type=int, help="number of threads to draw; the least by default")
def show_(file: Path, plot: Path | None, threads: int | None) -> None:
    """Show the record in FILE."""
    from xmlc.bench.plot import write_plot
    from xmlc.bench.record import read_record

    record = read_record(file)
    if plot is not None:
        write_plot(record, plot, threads)
    else:
        show_record(record)


@bench.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--contestant", default="xmlc", show_default=True, help="whose times to compare")
@click.option("--all", "everything", is_flag=True, help="cells within the noise too")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def compare(old: Path, new: Path, contestant: str, everything: bool, as_json: bool) -> int:
    """Compare the record NEW with OLD; the exit code is 1 where a cell became slower beyond the noise, or wrong.

    What the machine itself drifted by, which is seen from peers of the same version, is taken out.
    """
    from xmlc.bench.compare import compare as compare_records
    from xmlc.bench.record import read_record
    from xmlc.bench.table import change_table, show, threads_text

    made = compare_records(read_record(old), read_record(new), contestant)
    if as_json:
        changes = [{**asdict(change), "verdict": change.verdict} for change in made.changes]
        click.echo(json.dumps({**asdict(made), "changes": changes, "mean": made.mean}, indent=1))
        return 1 if made.regressions or made.broken else 0
    for note in made.notes:
        click.echo(f"note: {note}")
    for count, drift in made.drift.items():
        click.echo(f"drift of the machine, {threads_text(count)}: {drift:.2f}x (peers' time, new over old)")
    table = change_table(made, everything)
    if table.rows:
        show(table)
    for cell, what in made.broken.items():
        click.echo(f"broken: {cell}: {what}")
    for cell in made.mended:
        click.echo(f"mended: {cell}")
    for name, keys in (("old", made.only_old), ("new", made.only_new)):
        if keys:
            click.echo(f"{len(keys)} cells are in the {name} record only")
    slower, faster = len(made.regressions), sum(change.verdict == "faster" for change in made.changes)
    click.echo(
        f"{len(made.changes)} cells compared: geometric mean {made.mean:.3f}x without drift, "
        f"{slower} slower and {faster} faster beyond the noise"
    )
    return 1 if made.regressions or made.broken else 0


@bench.command()
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def peers(as_json: bool) -> None:
    """Show which peers are installed, and how to install the others."""
    from xmlc.bench.peers import PEERS, absent_peers, versions

    absent, found = absent_peers(list(PEERS)), versions(list(PEERS))
    rows = {name: absent.get(name) or f"{peer.package} {found.get(peer.package, '')}" for name, peer in PEERS.items()}
    if as_json:
        records = [{"peer": name, "installed": name not in absent, "what": what} for name, what in rows.items()]
        click.echo(json.dumps(records, indent=2))
        return
    for name, what in rows.items():
        click.echo(f"{name:14} {'absent: ' if name in absent else ''}{what}")
