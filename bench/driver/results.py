"""The measurements: medians, ratios, means, and their CSV form."""

import csv
import math
import statistics
from dataclasses import dataclass, field

from driver.rows import ROWS


@dataclass
class Results:
    facts: dict = field(default_factory=dict)
    samples: dict = field(default_factory=dict)  # (row name, processors, system) -> list of values

    def add(self, row, procs, system, value):
        self.samples.setdefault((row, procs, system), []).append(value)

    def median(self, row, procs, system):
        values = self.samples.get((row, procs, system))
        return statistics.median(values) if values else None

    def ratio(self, row, procs, system):
        """The peer's value over ours: above one, we are ahead."""
        ours, theirs = self.median(row, procs, "runnel"), self.median(row, procs, system)
        return theirs / ours if ours and theirs else None

    def doubtful(self, row, procs, system, margin):
        """Noise may decide who is faster, whoever seems to be: the ratio is near 1, or the inner halves overlap."""
        if abs(self.ratio(row, procs, system) - 1) < margin:
            return True
        ours, theirs = (sorted(self.samples[row, procs, who]) for who in ("runnel", system))
        low, high = (ours, theirs) if statistics.median(ours) < statistics.median(theirs) else (theirs, ours)
        return low[3 * len(low) // 4] > high[len(high) // 4]

    def rows(self):
        present = {row for row, _, _ in self.samples}
        return [row for row in ROWS if row.name in present]

    def procs(self):
        return sorted({procs for _, procs, _ in self.samples})

    def systems(self):
        present = {system for _, _, system in self.samples}
        order = ["runnel", "go", "tokio", "crossbeam", "boost", "java"]
        return [system for system in order if system in present]

    def spread(self):
        """The median over all rows of (largest - smallest) / median of ours: how still the machine was."""
        parts = [(max(values) - min(values)) / statistics.median(values)
                 for (_, _, system), values in self.samples.items()
                 if system == "runnel" and len(values) > 1 and statistics.median(values) > 0]
        return statistics.median(parts) if parts else 0.0

    def write_csv(self, path):
        kinds = {row.name: row for row in ROWS}
        with open(path, "w", newline="", encoding="utf-8") as out:
            for key, value in self.facts.items():
                out.write(f"# {key}: {value}\n")
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["row", "group", "kind", "bound", "metric", "procs", "system", "median", "least", "most",
                             "ratio", "values"])
            for (name, procs, system), values in self.samples.items():
                row = kinds[name]
                ratio = "" if system == "runnel" else self.ratio(name, procs, system)
                writer.writerow([name, row.group, row.kind, row.bound, row.metric, procs, system,
                                 f"{statistics.median(values):.6g}", f"{min(values):.6g}", f"{max(values):.6g}",
                                 f"{ratio:.3f}" if ratio else "", " ".join(f"{value:.6g}" for value in values)])

    @staticmethod
    def read_csv(path):
        results = Results()
        with open(path, encoding="utf-8") as text:
            lines = text.readlines()
        for line in lines:
            if line.startswith("# "):
                key, _, value = line[2:].strip().partition(": ")
                results.facts[key] = value
        known = {row.name for row in ROWS}
        for record in csv.DictReader(line for line in lines if not line.startswith("#")):
            if record["row"] in known:
                values = [float(value) for value in record["values"].split()]
                results.samples[(record["row"], int(record["procs"]), record["system"])] = values
        return results


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


@dataclass(frozen=True)
class Summary:
    """The figures of the performance targets at one number of processors."""

    procs: int
    unbounded: float  # geometric mean over the rows that neither user work nor one locked instruction bounds
    unbounded_rows: int
    every: float  # over all Go twins
    every_rows: int
    worst: float
    worst_row: str
    slower: tuple  # rows slower than Go, the worst first


def summarize(results, procs):
    ratios = {row: results.ratio(row.name, procs, "go") for row in results.rows() if row.kind == "time"}
    ratios = {row: ratio for row, ratio in ratios.items() if ratio}
    if not ratios:
        return None
    free = [ratio for row, ratio in ratios.items() if not row.bound]
    ranked = sorted(ratios, key=ratios.get)
    return Summary(procs, geometric_mean(free) or 0.0, len(free), geometric_mean(list(ratios.values())), len(ratios),
                   ratios[ranked[0]], ranked[0].name, tuple(row.name for row in ranked if ratios[row] < 1.0))
