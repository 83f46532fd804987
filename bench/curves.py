#!/usr/bin/env python3
"""Cost as work grows: the time of one operation over a size, ours beside Go's, as CSV and picture.

`./runnel bench curves` runs it. Every point is the median of interleaved executions of runnel_curves (curves/curves.cpp)
and its Go twin (go/curves).
"""

import csv
import os
import shutil
import statistics
import subprocess
import sys
from argparse import SUPPRESS
from pathlib import Path

sys.dont_write_bytecode = True
BENCH = Path(__file__).resolve().parent
sys.path.insert(0, str(BENCH))

from driver import machine, peers, svg  # noqa: E402
from driver.arguments import Parser  # noqa: E402

TENS = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]
DOUBLING = [1, 2, 4, 8, 16, 32, 64]
WORK = [1, 10, 20, 40, 60, 80, 100, 150, 200, 400, 1000]

# kind, what one operation is, what the size is, processors, sizes, what the algorithm promises
CURVES = [
    ("yield", "a yield, all goroutines take turns", "goroutines", 1, TENS, "flat"),
    ("ring", "a hop of a token round a ring", "goroutines", 1, [2, *TENS[1:]], "flat"),
    ("park", "start, park, wake and end", "goroutines", 1, TENS, "flat"),
    ("capacity", "a value from producer to consumer", "channel capacity", 1, [4**i for i in range(9)], "flat"),
    ("mutex", "lock and unlock one mutex", "goroutines on 2 processors", 2, DOUBLING, "flat"),
    ("rwmutex", "one reader-writer mutex, 1 in 10 writes", "goroutines on 2 processors", 2, DOUBLING, "flat"),
    ("channel", "send and receive, one channel", "goroutines on 2 processors", 2, DOUBLING, "flat"),
    ("section2", "empty section of 2 goroutines, then work", "ns of work, 2 processors", 2, WORK, "linear"),
    ("section20", "the same of 20 goroutines", "ns of work, 2 processors", 2, WORK, "linear"),
    ("reset", "reset one of the pending timers", "pending timers", 1, [*TENS, 10_000_000], "log"),
    ("churn", "replace one of the pending timers", "pending timers", 1, [*TENS, 10_000_000], "log"),
    ("ready", "select, one case ready", "cases", 1, [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000], "linear"),
    ("blocked", "select that has to wait", "cases", 1, [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000], "linear"),
]


def systems(build):
    """Name, command and environment of each system that takes part."""
    ours = build / "bench" / "runnel_curves"
    if not ours.exists():
        sys.exit(f"bench: {ours} is not built")
    taking_part = [("runnel", ours, "RUNNEL_MAXPROCS")]
    if shutil.which("go"):
        try:
            taking_part.append(("go", peers.compile_go(build, BENCH / "go", "go.curves", "build", "./curves"), "GOMAXPROCS"))
        except peers.Failure as failure:
            print(f"bench: without Go: {failure}", file=sys.stderr)
    return taking_part


def execute(command, variable, procs, kind, size, seconds):
    """One execution, or nothing if it failed."""
    try:
        done = subprocess.run([command, kind, str(size), str(seconds)], capture_output=True, text=True, timeout=180,
                              check=False, env=dict(os.environ, **{variable: str(procs)}))
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        print(f"\nbench: {kind} {size}: {(done.stderr.strip() or done.returncode)}", file=sys.stderr)
        return None
    return float(done.stdout)


def measure(wanted, build, repeat, seconds, largest):
    points = {}
    taking_part = systems(build)
    steps = [(curve, [size for size in curve[4] if size <= largest]) for curve in wanted]
    total, at = sum(len(sizes) for _, sizes in steps), 0
    for (kind, _, _, procs, _, _), sizes in steps:
        for size in sizes:
            at += 1
            print(f"[{at}/{total}] {kind} {size}", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
            for _ in range(repeat):
                for name, command, variable in taking_part:
                    value = execute(command, variable, procs, kind, size, seconds)
                    if value is not None:
                        points.setdefault((kind, size, procs, name), []).append(value)
    return points


def growth(points):
    """For each curve: the dearest point over the first, beside what the algorithm promises."""
    lines = []
    for kind, _, _, procs, sizes, promise in CURVES:
        for name in ("runnel", "go"):
            values = [statistics.median(points[kind, size, procs, name]) for size in sizes
                      if (kind, size, procs, name) in points]
            if len(values) > 1:
                lines.append(f"{kind:<10}{name:<8}{promise:<8}{values[0]:>12.1f}{values[-1]:>14.1f}"
                             f"{max(values) / values[0]:>12.1f}")
    head = f"{'curve':<10}{'system':<8}{'promise':<8}{'first, ns':>12}{'last, ns':>14}{'most/first':>12}"
    return "\n".join([head, "-" * len(head), *lines])


def parse(arguments):
    parser = Parser(prog="runnel bench curves", description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", metavar="CURVE", help=f"of {', '.join(curve[0] for curve in CURVES)}")
    parser.add_argument("--repeat", type=int, default=3, metavar="N")
    parser.add_argument("--time", type=float, default=0.1, metavar="S")
    parser.add_argument("--quick", action="store_true", help="sizes up to 10000, one execution of each")
    parser.add_argument("--csv", type=Path, metavar="FILE")
    parser.add_argument("--svg", type=Path, metavar="FILE")
    parser.add_argument("--build", type=Path, default=BENCH.parent / "build" / "release", help=SUPPRESS)
    options = parser.parse_args(arguments)
    unknown = set(options.name) - {curve[0] for curve in CURVES}
    if unknown:
        parser.error(f"there is no curve {sorted(unknown)[0]}")
    return options


def main(options):
    wanted = [curve for curve in CURVES if not options.name or curve[0] in options.name]
    points = measure(wanted, options.build.resolve(), 1 if options.quick else options.repeat,
                     0.02 if options.quick else options.time, 10_000 if options.quick else 10_000_000)
    facts = machine.facts(options.build.resolve(), [])

    whole = not options.name and not options.quick
    table = options.csv or (BENCH / "results" / "curves.csv" if whole else None)
    picture = options.svg or (BENCH / "results" / "curves.svg" if whole else None)
    if table:
        table.parent.mkdir(parents=True, exist_ok=True)
        with open(table, "w", newline="", encoding="utf-8") as out:
            for key, value in facts.items():
                out.write(f"# {key}: {value}\n")
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["curve", "size", "procs", "system", "median", "least", "most"])
            for (kind, size, procs, name), values in points.items():
                writer.writerow([kind, size, procs, name, *(f"{value:.6g}" for value in
                                                            (statistics.median(values), min(values), max(values)))])
    if picture:
        panels = []
        for kind, operation, size_name, procs, sizes, promise in wanted:
            curves = {}
            for name, title in (("runnel", "runnel"), ("go", "Go")):
                curve = [(size, statistics.median(points[kind, size, procs, name])) for size in sizes
                         if (kind, size, procs, name) in points]
                if curve:
                    curves[title] = curve
            panels.append((f"{kind}: {operation} ({promise})", size_name, "ns", curves))
        notes = [f"{key}: {value}" for key, value in facts.items() if value]
        svg.curve_panels(picture, "Time of one operation as its work grows", notes, panels)
    print(growth(points))
    return 0


if __name__ == "__main__":
    sys.exit(main(parse(sys.argv[1:])))
