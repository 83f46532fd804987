#!/usr/bin/env python3
"""Checks the layers of the library: a statement of policy that runs as a test (style/layers).

A file includes its own layer or lower ones. Beyond that:

  - layers of the same rank do not include each other;
  - debug is on top, and sees the runtime only through the doors made for it (DOORS);
  - patterns see nothing of arch and runtime but their public headers;
  - nothing under include/ includes src/;
  - only arch and runtime know threads, futexes and epoll, and there is exactly one thread_local;
  - public headers define no macro that is not RUNNEL_*, and only in detail/config.hpp;
  - there is no circle of includes, and no file of more than 500 lines.

The first argument, if any, is the root of another tree to check.
"""

import fnmatch
import pathlib
import re
import sys

# (rank, layer, its files). The first pattern that fits a file decides.
LAYERS = [
    (7, "patterns", [
        "src/patterns/*", "include/runnel/patterns.hpp", "include/runnel/patterns/*", "include/runnel/rate.hpp",
        "include/runnel/detail/stage.hpp", "include/runnel/detail/tee.hpp",
        "*/errgroup.?pp", "src/sync/once_*.cpp", "*/singleflight.?pp", "*/weighted_semaphore.?pp"]),
    (6, "future", ["include/runnel/future.hpp", "include/runnel/detail/future_*"]),
    (5, "context", ["src/context/*", "include/runnel/context.hpp", "include/runnel/errc.hpp",
                    "include/runnel/detail/context_*"]),
    (4, "time", ["src/time/*", "include/runnel/time.hpp", "include/runnel/detail/timer_channel.hpp"]),
    (4, "select cases", ["include/runnel/sync/select_cases.hpp"]),  # where sync and select meet
    (3, "chan", ["src/chan/*", "include/runnel/chan.hpp", "include/runnel/select.hpp", "include/runnel/detail/chan_*",
                 "include/runnel/detail/select_*"]),
    (3, "sync", ["src/sync/*", "include/runnel/sync/*", "include/runnel/detail/read_bias.hpp"]),
    (2, "runtime", ["src/runtime/*", "include/runnel/go.hpp", "include/runnel/runtime.hpp"]),
    (1, "arch", ["src/arch/*"]),
    (0, "detail", ["include/runnel/detail/*"]),
    (8, "debug", ["src/debug/*", "include/runnel/diag.hpp"]),
    (9, "umbrella", ["include/runnel/runnel.hpp", "include/runnel/sync.hpp"]),
]

# What debug may include of the runtime.
DOORS = {"src/runtime/inspect.hpp", "src/runtime/policy.hpp", "src/runtime/hooks.hpp",
         "include/runnel/go.hpp", "include/runnel/runtime.hpp"}

