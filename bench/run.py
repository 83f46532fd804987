#!/usr/bin/env python3
"""Runs the benchmarks, ours in turn with those of the peers, and writes table, CSV and picture.

Each row is measured A B A B: one execution of ours, one of Go's, and so on, again and again, so that whatever
disturbs the machine disturbs all of them. The median of each is what counts.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
BENCH = Path(__file__).resolve().parent
sys.path.insert(0, str(BENCH))

from driver import machine, memory, peers, readme, report, svg  # noqa: E402
from driver.arguments import Parser  # noqa: E402
from driver.results import Results  # noqa: E402
from driver.rows import GROUPS, ROWS, matching  # noqa: E402

ROOT = BENCH.parent
QUICK_SCALE = 10  # what --quick divides the sizes of the whole programs by
DOUBTFUL = 0.15  # how far from 1 a ratio has to be, and the two systems' values from overlapping, to be left at
DOUBTFUL_FACTOR = 3  # the ordinary number of executions; else up to so many times that
LONGEST_DOUBT = 60  # seconds for these
INTERRUPTED = 130  # status: by Ctrl-C, after a report of what was measured until then
NOT_BUILT = 75  # status of `run.py --unbuilt ...` if the benchmarks must be built for what is asked, which is fine


def parse(arguments):
    parser = Parser(
        prog="runnel bench", description="The benchmarks, beside Go and other peers where they are installed.",
        epilog=f"Groups: {', '.join(GROUPS)}. Without NAME and --compare a short list of rows is run. `runnel bench "
               "curves` measures cost over size, `runnel bench sim` runs the model of the scheduler.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="a group, or rows whose name contains this")
    parser.add_argument("--compare", action="store_true", help="every row, beside every peer that is installed")
    parser.add_argument("--procs", default="1,2", help="numbers of processors (default 1,2)")
    parser.add_argument("--repeat", type=int, metavar="N", help="executions of each row and system (default 5)")
    parser.add_argument("--time", type=float, metavar="S", help="least length of one execution in seconds (default 0.1)")
    parser.add_argument("--quick", action="store_true", help="3 executions of 0.03 s, whole programs a tenth as large")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="where the values go")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="where the picture goes")
    parser.add_argument("--from", type=Path, metavar="FILE", dest="source", help="report this CSV instead of measuring")
    parser.add_argument("--update-readme", action="store_true", help="write the numbers into README.md")
    parser.add_argument("--list", action="store_true", help="list the rows and end")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        options.procs = sorted({int(word) for word in options.procs.split(",")})
    except ValueError:
        parser.error(f"--procs takes numbers with commas between, not {options.procs}")
    if options.procs[0] < 1:
        parser.error("--procs takes numbers from 1 up")
    options.repeat = options.repeat or (3 if options.quick else 5)
    options.time = options.time or (0.03 if options.quick else 0.1)
    options.build = options.build.resolve()
    return parser, options


def selected(parser, options):
    if options.name:
        rows = matching(options.name)
        if not rows:
            parser.error(f"no row has a name that contains {options.name}; --list shows them")
        return rows
    if options.compare or options.source:
        return ROWS
    return [row for row in ROWS if row.foundation]


class Progress:
    """One line that is rewritten on a terminal; elsewhere a line for every tenth of the work."""

    def __init__(self, steps):
        self.steps, self.done, self.start, self.told = steps, 0, time.monotonic(), 0
        self.terminal = sys.stderr.isatty()

    def step(self, text):
        self.done += 1
        spent = time.monotonic() - self.start
        left = spent / self.done * (self.steps - self.done)
        line = f"[{self.done}/{self.steps}] {text}, {int(left) // 60}:{int(left) % 60:02d} left"
        if self.terminal:
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        elif self.done * 10 // self.steps > self.told:
            self.told = self.done * 10 // self.steps
            print(line, file=sys.stderr, flush=True)

    def note(self, text):
        print(("\r\033[K" if self.terminal else "") + text, file=sys.stderr, flush=True)

    def end(self):
        if self.terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def measure(rows, systems, options):
    """All executions, a row at a time and the systems in turn; ours failing is noted and makes the status 1."""
    results = Results(facts=machine.facts(options.build, systems))
    more = ", quick" if options.quick else f", up to {DOUBTFUL_FACTOR * options.repeat} where Go and runnel are close"
    results.facts["runs"] = f"{options.repeat} of at least {options.time} s{more}"
    benchmarks = {}
    for row in rows:
        benchmarks.setdefault(row.benchmark, []).append(row)
    takers = {name: [system for system in systems if name in system.rows] for name in benchmarks}
    progress = Progress(sum(len(t) for t in takers.values()) * len(options.procs) * options.repeat or 1)
    failed = []
    try:
        for name, wanted in benchmarks.items():
            if takers[name] and takers[name][0].name != "runnel":
                progress.note(f"bench: {name} is not among our own rows")
                failed.append(name)
            for procs in options.procs:
                measure_row(name, wanted, takers[name], procs, options, progress, results, failed)
    except KeyboardInterrupt:
        results.facts["interrupted"] = f"after {progress.done - 1} of {progress.steps} executions"
    progress.end()
    return results, failed


def measure_row(name, wanted, takers, procs, options, progress, results, failed):
    """All rounds of one row; beside Go some more where the two are so close that noise decides who is faster."""
    broken = set()
    for _ in range(options.repeat):
        measure_round(name, wanted, takers, procs, options, progress, results, failed, broken)
    close = [system for system in takers if system.name in ("runnel", "go")]
    until = time.monotonic() + LONGEST_DOUBT
    for _ in range(0 if options.quick else DOUBTFUL_FACTOR * options.repeat - options.repeat):
        doubtful = any(results.ratio(row.name, procs, "go") and results.doubtful(row.name, procs, "go", DOUBTFUL)
                       for row in wanted if row.kind == "time")
        if not doubtful or time.monotonic() > until:
            break
        progress.steps += len(close)
        measure_round(name, wanted, close, procs, options, progress, results, failed, broken)


def measure_round(name, wanted, takers, procs, options, progress, results, failed, broken):
    """One execution of each system."""
    for system in takers:
        progress.step(f"{name}, {procs} P, {system.title}")
        if system.name in broken:
            continue
        scale = QUICK_SCALE if options.quick else 1
        if any(row.memory for row in wanted):
            memory.fetch(scale)
        try:
            values = system.measure(name, procs, options.time, scale)
        except peers.Failure as failure:
            broken.add(system.name)
            progress.note(f"bench: {name} at {procs} P on {system.title}: {failure}")
            if system.name == "runnel":
                failed.append(name)
            continue
        for row in wanted:
            if row.metric in values:
                results.add(row.name, procs, system.name, values[row.metric])


def draw(results, path):
    groups = []
    for group in GROUPS:
        rows = [(row.name, [results.ratio(row.name, procs, "go") for procs in results.procs()])
                for row in results.rows() if row.group == group and row.kind == "time"]
        rows = [row for row in rows if any(row[1])]
        if rows:
            groups.append((group, rows))
    notes = [f"{key}: {value}" for key, value in results.facts.items() if value]
    lines = report.summary_line(results).splitlines()
    svg.ratio_bars(path, "Go's time over runnel's, per operation (longer is better for runnel)", lines + notes, groups,
                   [f"{procs} processor{'s' if procs > 1 else ''}" for procs in results.procs()])


def compile_cost():
    """The one line of scripts/compile_cost about the header that brings everything."""
    script = ROOT / "scripts" / "compile_cost"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        words = line.split()
        if words and words[0] == "runnel.hpp":
            return (f"Including `<runnel/runnel.hpp>` adds {words[1]} s to a compilation, {words[2]} s where the usual "
                    f"headers of the standard library are included anyway (`scripts/compile_cost`).")
    return ""


def other_report(arguments):
    """`bench curves` and `bench sim` have options of their own. Which of the two is asked for, if any, and they."""
    words = list(arguments)
    built = []
    if words[:1] == ["--build"]:
        built, words = words[:2], words[2:]
    if words[:1] == ["curves"]:
        import curves  # noqa: PLC0415: only this way needs it

        return curves, curves.parse(built + words[1:])
    if words[:1] == ["sim"]:
        from sim import sim  # noqa: PLC0415

        return sim, sim.parse(built + words[1:])
    return None


def main():
    arguments = sys.argv[1:]
    unbuilt = arguments[:1] == ["--unbuilt"]
    if unbuilt:
        arguments = arguments[1:]
    other = other_report(arguments)
    if other is not None:
        report_maker, options = other
        return NOT_BUILT if unbuilt else report_maker.main(options)
    parser, options = parse(arguments)
    rows = selected(parser, options)
    if options.list:
        for row in rows if options.name else ROWS:
            print(f"{row.name:<28}{row.group:<10}{row.bound or row.kind}")
        return 0
    if unbuilt and not options.source:
        return NOT_BUILT
    failed = []
    if options.source:
        results = Results.read_csv(options.source)
    else:
        try:
            systems = peers.candidates(options.build, options.compare)
        except peers.Failure as failure:
            print(f"bench: {failure}", file=sys.stderr)
            return 1
        results, failed = measure(rows, systems, options)
        if "interrupted" in results.facts and not results.samples:
            return INTERRUPTED
        results.facts["spread"] = f"{100 * results.spread():.0f} % between the least and the most, median over the rows"

    tables = [report.facts_text(results), report.main_table(results), report.others_table(results)]
    tables.append(report.targets_table(results) if options.compare or options.source else report.summary_line(results))
    print("\n\n".join(table for table in tables if table))

    partial = "interrupted" in results.facts
    whole = options.compare and not options.name and not options.source and not partial
    wanted_csv = options.csv or (BENCH / "results" / "compare.csv" if whole else None)
    wanted_svg = options.svg or (BENCH / "results" / "compare.svg" if whole else None)
    for path, write in ((wanted_csv, results.write_csv), (wanted_svg, lambda path: draw(results, path))):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
            print(f"\nwritten: {os.path.relpath(path)}")
    if options.update_readme:
        wrong = ("README.md left alone: the run was interrupted" if partial else
                 readme.update(ROOT / "README.md", readme.block(results, compile_cost())))
        if wrong:
            print(f"bench: {wrong}", file=sys.stderr)
            return 1
    if failed:
        print(f"bench: these of our own rows failed: {', '.join(dict.fromkeys(failed))}", file=sys.stderr)
    if partial and not options.source:
        return INTERRUPTED
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
