"""The numbers in the README: a short table between two marks, rewritten by `run.py --update-readme`."""

from pathlib import Path

from driver.report import TITLES, number, targets, times
from driver.results import summarize
from driver.rows import ROWS

BEGIN, END = "<!-- numbers:begin -->", "<!-- numbers:end -->"
SHOWN = ["PingPong", "ThreadRing503", "ChanUncontended", "ChanProdCons10", "SelectUncontended", "SelectSyncContended",
         "CreateGoroutines", "Yield", "WorkerPool", "Pipeline3", "Skynet1M", "Parked1M spawn", "Parked1M wake",
         "Parked1M bytes"]


def block(results, compile_cost):
    with_go = "go" in results.systems()
    facts = results.facts
    parts = [facts.get("machine", ""), facts.get("system", ""), facts.get("compiler", ""),
             f"Go {facts['Go'].removeprefix('go')}" if "Go" in facts else "", f"commit {facts.get('commit', '')}"]
    lines = ["; ".join(part for part in parts if part) + ". Medians of one interleaved run, by `./runnel bench --compare`;",
             "[all rows](bench/results/compare.csv), [as a picture](bench/results/compare.svg), "
             "[how to read them](bench/README.md).", ""]
    header, rule = ["per operation"], ["---"]
    for procs in results.procs():
        header += [f"{procs} P"] + (["Go", "Go / runnel"] if with_go else [])
        rule += ["---:"] * (3 if with_go else 1)
    lines += [f"| {' | '.join(header)} |", f"|{'|'.join(rule)}|"]
    metrics = {row.name: row.metric for row in ROWS}
    for name in SHOWN:
        cells = [f"{name}"]
        for procs in results.procs():
            cells.append(number(results.median(name, procs, "runnel"), metrics[name]))
            if with_go:
                cells += [number(results.median(name, procs, "go"), metrics[name]),
                          times(results.ratio(name, procs, "go"))]
        if any(cells[1:]):
            lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for procs in results.procs():
        found = summarize(results, procs)
        if found:
            slower = f"; slower than Go: {', '.join(found.slower)}" if found.slower else "; none is slower than Go"
            lines.append(f"- {procs} P, all {found.every_rows} Go twins: geometric mean {found.every:.2f}, worst "
                         f"{found.worst:.2f} ({found.worst_row}){slower}. Without the rows that user work or one "
                         f"locked instruction bounds ({found.unbounded_rows} left): {found.unbounded:.2f}.")
    missed = [f"{what} ({measured}, wanted {target})" for what, target, measured, met in targets(results) if not met]
    if missed:
        lines.append(f"- Targets not met: {'; '.join(missed)}.")
    for system in results.systems():
        if system not in ("runnel", "go"):
            lines += ahead(results, system)
    if compile_cost:
        lines.append(f"- {compile_cost}")
    return "\n".join(lines)


def ahead(results, system):
    """In which rows a peer other than Go takes less than we do."""
    cells = []
    shared = 0
    for row in results.rows():
        ratios = [(procs, results.ratio(row.name, procs, system)) for procs in results.procs()]
        ratios = [(procs, ratio) for procs, ratio in ratios if ratio]
        shared += len(ratios)
        cells += [f"{row.name} at {procs} P ({times(ratio)})" for procs, ratio in ratios if ratio < 1.0]
    if not cells:
        return []
    return [f"- {TITLES[system]} takes less than runnel in {len(cells)} of {shared}: {', '.join(cells)}."]


def update(readme: Path, text):
    page = readme.read_text(encoding="utf-8")
    if BEGIN not in page or END not in page:
        return f"{readme.name} has no {BEGIN} and {END}"
    before, rest = page.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    return ""
