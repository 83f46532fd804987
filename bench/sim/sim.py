#!/usr/bin/env python3
"""The model of the scheduler: checked against the real thing at 1 and 2 processors, then run at 2 to 256.

`./runnel bench sim` runs it. The costs of waking, cache lines and barriers are measured by the model's own program, those
of spawning and switching are taken from real executions at one processor; what is predicted is two processors and more.
"""

import csv
import os
import statistics
import subprocess
import sys
from argparse import SUPPRESS
from pathlib import Path

sys.dont_write_bytecode = True
BENCH = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BENCH))

import curves  # noqa: E402
from driver import machine, svg  # noqa: E402
from driver.arguments import Parser  # noqa: E402

PROGRAMS = {
    "burst": "one goroutine starts 100000",
    "tree": "a tree, ten children each",
    "pairs": "four pairs pass messages",
    "calls": "4 pairs a processor pass messages",
}
POLICIES = ["runnel", "go", "tokio", "runnel-wake", "runnel-cas", "runnel-fifo"]
PROCS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
WORKS = [1000, 10_000]


def simulate(binary, policy, procs, program, work, costs):
    words = subprocess.run([binary, policy, str(procs), program, str(work), *(f"{k}={v}" for k, v in costs.items())],
                           capture_output=True, text=True, check=True).stdout.split()
    return {words[i]: float(words[i + 1]) for i in range(0, len(words), 2)}


def measured_costs(binary):
    lines = subprocess.run([binary, "--measure"], capture_output=True, text=True, check=True).stdout.split()
    return {name: float(value) for name, value in (line.split("=") for line in lines)}


def executed(systems, repeat):
    """The medians of real executions, ns per operation: of every system, program, work and number of processors.

    All in turn, again and again: the machine's pace changes by the minute, and must be the same for what is fitted and
    for what is predicted from it.
    """
    values = {}
    for turn in range(repeat):
        for name, command, variable in systems:
            for program in PROGRAMS:
                for work in (0, *WORKS):
                    for procs in (1, 2):
                        value = curves.execute(command, variable, procs, program, work, 0.01)
                        if value is not None:
                            values.setdefault((name, program, work, procs), []).append(value)
        print(f"executed everything, {turn + 1} of {repeat}", file=sys.stderr, flush=True)
    return {point: statistics.median(taken) for point, taken in values.items()}


def fitted(costs, real, name):
    """Spawn, ready and pick such that the model is right at one processor without work."""
    pick = real[name, "pairs", 0, 1] / 2
    return dict(costs, ready=pick, pick=pick, spawn=max(real[name, "burst", 0, 1] - pick, 1.0))


def validate(binary, costs, real):
    """Lines of (system, program, work, processors, measured, predicted)."""
    own = {name: fitted(costs, real, name) for name in {point[0] for point in real}}
    return [(*point, got, simulate(binary, point[0], point[3], point[1], point[2], own[point[0]])["ns_per_op"])
            for point, got in real.items()]


def sweep(binary, costs):
    """Every policy with the same costs, so that only the policies differ."""
    results = {}
    for program in PROGRAMS:
        for work in WORKS:
            for policy in POLICIES:
                for procs in PROCS:
                    results[program, work, policy, procs] = simulate(binary, policy, procs, program, work, costs)
            print(f"simulated {program} with {work} ns of work", file=sys.stderr, flush=True)
    return results


def speed_up(results, program, work, policy, procs):
    """Operations a second over those of one processor; `calls` has as much more work as it has processors."""
    one = results[program, work, policy, 1]["ns_per_op"]
    return one / results[program, work, policy, procs]["ns_per_op"]


def parse(arguments):
    parser = Parser(prog="runnel bench sim", description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="real executions of each point")
    parser.add_argument("--no-validation", action="store_true", help="no real executions; the costs as written down")
    parser.add_argument("--csv", type=Path, default=BENCH / "results" / "sim.csv", metavar="FILE")
    parser.add_argument("--svg", type=Path, default=BENCH / "results" / "sim.svg", metavar="FILE")
    parser.add_argument("--build", type=Path, default=BENCH.parent / "build" / "release", help=SUPPRESS)
    return parser.parse_args(arguments)


def main(options):
    build = options.build.resolve()
    binary = build / "bench" / "runnel_sim"
    if not binary.exists():
        print(f"bench: {binary} is not built", file=sys.stderr)
        return 1

    facts = machine.facts(build, [])
    costs, checks = {}, []
    if not options.no_validation:
        systems = curves.systems(build)
        costs = measured_costs(binary)
        real = executed(systems, options.repeat)
        checks = validate(binary, costs, real)
        costs = fitted(costs, real, "runnel")
        facts["costs, ns"] = ", ".join(f"{name} {value:.0f}" for name, value in costs.items())
        print(f"{'system':<8}{'program':<8}{'work':>7}{'procs':>6}{'measured':>12}{'predicted':>12}{'ratio':>8}")
        for name, program, work, procs, got, predicted in checks:
            print(f"{name:<8}{program:<8}{work:>7}{procs:>6}{got:>12.1f}{predicted:>12.1f}{predicted / got:>8.2f}")
        off = [max(predicted / got, got / predicted) for _, _, _, procs, got, predicted in checks if procs == 2]
        facts["validation"] = (f"at 2 processors the prediction is off by a factor of {statistics.median(off):.2f} in the "
                               f"median, {max(off):.2f} at worst, over {len(off)} points")
        print(facts["validation"])
    results = sweep(binary, costs)

    options.csv.parent.mkdir(parents=True, exist_ok=True)
    with open(options.csv, "w", newline="", encoding="utf-8") as out:
        for key, value in facts.items():
            out.write(f"# {key}: {value}\n")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["what", "policy", "program", "work", "procs", "ns_per_op", "measured", "speedup", "busy",
                         "wakeups", "steals"])
        for name, program, work, procs, got, predicted in checks:
            writer.writerow(["validation", name, program, work, procs, f"{predicted:.3f}", f"{got:.3f}", "", "", "", ""])
        for (program, work, policy, procs), got in results.items():
            writer.writerow(["sweep", policy, program, work, procs, f"{got['ns_per_op']:.4f}", "",
                             f"{speed_up(results, program, work, policy, procs):.3f}", got["busy"],
                             f"{got['wakeups']:.0f}", f"{got['steals']:.0f}"])
    panels = []
    for program, text in PROGRAMS.items():
        for work in WORKS:
            lines = {policy: [(procs, speed_up(results, program, work, policy, procs)) for procs in PROCS]
                     for policy in POLICIES}
            panels.append((f"{program}: {text}, {work // 1000} us of work each", "processors", "speed-up", lines))
    notes = [f"{key}: {value}" for key, value in facts.items() if value]
    svg.curve_panels(options.svg, "Speed-up by the model of the scheduler, every policy with the same costs", notes, panels)
    for path in (options.csv, options.svg):
        print(f"written: {os.path.relpath(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(parse(sys.argv[1:])))