SYSTEM_WORDS = re.compile(r"\b(pthread_\w+|epoll_\w+|SYS_futex|FUTEX_\w+|thread_local)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
DEFINE = re.compile(r"^\s*#\s*define\s+(\w+)")
LINE_LIMIT = 500


def layer_of(path):
    for rank, layer, patterns in LAYERS:
        if any(fnmatch.fnmatch(path, pattern) for pattern in patterns):
            return rank, layer
    return None


def without_comments(text):
    """The text with comments and string literals blanked; lines keep their numbers."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)

    def blank(match):
        if match[0].startswith('"'):
            return match[0] if "\n" not in match[0] else '""'
        return "\n" * match[0].count("\n")

    return pattern.sub(blank, text)


class Tree:
    """The library's files, and what is wrong with them."""

    def __init__(self, root):
        self.root = root
        self.wrong = []
        self.files = {
            str(path.relative_to(root)): path.read_text(encoding="utf-8")
            for top in ("include", "src")
            for path in sorted((root / top).rglob("*"))
            if path.suffix in {".hpp", ".cpp", ".S"}
        }
        self.includes = {name: self.includes_of(name) for name in self.files}

    def complain(self, name, line, what):
        self.wrong.append(f"{name}:{line}: {what}")

    def includes_of(self, name):
        """(line, file) for every include that is a file of ours."""
        found = []
        for number, line in enumerate(self.files[name].splitlines(), 1):
            match = INCLUDE.match(line)
            if match is None:
                continue
            beside = str(pathlib.PurePosixPath(name).parent / match[1])
            for candidate in (f"include/{match[1]}", f"src/{match[1]}", beside):
                if candidate in self.files:
                    found.append((number, candidate))
                    break
            else:
                if match[1].startswith("runnel/"):
                    self.complain(name, number, f"includes {match[1]}, which does not exist")
        return found

    def check_layers(self, name):
        own = layer_of(name)
        if own is None:
            self.complain(name, 1, "belongs to no layer; give it one in scripts/check_layers.py")
            return
        rank, layer = own
        for line, other in self.includes[name]:
            if name.startswith("include/") and other.startswith("src/"):
                self.complain(name, line, f"a header that users see includes {other}")
            target = layer_of(other)
            if target is None:
                continue
            other_rank, other_layer = target
            if other_rank > rank:
                self.complain(name, line, f"{layer} (rank {rank}) includes {other}, of {other_layer} (rank {other_rank})")
            elif other_rank == rank and other_layer != layer:
                self.complain(name, line, f"{layer} includes {other}, of {other_layer}: they stand side by side")
            elif layer == "debug" and other_layer == "runtime" and other not in DOORS:
                self.complain(name, line, f"debug sees the runtime only through its doors, not through {other}")
            elif layer == "patterns" and other.startswith(("src/arch/", "src/runtime/")):
                self.complain(name, line, f"patterns are built above the runtime, not from {other}")

    def check_words(self, name):
        """System words outside arch and runtime; macros in public headers. Returns its thread_locals."""
        locals_found = []
        own = layer_of(name)
        code = without_comments(self.files[name])
        for number, line in enumerate(code.splitlines(), 1):
            for word in SYSTEM_WORDS.findall(line):
                if word == "thread_local":
                    locals_found.append(f"{name}:{number}")
                if own is not None and own[1] not in {"arch", "runtime"}:
                    self.complain(name, number, f"{word} is for arch and runtime to know, not for {own[1]}")
            match = DEFINE.match(line)
            if match and name.startswith("include/"):
                if not match[1].startswith("RUNNEL_"):
                    self.complain(name, number, f"macro {match[1]} does not begin with RUNNEL_")
                elif name != "include/runnel/detail/config.hpp":
                    self.complain(name, number, f"macro {match[1]} belongs into detail/config.hpp")
        return locals_found

    def check_circles(self):
        """Depth-first: a file that is reached while it is being visited closes a circle."""
        done, path = set(), []

        def visit(name):
            if name in path:
                self.complain(name, 1, "circle of includes: " + " -> ".join([*path[path.index(name):], name]))
                return
            if name in done:
                return
            path.append(name)
            for _, other in self.includes[name]:
                visit(other)
            path.pop()
            done.add(name)

        for name in self.files:
            visit(name)

    def check_lengths(self):
        for top in ("include", "src", "tests", "bench", "examples", "scripts"):
            for path in sorted((self.root / top).rglob("*")):
                if path.suffix in {".hpp", ".cpp", ".S", ".py", ".go", ".sh"} and path.is_file():
                    with path.open(encoding="utf-8") as text:
                        lines = sum(1 for _ in text)
                    if lines > LINE_LIMIT:
                        self.complain(path.relative_to(self.root), LINE_LIMIT, f"{lines} lines; {LINE_LIMIT} are the limit")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    if len(sys.argv) <= 1:
        root = root.parent.parent
    tree = Tree(root)
    thread_locals = []
    for name in tree.files:
        tree.check_layers(name)
        thread_locals += tree.check_words(name)
    if len(thread_locals) > 1:
        tree.wrong.append(f"{len(thread_locals)} thread_locals where there is to be one: {', '.join(thread_locals)}")
    tree.check_circles()
    tree.check_lengths()
    for line in tree.wrong:
        print(line)
    print(f"layers: {len(tree.files)} files, {len(tree.wrong)} wrong")
    return 1 if tree.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
