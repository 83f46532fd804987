"""What the numbers were taken on: the facts that go with every table."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def _first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError:
        return ""
    return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else ""


def _cpu():
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^(?:model name|Processor)\s*: (.*)$", info, re.MULTILINE)
    virtual = " (virtual)" if re.search(r"^flags.*\bhypervisor\b", info, re.MULTILINE) else ""
    return (model.group(1).strip() if model else platform.machine()) + virtual


def _memory():
    info = Path("/proc/meminfo").read_text(encoding="utf-8")
    kib = int(re.search(r"^MemTotal:\s+(\d+)", info, re.MULTILINE).group(1))
    return f"{kib / 2**20:.0f} GiB"


def _compiler(build):
    cache = build / "CMakeCache.txt"
    if not cache.exists():
        return ""
    text = cache.read_text(encoding="utf-8")
    compiler = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", text, re.MULTILINE)
    kind = re.search(r"^CMAKE_BUILD_TYPE:\w+=(.*)$", text, re.MULTILINE)
    version = _first_line([compiler.group(1), "--version"]) if compiler else ""
    return f"{version}, {kind.group(1)}" if kind else version


def _commit():
    commit = _first_line(["git", "rev-parse", "--short=12", "HEAD"])
    if not commit:
        return "no commit"
    changed = _first_line(["git", "status", "--porcelain", "--untracked-files=no", "--", "include", "src", "bench"])
    return commit + (" with changes" if changed else "")


def _distribution():
    text = Path("/etc/os-release").read_text(encoding="utf-8") if Path("/etc/os-release").exists() else ""
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', text, re.MULTILINE)
    return found.group(1) if found else "Linux"


def facts(build, peers):
    known = {
        "machine": f"{_cpu()}, {len(os.sched_getaffinity(0))} processors, {_memory()}",
        "system": f"{_distribution()}, Linux {platform.release()}",
        "compiler": _compiler(build),
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "load at the start": " ".join(f"{value:.2f}" for value in os.getloadavg()),
    }
    for peer in peers:
        if peer.version():
            known[peer.title] = peer.version()
    return known
