"""Tables for the terminal and for the README."""

from driver.results import summarize

TITLES = {"runnel": "runnel", "go": "Go", "tokio": "tokio", "crossbeam": "crossbeam", "boost": "Boost.Fiber",
          "java": "Java"}


def number(value, metric="ns/op"):
    """Three significant digits with a unit that keeps them readable."""
    if value is None:
        return ""
    if metric == "bytes":
        return f"{value:.0f} B"
    if metric == "wakeups-per-s":
        return f"{value:.0f}/s"
    for limit, divisor, unit in ((1e3, 1, "ns"), (1e6, 1e3, "us"), (1e9, 1e6, "ms"), (float("inf"), 1e9, "s")):
        if value < limit:
            scaled = value / divisor
            digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2
            return f"{scaled:.{digits}f} {unit}"
    return ""


def times(ratio):
    return "" if ratio is None else f"{ratio:.2f}"


def aligned(header, lines):
    """Columns two spaces apart; the first one left, the others right."""
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    def row(cells):
        first, *rest = (cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(cells, widths)))
        return "  ".join([first, *rest]).rstrip()
    return "\n".join([row(header), "-" * (sum(widths) + 2 * (len(widths) - 1)), *map(row, lines)])


def _mark(row):
    return {"work": " w", "lock": " l"}.get(row.bound, "") if row.kind == "time" else " i"


def main_table(results):
    """Ours beside Go, or ours alone where Go is not installed."""
    with_go = "go" in results.systems()
    header = ["row"]
    for procs in results.procs():
        header += [f"{procs} P"] + (["Go", "ratio"] if with_go else [])
    lines = []
    for row in results.rows():
        line = [row.name + _mark(row)]
        for procs in results.procs():
            line.append(number(results.median(row.name, procs, "runnel"), row.metric))
            if with_go:
                line += [number(results.median(row.name, procs, "go"), row.metric),
                         times(results.ratio(row.name, procs, "go"))]
        if any(line[1:]):
            lines.append(line)
    note = "\n(ratio: Go's value over ours; w: bounded by user work, l: by one locked instruction, i: not in the means)"
    return aligned(header, lines) + (note if with_go else "")


def others_table(results):
    """The other peers, each with its value and ratio, over the rows that at least one of them has."""
    others = [system for system in results.systems() if system not in ("runnel", "go")]
    if not others:
        return ""
    blocks = []
    for procs in results.procs():
        present = [system for system in others if any(results.median(row.name, procs, system) for row in results.rows())]
        header = [f"{procs} P", "runnel"]
        for system in present:
            header += [TITLES[system], "ratio"]
        lines = []
        for row in results.rows():
            cells = []
            for system in present:
                cells += [number(results.median(row.name, procs, system), row.metric),
                          times(results.ratio(row.name, procs, system))]
            if any(cells):
                lines.append([row.name, number(results.median(row.name, procs, "runnel"), row.metric), *cells])
        if lines:
            blocks.append(aligned(header, lines))
    return "\n\n".join(blocks)


def _best_other(results, row, procs):
    ratios = [results.ratio(row, procs, system) for system in results.systems() if system not in ("runnel", "go")]
    return min((ratio for ratio in ratios if ratio), default=None)


def targets(results):
    """Each performance target, what was measured, and whether it is met: (what, target, measured, met)."""
    lines = []

    def at_least(what, target, value):
        if value is not None:
            lines.append((what, f">= {target:g}", f"{value:.2f}", value >= target))

    def at_most(what, target, value, unit):
        if value is not None:
            lines.append((what, f"<= {target:g} {unit}", f"{value:.1f} {unit}", value <= target))

    for procs in results.procs():
        found = summarize(results, procs)
        if found is None:
            continue
        at_least(f"Go twins, geometric mean at {procs} P, {found.unbounded_rows} rows bounded by neither work nor lock",
                 3.0, found.unbounded)
        at_least(f"all Go twins, geometric mean at {procs} P, {found.every_rows} rows", 2.5, found.every)
        at_least(f"the worst single one at {procs} P ({found.worst_row})", 1.0, found.worst)
    at_most("context switch alone", 2, results.median("ContextSwitch", 1, "runnel"), "ns")
    at_most("yield through the scheduler, 1 P", 12, results.median("Yield", 1, "runnel"), "ns")
    both_ways = results.median("ChanUncontended", 1, "runnel")
    at_most("uncontended buffered send or receive, 1 P", 3, both_ways / 200 if both_ways else None, "ns")
    at_least("unbuffered ping-pong, 1 P, over Go", 4.0, results.ratio("PingPong", 1, "go"))
    for procs in results.procs():
        at_least(f"spawn, run and recycle, {procs} P, over Go's CreateGoroutines", 3.0,
                 results.ratio("CreateGoroutines", procs, "go"))
        at_least(f"skynet 1M, {procs} P, over Go", 3.0, results.ratio("Skynet1M", procs, "go"))
        at_least(f"skynet 1M, {procs} P, over the best other peer", 1.5, _best_other(results, "Skynet1M", procs))
    at_most("a parked goroutine, guards on", 4.3 * 1024, results.median("Parked1M bytes", 1, "runnel"), "B")
    at_most("wakeups of an idle process with 100k parked goroutines", 0,
            results.median("Idle100k wakeups/s", 1, "runnel"), "/s")
    return lines


def targets_table(results):
    lines = [[what, target, measured, "yes" if met else "NO"] for what, target, measured, met in targets(results)]
    return aligned(["target", "wanted", "measured", "met"], lines) if lines else ""


def summary_line(results):
    """The three figures of a short run, without the targets that it does not measure."""
    parts = []
    for procs in results.procs():
        found = summarize(results, procs)
        if found:
            unbounded = (f"{found.unbounded:.2f} over the {found.unbounded_rows} not bounded, "
                         if found.unbounded_rows else "")
            parts.append(f"{procs} P: geometric mean {found.every:.2f} over {found.every_rows} rows, {unbounded}"
                         f"worst {found.worst:.2f} ({found.worst_row})")
    return "\n".join(parts)


def facts_text(results):
    return "\n".join(f"{key}: {value}" for key, value in results.facts.items() if value)
