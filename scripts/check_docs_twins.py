#!/usr/bin/env python3
"""Runs the Go and Python snippets of a page and compares what they print with what the page says.

    check_docs_twins.py PAGE.md...

The C++ snippets beside them are run by snippets.py, whose conventions hold here, too: the ```text
block right after a snippet is what it prints, and one after the comment `<!-- output -->` is what
every snippet prints since the output block before it. A snippet of either language without output to
compare with is only run. Marks: `norun`, and `exit=N`.

A Go snippet with a package clause is a program. In any other, functions and types that begin in the
first column stay outside, the rest is main's body, and the imports are found by the names used. Python
snippets may await at the top, as in `python -m asyncio`. Go's are left out, saying so, where there is
no `go`.
"""

import ast
import asyncio
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # the tree stays as it is
from snippets import matches  # pylint: disable=wrong-import-position

TIME_LIMIT = 60

GO_PACKAGES = {
    "atomic": "sync/atomic",
    "rand": "math/rand",
    **{
        name: name
        for name in ("context", "errors", "fmt", "os", "runtime", "sort", "strings", "sync", "time")
    },
}


class Snippet:
    def __init__(self, place, language, marks, text):
        self.place, self.language, self.text = place, language, text
        self.status, self.output = 0, None
        self.norun = "norun" in marks
        for mark in marks:
            if mark.startswith("exit="):
                self.status = int(mark.removeprefix("exit="))
            elif mark not in ("norun", "fragment"):
                raise ValueError(f"{place}: unknown mark {mark}")


def parse(page):
    snippets, waiting = [], []  # waiting: those that a common output block would belong to
    pattern = re.compile(r"^( *)```(\w+)([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
    text = page.read_text(encoding="utf-8")
    end_of_last = None
    for block in pattern.finditer(text):
        language, body = block[2], re.sub(f"^{block[1]}", "", block[4], flags=re.MULTILINE)
        place = f"{page}:{text.count(chr(10), 0, block.start()) + 1}"
        between = text[end_of_last : block.start()].strip() if end_of_last is not None else "?"
        if language == "text" and between == "":
            if waiting:
                waiting.pop().output = body
        elif language == "text" and between.endswith("<!-- output -->"):
            for snippet in waiting:
                snippet.output = body
            waiting = []
        elif language in ("go", "python"):
            snippet = Snippet(place, language, block[3].split(), body)
            snippets.append(snippet)
            waiting.append(snippet)
        elif language == "cpp":
            pass
        end_of_last = block.end()
    return snippets


def go_program(text):
    if re.search(r"^package ", text, re.MULTILINE):
        return text
    outside = re.findall(r"^(?:func|type) .*?(?:^\}|\}$)\n", text, re.MULTILINE | re.DOTALL)
    inside = re.sub(r"^(?:func|type) .*?(?:^\}|\}$)\n", "", text, flags=re.MULTILINE | re.DOTALL)
    used = [path for name, path in GO_PACKAGES.items() if re.search(rf"\b{name}\.[A-Z]", text)]
    imports = "".join(f'import "{path}"\n' for path in used)
    return f"package main\n{imports}\n{''.join(outside)}\nfunc main() {{\n{inside}}}\n"


def run_go(snippet, work):
    source = pathlib.Path(work) / "main.go"
    source.write_text(go_program(snippet.text), encoding="utf-8")
    program = pathlib.Path(work) / "program"
    built = subprocess.run(
        ["go", "build", "-o", program, source], capture_output=True, encoding="utf-8", check=False
    )
    if built.returncode != 0:
        return built
    return subprocess.run([program], capture_output=True, encoding="utf-8", timeout=TIME_LIMIT, check=False)


def run_python(snippet):
    """In a process of its own, by this file itself: see run_with_await."""
    return subprocess.run(
        [sys.executable, __file__, "--run"],
        input=snippet.text,
        capture_output=True,
        encoding="utf-8",
        timeout=TIME_LIMIT,
        check=False,
    )


def run_with_await(text):
    code = compile(text, "snippet", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names = {"__name__": "__main__"}
    coroutine = eval(code, names)  # pylint: disable=eval-used  # None where nothing awaits
    if coroutine is not None:

        async def main():
            await coroutine

        asyncio.run(main())


def check(snippet, work):
    """What is wrong with the snippet, or None."""
    try:
        result = run_go(snippet, work) if snippet.language == "go" else run_python(snippet)
    except subprocess.TimeoutExpired:
        return f"did not end within {TIME_LIMIT} s"
    if result.returncode != snippet.status:
        return f"status {result.returncode}\n{result.stdout}{result.stderr}"
    if snippet.output is not None and not matches(snippet.output, result.stdout + result.stderr):
        return f"printed\n{result.stdout}{result.stderr}\nwhere the page says\n{snippet.output}"
    return None


def main():
    if sys.argv[1:] == ["--run"]:
        run_with_await(sys.stdin.read())
        return 0
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    have_go = shutil.which("go")
    wrong = 0
    for page in map(pathlib.Path, sys.argv[1:]):
        ran = compared = 0
        for snippet in parse(page):
            if snippet.norun or (snippet.language == "go" and not have_go):
                continue
            ran += 1
            compared += snippet.output is not None
            with tempfile.TemporaryDirectory(prefix="runnel-docs-") as work:
                trouble = check(snippet, work)
            if trouble:
                wrong += 1
                print(f"{snippet.place}: {snippet.language}: {trouble}")
        left_out = "" if have_go else ", Go's left out: `go` is not installed"
        print(f"{page}: {ran} snippets run, {compared} of them compared{left_out}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
