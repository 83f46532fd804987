"""Memory that this machine has in its hands.

A virtual machine's page that was not used for a while belongs to its host, which has to find and clear one at the first
touch: 5.3 us instead of 1.6 on the machine of the published run, and whoever follows a system that used less memory
pays for it. So before each execution of a row that fills gigabytes, whichever system's, more than any of them takes is
touched and given back.
"""

import mmap
import os
import re
from pathlib import Path

MOST = 8 << 30  # Boost.Fiber's million of parked fibers takes 7.2 GB, ours 4.7 with page tables
_POPULATE = 0x8000  # MAP_POPULATE of Linux, which Python's mmap names from 3.10 on


def fetch(scale):
    """Touches what a row divided by scale may need, or half of what is free if that is less."""
    size = min(MOST // scale, free() // 2) // mmap.PAGESIZE * mmap.PAGESIZE
    if size > 0:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _POPULATE).close()


def free(proc=Path("/proc")):
    """Bytes that this process may still fill: of the machine, or of a control group (a container's) that has less."""
    available = re.search(r"^MemAvailable:\s+(\d+)", _text(proc / "meminfo"), re.MULTILINE)
    least = int(available.group(1)) * 1024
    for group, limits, used, cached in _groups(proc):
        bounds = [int(text) for text in (_text(group / limit).strip() for limit in limits)
                  if text.isdigit()]  # "max": without a limit
        if bounds:
            # Cached files count as used, but give way.
            file = re.search(rf"^{cached} (\d+)", _text(group / "memory.stat"), re.MULTILINE)
            least = min(least, min(bounds) - int(_text(group / used)) + (int(file.group(1)) if file else 0))
    return max(least, 0)


def _groups(proc):
    """The process's memory control groups, as far up as they are to be seen, with their files' names."""
    paths = {}  # by the file system that shows them
    for line in _text(proc / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            paths["cgroup2"] = path
        elif "memory" in controllers.split(","):
            paths["cgroup"] = path
    for line in _text(proc / "self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        root, mounted = before.split(" ")[3:5]
        system = after.split(" ")[0]
        if system not in paths:
            continue
        # What is mounted may be a part of the tree, such as a container's own; or another controller's tree of
        # version 1, which has no such files.
        below = os.path.relpath(paths[system], root) if Path(paths[system]).is_relative_to(root) else "."
        group = Path(mounted) / below
        while group.is_relative_to(mounted):
            if system == "cgroup2":
                yield group, ("memory.max", "memory.high"), "memory.current", "inactive_file"
            else:
                yield group, ("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"
            group = group.parent


def _text(path):
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
