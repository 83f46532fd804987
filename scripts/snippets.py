#!/usr/bin/env python3
"""Compiles and runs the C++ snippets of a page: a Markdown file, or a header with its `///` comments.

A snippet is a fenced block marked cpp. What is done with it:

    ```cpp            a program if it holds `int main`, else a fragment
    ```cpp fragment   the body of a function; its #include lines go to the top
    ```cpp file       declarations at namespace scope; compiled, not run
    ```cpp norun      as the first, but not run
    ```cpp exit=2     as the first; has to end with this status
    ```cpp fails      as the first, but must not compile
    ```cpp race       as the first, built and run as `runnel run -race` does; it has to end with a
                      report, of which what the page shows is a part
    ```cpp asan       the same for `runnel run -asan`

All fragments of a page are compiled as one program (with <runnel/runnel.hpp>, the usual headers of
the standard library and std::chrono_literals) and run one by one. A comment that begins with
`<!-- cpp` holds declarations that fragments after it need and readers do not.

A ```text block that follows a snippet at once is what it prints on both streams together; one after
the comment `<!-- output -->` is what every snippet prints since the output block before it. `...` in it
stands for anything, alone on a line for any number of lines.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

TIME_LIMIT = 60

SANITIZERS = {"race": ["-fsanitize=thread"], "asan": ["-fsanitize=address,undefined"]}

PRELUDE = """\
#include <runnel/runnel.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>
using namespace std::chrono_literals;
"""


class Snippet:
    """One block: where it stands, what it says, what it must do."""

    def __init__(self, page, line, marks, text):
        self.page, self.line, self.text = page, line, text
        self.marks = set(marks)
        self.status = 0
        self.output = None
        for mark in marks:
            if mark.startswith("exit="):
                self.status = int(mark.removeprefix("exit="))
                self.marks.remove(mark)
        unknown = self.marks - {"fragment", "file", "norun", "fails", *SANITIZERS}
        if unknown:
            raise ValueError(f"{self.place()}: unknown mark {' '.join(sorted(unknown))}")

    def place(self):
        return f"{self.page}:{self.line}"

    def is_fragment(self):
        return "fragment" in self.marks or not (
            "file" in self.marks or re.search(r"\bint\s+main\s*\(", self.text)
        )

    def sanitizer(self):
        """Which sanitizer is to report it, or None."""
        return next((mark for mark in SANITIZERS if mark in self.marks), None)

    def located(self, text):
        """The text, as the compiler will know where it stands."""
        return f'#line {self.line + 1} "{self.page}"\n{text}'

    def split_includes(self):
        """#include lines, which a function cannot hold, and the rest with as many lines."""
        includes, body = [], []
        for line in self.text.splitlines():
            is_include = line.lstrip().startswith("#include")
            (includes if is_include else body).append(line)
            if is_include:
                body.append("")
        return "\n".join(includes), "\n".join(body)


