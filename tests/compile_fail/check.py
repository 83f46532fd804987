#!/usr/bin/env python3
"""check.py FILE.cpp -- COMPILER FLAG...: what the file says must not compile does not.

The file holds numbered cases:

    #if RUNNEL_CASE == 1  // no member named 'send'
      receiver.send(1);
    #endif

With RUNNEL_CASE 0 it must compile: then each case fails by itself and by nothing else in the file.
With every other number that occurs it must fail, and the compiler's messages must contain the text
of the comment: alternatives, for compilers that differ, are separated by |; each is a regular
expression.
"""

import re
import subprocess
import sys

CASE = re.compile(r"^\s*#(?:el)?if RUNNEL_CASE == (\d+)(?:\s*//\s*(\S.*?))?\s*$")


def cases_of(path):
    """The numbered cases of a file: (number, line, pattern) for each."""
    found = []
    with open(path, encoding="utf-8") as source:
        for line_number, line in enumerate(source, 1):
            match = CASE.match(line)
            if match is None:
                if "RUNNEL_CASE" in line and not line.lstrip().startswith("//"):
                    sys.exit(f"{path}:{line_number}: write this as: #if RUNNEL_CASE == N  // TEXT")
                continue
            if not match[2]:
                sys.exit(f"{path}:{line_number}: case {match[1]} does not say which error it expects")
            found.append((int(match[1]), line_number, match[2]))
    numbers = [number for number, _, _ in found]
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        sys.exit(f"{path}: the cases are not numbered 1, 2, 3, ...: {numbers}")
    if not found:
        sys.exit(f"{path}: holds no case")
    return found


def compile_case(command, path, number):
    return subprocess.run(
        [*command, f"-DRUNNEL_CASE={number}", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"},
        check=False,
    )


def main():
    if "--" not in sys.argv[2:] or len(sys.argv) < 4:
        sys.exit(__doc__.splitlines()[0])
    path = sys.argv[1]
    command = sys.argv[sys.argv.index("--") + 1 :]
    failures = 0
    cases = cases_of(path)

    plain = compile_case(command, path, 0)
    if plain.returncode != 0:
        print(f"{path}: does not compile without any of its cases:\n{plain.stdout}")
        failures += 1
    for number, line, pattern in cases:
        result = compile_case(command, path, number)
        if result.returncode == 0:
            print(f"{path}:{line}: case {number} compiles; it must not")
            failures += 1
        elif not re.search(pattern, result.stdout):
            print(f"{path}:{line}: case {number} fails without saying «{pattern}»:\n{result.stdout}")
            failures += 1
    print(f"{path}: {len(cases)} cases, {failures} wrong")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
