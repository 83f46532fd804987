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

    def process(self, cgroup, *mounts):
        """Its groups, and what is mounted where: (file system, root, directory, options)."""
        self.write("proc/self/cgroup", cgroup)
        self.write("proc/self/mountinfo", "30 23 0:26 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n" + "".join(
            f"31 30 0:27 {root} {self.root / directory} rw,nosuid shared:8 - {system} cgroup {options}\n"
            for system, root, directory, options in mounts))

    def version_2(self, path, root="/"):
        self.process(f"0::{path}\n", ("cgroup2", root, "cgroup", "rw"))

    def version_1(self, path, root="/"):
        self.process(f"5:cpu,cpuacct:/x\n4:memory:{path}\n0::/\n", ("cgroup", "/", "cpu", "rw,cpu,cpuacct"),
                     ("cgroup", root, "cgroup", "rw,memory"), ("cgroup2", "/", "unified", "rw"))

    def group(self, path, names, limit, used, stat=""):
        self.write(f"cgroup/{path}/{names[0]}", f"{limit}\n")
        self.write(f"cgroup/{path}/{names[1]}", f"{used}\n")
        self.write(f"cgroup/{path}/memory.stat", stat)

    def expect(self, free):
        self.assertEqual(memory.free(self.root / "proc"), free)

    def test_without_control_groups(self):
        self.expect(MACHINE)

    def test_group_without_a_limit(self):
        self.version_2("/a/b")
        self.group("a/b", V2, "max", 100)
        self.expect(MACHINE)

    def test_own_limit(self):
        self.version_2("/a/b")
        self.group("a/b", V2, 5000, 1000)
        self.expect(4000)

    def test_limit_of_a_parent(self):
        self.version_2("/a/b")
        self.group("a", V2, 3000, 1000)
        self.group("a/b", V2, 5000, 1000)
        self.expect(2000)

    def test_limit_that_only_slows_down(self):
        self.version_2("/a")
        self.group("a", V2, 5000, 1000)
        self.write("cgroup/a/memory.high", "3000\n")
        self.expect(2000)

    def test_limit_beyond_the_machine(self):
        self.version_2("/a")
        self.group("a", V2, MACHINE * 4, 1000)
        self.expect(MACHINE)

    def test_cached_files_give_way(self):
        self.version_2("/a")
        self.group("a", V2, 5000, 4000, "anon 1000\nfile 3000\ninactive_file 2500\n")
        self.expect(3500)

    def test_container_that_sees_its_own_part(self):
        self.version_2("/docker/1234/sub", root="/docker/1234")
        self.group("", V2, 5000, 1000)
        self.expect(4000)
        self.group("sub", V2, 4000, 1000)
        self.expect(3000)

    def test_container_whose_group_is_not_to_be_seen(self):
        self.version_2("/", root="/../other")
        self.group("", V2, 5000, 1000)
        self.expect(4000)

    def test_version_1(self):
        self.version_1("/a")
        self.group("a", V1, 5000, 4000, "inactive_file 1\ntotal_inactive_file 500\n")
        self.expect(1500)

    def test_version_1_in_a_container(self):
        self.version_1("/docker/1234/sub", root="/docker/1234")
        self.group("sub", V1, 5000, 4000)
        self.expect(1000)

    def test_used_up(self):
        self.version_2("/a")
        self.group("a", V2, 5000, 6000)
        self.expect(0)


if __name__ == "__main__":
    unittest.main()