def page_lines(path):
    """The lines of a page; of a header only its documentation, other lines empty."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text.splitlines()
    return [
        match[1] if (match := re.match(r"\s*/// ?(.*)$", line)) else ""
        for line in text.splitlines()
    ]


def parse(path, shown_as):
    """The snippets of a page, and its hidden declarations as snippets marked file."""
    snippets, hidden = [], []
    lines = page_lines(path)
    waiting = []  # the snippets that an announced output block would belong to
    nearest, announced = None, False  # the one that a block here would; whether one is announced
    at = 0
    while at < len(lines):
        line = lines[at]
        start, fence = at, re.match(r"( *)```(\w*)(.*)$", line)
        comment = line.strip().startswith("<!-- cpp")
        if fence or comment:
            end = re.compile(r" *```\s*$" if fence else r" *-->\s*$")
            body = []
            at += 1
            while at < len(lines) and not end.match(lines[at]):
                body.append(lines[at].removeprefix(fence[1] if fence else ""))
                at += 1
            text = "\n".join(body) + "\n"
        if comment:
            hidden.append(Snippet(shown_as, start + 1, ["file"], text))
        elif fence and fence[2] == "cpp":
            nearest, announced = Snippet(shown_as, start + 1, fence[3].split(), text), False
            snippets.append(nearest)
            waiting.append(nearest)
        elif fence:
            if fence[2] == "text" and (announced or nearest):
                for snippet in waiting if announced else [nearest]:
                    snippet.output = text
                waiting = []
            nearest, announced = None, False
        elif line.strip() == "<!-- output -->":
            announced = True
        elif line.strip():
            nearest, announced = None, False
        at += 1
    return snippets, hidden


def matches(pattern, output):
    """Whether the output is what the page shows, `...` standing for anything."""
    parts = []
    for line in pattern.rstrip("\n").split("\n"):
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*".join(re.escape(part) for part in line.rstrip().split("...")) + r"[ \t]*\n")
    return re.fullmatch("".join(parts), output.rstrip("\n") + "\n") is not None


class Checker:
    """Compiles and runs; collects what is wrong."""

    def __init__(self, args, root):
        self.args, self.root = args, root
        self.failures = []

    def compile(self, name, source, link=(), sanitizer=None):
        """The program made of the source, or None and the compiler's messages."""
        path = self.args.work.resolve() / f"{name}.cpp"
        path.write_text(source, encoding="utf-8")
        program, binary = path.with_suffix(""), path.with_suffix(".o")
        compiler = [*self.args.compiler.split(), "-pthread", "-g", *SANITIZERS.get(sanitizer, ())]
        library = self.args.race_library if sanitizer == "race" else self.args.library
        ccache = shutil.which("ccache")  # which knows nothing of linking
        include = str(self.root / "include")
        steps = [
            [*([ccache] if ccache else []), *compiler, "-std=c++20", "-O1", "-I", include, "-c", path.name, "-o", binary.name],
            [*compiler, binary.name, "-o", program.name, str(library.resolve()), *link, "-ldl"],
        ]
        for step in steps:
            result = subprocess.run(
                step, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False,
                cwd=path.parent, env={**os.environ, "CCACHE_NOHASHDIR": "1", "CCACHE_BASEDIR": str(self.root)},
            )
            if result.returncode != 0:
                return None, result.stdout
        return program, ""

    def run(self, snippet, command):
        try:
            result = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                encoding="utf-8", errors="replace", timeout=TIME_LIMIT, check=False,
                env={**os.environ, "LC_ALL": "C"},
            )
        except subprocess.TimeoutExpired:
            self.failures.append(f"{snippet.place()}: did not end within {TIME_LIMIT} s")
            return
        wanted = snippet.output
        if snippet.sanitizer():
            wanted = f"...\n{wanted or ''}...\n"
            if result.returncode == 0:
                self.failures.append(f"{snippet.place()}: nothing was reported\n{result.stdout}")
                return
        elif result.returncode != snippet.status:
            self.failures.append(
                f"{snippet.place()}: ended with status {result.returncode}, not {snippet.status}\n{result.stdout}")
            return
        if wanted is not None and not matches(wanted, result.stdout):
            self.failures.append(
                f"{snippet.place()}: printed\n{result.stdout}\nwhere the page shows\n{wanted}")

    def check_alone(self, name, snippet):
        if snippet.is_fragment():
            includes, body = snippet.split_includes()
            source = PRELUDE + includes + "\nint main() {\n" + snippet.located(body) + "\n}\n"
        else:
            source = snippet.located(snippet.text)
            if "file" in snippet.marks and "int main" not in snippet.text:
                source = PRELUDE + source + "\nint main() {}\n"
        link = re.findall(r"^// runnel: link: (.*)$", snippet.text, re.MULTILINE)
        sanitizer = snippet.sanitizer()
        runs = not snippet.marks & {"norun", "file"}
        if sanitizer and not self.args.race_library:
            sanitizer, runs = None, False
        program, messages = self.compile(name, source, " ".join(link).split(), sanitizer)
        if "fails" in snippet.marks:
            if program:
                self.failures.append(f"{snippet.place()}: compiles, and must not")
        elif program is None:
            self.failures.append(f"{snippet.place()}: does not compile\n{messages}")
        elif runs:
            self.run(snippet, [*self.fixed_addresses(sanitizer), str(program)])

    @staticmethod
    def fixed_addresses(sanitizer):
        """ThreadSanitizer does not get along with the randomised addresses of some kernels."""
        if sanitizer != "race" or not shutil.which("setarch"):
            return []
        allowed = subprocess.run(["setarch", "-R", "true"], stderr=subprocess.DEVNULL, check=False)
        return ["setarch", "-R"] if allowed.returncode == 0 else []

    def check_fragments(self, name, fragments, hidden):
        """All of them as one program; its argument says which is to run."""
        includes, bodies, calls = [], [], []
        declarations = {id(block): block.split_includes() for block in hidden}
        for number, fragment in enumerate(fragments):
            own_includes, body = fragment.split_includes()
            includes.append(own_includes)
            for block in [b for b in hidden if b.line < fragment.line and id(b) in declarations]:
                block_includes, text = declarations.pop(id(block))
                includes.append(block_includes)
                bodies.append(block.located(text))
            bodies.append(f"static void fragment_{number}() {{\n{fragment.located(body)}\n}}\n")
            calls.append(f"    case {number}: fragment_{number}(); break;\n")
        source = (PRELUDE + "\n".join(includes) + "\n" + "\n".join(bodies)
                  + "int main(int, char** argv) {\n  switch (std::atoi(argv[1])) {\n" + "".join(calls) + "  }\n}\n")
        program, messages = self.compile(name, source)
        if program is None:
            self.failures.append(f"{fragments[0].page}: a fragment does not compile\n{messages}")
            return
        for number, fragment in enumerate(fragments):
            if "norun" not in fragment.marks:
                self.run(fragment, [str(program), str(number)])


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="where the programs are built")
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--library", type=pathlib.Path, required=True, help="librunnel.a or .so")
    parser.add_argument("--race-library", type=pathlib.Path, help="librunnel_race.a; without it what a sanitizer is to report is only compiled")
    parser.add_argument("page", type=pathlib.Path)
    args = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent
    page = args.page.resolve()
    shown_as = str(page.relative_to(root)) if page.is_relative_to(root) else str(page)
    stem = re.sub(r"\W", "_", shown_as)
    args.work.mkdir(parents=True, exist_ok=True)

    try:
        snippets, hidden = parse(page, shown_as)
    except ValueError as error:
        print(error)
        return 1
    checker = Checker(args, root)
    together = [s for s in snippets if s.is_fragment() and not s.marks & {"fails", *SANITIZERS}]
    for number, snippet in enumerate(s for s in snippets if s not in together):
        checker.check_alone(f"{stem}_{number}", snippet)
    if together:
        checker.check_fragments(f"{stem}_fragments", together, hidden)

    for failure in checker.failures:
        print(failure)
    print(f"{shown_as}: {len(snippets)} snippets, {len(checker.failures)} wrong")
    return 1 if checker.failures else 0


if __name__ == "__main__":
    sys.exit(main())
