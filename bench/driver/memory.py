"""Memory that this machine has in its hands.

A virtual machine's page that was not used for a while belongs to its host, which has to find and clear one at the first
touch: 5.3 us instead of 1.6 on the machine of the published run, and whoever follows a system that used less memory
pays for it. So before each execution of a row that fills gigabytes, whichever system's, more than any of them takes is
touched and given back.
"""

import mmap
import re
from pathlib import Path

MOST = 8 << 30  # Boost.Fiber's million of parked fibers takes 7.2 GB, ours 4.7 with page tables
_POPULATE = 0x8000  # MAP_POPULATE of Linux, which Python's mmap names from 3.10 on


def fetch(scale):
    """Touches what a row divided by scale may need, or half of what is free if that is less."""
    size = min(MOST // scale, free() // 2) // mmap.PAGESIZE * mmap.PAGESIZE
    if size > 0:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _POPULATE).close()


def free(proc=Path("/proc"), cgroups=Path("/sys/fs/cgroup")):
    """Bytes that this process may still fill: of the machine, or of a control group (a container's) that has less."""
    available = re.search(r"^MemAvailable:\s+(\d+)", _text(proc / "meminfo"), re.MULTILINE)
    least = int(available.group(1)) * 1024
    for group, limit, used, cached in _groups(proc, cgroups):
        most = _text(group / limit).strip()
        if most.isdigit():  # "max": without a limit
            # Cached files count as used, but give way.
            file = re.search(rf"^{cached} (\d+)", _text(group / "memory.stat"), re.MULTILINE)
            least = min(least, int(most) - int(_text(group / used)) + (int(file.group(1)) if file else 0))
    return max(least, 0)


def _groups(proc, cgroups):
    """The process's memory control groups up to the root, with their files' names of version 2 or 1."""
    for line in _text(proc / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = cgroups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = cgroups / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # A container may see its own group at the root, whatever its path in the whole tree is.
        own = root / path.lstrip("/")
        for group in (own, *own.parents) if own.is_dir() else (root,):
            if (group / names[0]).exists() and (group / names[1]).exists():
                yield (group, *names)


def _text(path):
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
