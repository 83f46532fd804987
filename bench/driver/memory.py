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
    free = int(re.search(r"^MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8"),
                         re.MULTILINE).group(1)) * 1024
    size = min(MOST // scale, free // 2) // mmap.PAGESIZE * mmap.PAGESIZE
    if size > 0:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _POPULATE).close()
