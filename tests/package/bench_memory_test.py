#!/usr/bin/env python3
"""What bench/driver/memory.py takes for free in a container: less than its limit, or the kernel ends the benchmark."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))

from driver import memory  # noqa: E402

MACHINE = 1 << 30  # available, in bytes
V2 = ("memory.max", "memory.current")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")


class Free(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.write("proc/meminfo", f"MemTotal:  9999999 kB\nMemAvailable:   {MACHINE // 1024} kB\n")

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def group(self, path, names, limit, used, stat=""):
        self.write(f"cgroup/{path}/{names[0]}", f"{limit}\n")
        self.write(f"cgroup/{path}/{names[1]}", f"{used}\n")
        self.write(f"cgroup/{path}/memory.stat", stat)

    def expect(self, free):
        self.assertEqual(memory.free(self.root / "proc", self.root / "cgroup"), free)

    def test_without_control_groups(self):
        self.expect(MACHINE)

    def test_group_without_a_limit(self):
        self.write("proc/self/cgroup", "0::/a/b\n")
        self.group("a/b", V2, "max", 100)
        self.expect(MACHINE)

    def test_own_limit(self):
        self.write("proc/self/cgroup", "0::/a/b\n")
        self.group("a/b", V2, 5000, 1000)
        self.expect(4000)

    def test_limit_of_a_parent(self):
        self.write("proc/self/cgroup", "0::/a/b\n")
        self.group("a", V2, 3000, 1000)
        self.group("a/b", V2, 5000, 1000)
        self.expect(2000)

    def test_limit_beyond_the_machine(self):
        self.write("proc/self/cgroup", "0::/a\n")
        self.group("a", V2, MACHINE * 4, 1000)
        self.expect(MACHINE)

    def test_cached_files_give_way(self):
        self.write("proc/self/cgroup", "0::/a\n")
        self.group("a", V2, 5000, 4000, "anon 1000\nfile 3000\ninactive_file 2500\n")
        self.expect(3500)

    def test_container_that_sees_itself_at_the_root(self):
        self.write("proc/self/cgroup", "0::/docker/1234\n")
        self.group("", V2, 5000, 1000)
        self.expect(4000)

    def test_version_1(self):
        self.write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/a\n0::/\n")
        self.group("memory/a", V1, 5000, 4000, "inactive_file 1\ntotal_inactive_file 500\n")
        self.expect(1500)

    def test_used_up(self):
        self.write("proc/self/cgroup", "0::/a\n")
        self.group("a", V2, 5000, 6000)
        self.expect(0)


if __name__ == "__main__":
    unittest.main()
