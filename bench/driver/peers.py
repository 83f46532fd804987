"""The systems that are compared: how each is found, built, asked for its rows and run."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
TIMEOUT = 180  # seconds for one execution of one row; the longest takes about 15


class Failure(Exception):
    """A row that did not end well, with the last line that it wrote."""


def _run(command, **options):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False, **options)
    except subprocess.TimeoutExpired as late:
        raise Failure(f"no end after {TIMEOUT} s") from late
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()
        raise Failure(lines[0])
    return done.stdout


def _build(command, **options):
    """Builds quietly; the output is shown only if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command[:3]))} ...: {(done.stderr or done.stdout).strip()[-2000:]}")


def go_version():
    return subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout.split()[2]


def compile_go(build, source, name, command, *arguments):
    """BUILD/bench/peers/NAME, made by `go COMMAND -o ... ARGUMENTS` in the folder `source`.

    With the language version of the installed Go: an older one would bring that version's runtime settings.
    """
    target = build / "bench" / "peers"
    target.mkdir(parents=True, exist_ok=True)
    module = target / f"{name}.mod"
    shutil.copy(source / "go.mod", module)
    if (source / "go.sum").exists():
        shutil.copy(source / "go.sum", target / f"{name}.sum")
    number = re.search(r"go(\d+\.\d+)", go_version()).group(1)
    _build(["go", "mod", "edit", f"-go={number}", module])
    binary = target / name
    _build(["go", command, f"-modfile={module}", "-o", binary, *arguments], cwd=source,
           env=dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=mod -buildvcs=false"))
    return binary


def _environment(scale, **variables):
    env = dict(os.environ, **variables)
    env.pop("BENCH_SCALE", None)
    if scale > 1:
        env["BENCH_SCALE"] = str(scale)
    return env


def _bind_to(procs):
    """For the systems of plain threads: as many processors as the row is to have."""
    cpus = sorted(os.sched_getaffinity(0))[:procs]
    return lambda: os.sched_setaffinity(0, cpus)


class Peer:
    name = ""
    title = ""

    def __init__(self, build):
        self.build_dir = build
        self.rows = []

    def available(self):
        """Why this system cannot take part, or nothing."""
        return ""

    def prepare(self):
        """Builds what has to be built and notes which benchmarks there are."""

    def measure(self, benchmark, procs, seconds, scale):
        """One execution: a map from metric to value."""
        raise NotImplementedError

    def version(self):
        return ""


class Ours(Peer):
    name = "runnel"
    title = "runnel"

    def __init__(self, build):
        super().__init__(build)
        self.binary = build / "bench" / "runnel_bench"

    def available(self):
        return "" if self.binary.exists() else f"{self.binary} is not built"

    def prepare(self):
        listed = _run([self.binary, "--benchmark_list_tests"])
        self.rows = [line.split("/")[0] for line in listed.splitlines()]

    def measure(self, benchmark, procs, seconds, scale):
        out = _run(
            [self.binary, f"--benchmark_filter=^{benchmark}/manual_time$", f"--benchmark_min_time={seconds}",
             "--benchmark_format=json"],
            env=_environment(scale, RUNNEL_MAXPROCS=str(procs)))
        got = json.loads(out)["benchmarks"][0]
        if got.get("error_occurred"):
            raise Failure(got["error_message"])
        known = {"spawn-ns", "wake-ns", "bytes", "wakeups-per-s"}
        return {"ns/op": got["ns_per_op"], **{key: got[key] for key in known & got.keys()}}


class Go(Peer):
    name = "go"
    title = "Go"
    metric = re.compile(r"([\d.e+-]+) (ns/op|spawn-ns|wake-ns|bytes|wakeups-per-s)\b")

    def available(self):
        return "" if shutil.which("go") else "go is not installed"

    def prepare(self):
        self.binaries = {}
        for name, source in (("go", BENCH / "go"), ("gox", BENCH / "go" / "x")):
            try:
                binary = compile_go(self.build_dir, source, f"{name}.test", "test", "-c", ".")
            except Failure as failure:
                if name == "go":
                    raise
                print(f"bench: the Go twins in bench/go/x do not build, as golang.org/x is out of reach: {failure}")
                continue
            for row in _run([binary, "-test.list", "."]).split():
                self.binaries[row.removeprefix("Benchmark")] = binary
        self.rows = list(self.binaries)

    def measure(self, benchmark, procs, seconds, scale):
        out = _run(
            [self.binaries[benchmark], "-test.run", "^$", "-test.bench", f"^Benchmark{benchmark}$", "-test.benchtime",
             f"{seconds}s"],
            env=_environment(scale, GOMAXPROCS=str(procs)))
        values = {}
        for line in out.splitlines():
            if line.startswith(f"Benchmark{benchmark}"):
                values.update({unit: float(value) for value, unit in self.metric.findall(line)})
        if not values:
            raise Failure(f"no result in {out.strip()[-200:]!r}")
        return values

    def version(self):
        return go_version()


class LinePeer(Peer):
    """A program of ours in another system: PROGRAM --list, PROGRAM NAME --procs P --time S; name, metric, value."""

    bound_to_procs = False

    def command(self, procs):
        raise NotImplementedError

    def prepare(self):
        self.rows = _run([*self.command(1), "--list"]).split()

    def measure(self, benchmark, procs, seconds, scale):
        out = _run([*self.command(procs), benchmark, "--procs", str(procs), "--time", str(seconds)],
                   env=_environment(scale), preexec_fn=_bind_to(procs) if self.bound_to_procs else None)
        values = {}
        for line in out.splitlines():
            _, metric, value = line.split()
            values[metric] = float(value)
        return values


class Rust(LinePeer):
    def available(self):
        return "" if shutil.which("cargo") else "cargo is not installed"

    def command(self, procs):
        return [self.build_dir / "bench" / "rust" / "release" / "runnel-bench-peers", self.name]

    def prepare(self):
        _build(["cargo", "build", "--release", "--locked", "--target-dir", self.build_dir / "bench" / "rust"],
               cwd=BENCH / "rust")
        super().prepare()

    def version(self):
        lock = (BENCH / "rust" / "Cargo.lock").read_text(encoding="utf-8")
        package = {"tokio": "tokio", "crossbeam": "crossbeam-channel"}[self.name]
        number = re.search(rf'name = "{package}"\nversion = "([^"]+)"', lock)
        rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=False).stdout.split()
        return f"{number.group(1)}, rustc {rustc[1] if len(rustc) > 1 else '?'}"


class Tokio(Rust):
    name = "tokio"
    title = "tokio"


class Crossbeam(Rust):
    name = "crossbeam"
    title = "crossbeam"
    bound_to_procs = True


class BoostFiber(LinePeer):
    name = "boost"
    title = "Boost.Fiber"

    def command(self, procs):
        return [self.build_dir / "bench" / "boost_fiber"]

    def available(self):
        return "" if self.command(1)[0].exists() else "Boost.Fiber is not installed"

    def version(self):
        header = Path("/usr/include/boost/version.hpp")
        if not header.exists():
            return ""
        return re.search(r'BOOST_LIB_VERSION "([^"]+)"', header.read_text(encoding="utf-8")).group(1).replace("_", ".")


class Java(LinePeer):
    name = "java"
    title = "Java"

    def available(self):
        if not shutil.which("javac") or not shutil.which("java"):
            return "no JDK is installed"
        if self._major() < 21:
            return f"JDK {self._major()} has no virtual threads; it takes 21"
        return ""

    @staticmethod
    def _major():
        text = subprocess.run(["javac", "-version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"javac (\d+)", text)
        return int(found.group(1)) if found else 0

    def command(self, procs):
        classes = self.build_dir / "bench" / "java"
        return ["java", f"-Djdk.virtualThreadScheduler.parallelism={procs}",
                f"-Djdk.virtualThreadScheduler.maxPoolSize={procs}", "-Xmx12g", "-cp", classes, "Bench"]

    def prepare(self):
        sources = sorted((BENCH / "java").glob("*.java"))
        _build(["javac", "-d", self.build_dir / "bench" / "java", *sources])
        super().prepare()

    def version(self):
        return str(self._major())


def candidates(build, compare):
    """Ours, Go, and if everything is to be compared the others; those that cannot take part say why."""
    kinds = [Ours, Go] + ([Tokio, Crossbeam, BoostFiber, Java] if compare else [])
    taking_part = []
    for kind in kinds:
        peer = kind(build)
        reason = peer.available()
        if not reason:
            try:
                print(f"bench: building and listing {peer.title}", flush=True)
                peer.prepare()
                taking_part.append(peer)
                continue
            except Failure as failure:
                reason = str(failure)
        if kind is Ours:
            raise Failure(reason)
        print(f"bench: without {peer.title}: {reason}", flush=True)
    return taking_part
