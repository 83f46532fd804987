#!/usr/bin/env python3
"""Runs the examples: each prints what its README shows and what its Go and Python twins print.

    check_examples.py --programs DIR [--repeat N] [NAME...]

DIR holds the programs of a build (build/release/examples). NAME is an example's folder below
examples/, such as 05_select or patterns/publish_subscribe; without any, all are run.

For each folder with a main.cpp:
  * the program at RUNNEL_MAXPROCS 1, 2 and 8, N times each: the same output every time, nothing on
    stderr, status 0;
  * main.py, and main.go where `go` is installed: the same output, byte for byte;
  * every command of a console block in the README. What follows it there is what it prints on stdout
    and then on stderr (`...` standing for anything), and the line `# status 2` its exit status;
  * for such a command with arguments, main.go with the same arguments: the same stdout and status and,
    where it ends with a report, the same first line of it.
"""

import argparse
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # the tree stays as it is
from snippets import matches  # pylint: disable=wrong-import-position

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIME_LIMIT = 60


class Failure(Exception):
    pass


def run(command, processors=None):
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    if processors:
        environment["RUNNEL_MAXPROCS"] = str(processors)
    shown = " ".join(map(str, command)) + (f" (RUNNEL_MAXPROCS={processors})" if processors else "")
    try:
        result = subprocess.run(
            command,
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{shown}: did not end within {TIME_LIMIT} s\n{error.stdout}") from None
    result.shown = shown
    return result


def expect_clean(result):
    if result.returncode != 0 or result.stderr:
        raise Failure(f"{result.shown}: status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def expect_equal(result, wanted, of_what):
    output = expect_clean(result)
    if output != wanted:
        raise Failure(f"{result.shown}: printed\n{output}\nand {of_what}\n{wanted}")


def console_commands(readme):
    """The commands of the console blocks: (arguments of the program, status, output as shown)."""
    for block in re.findall(r"^```console\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL):
        for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, shown = command.partition("\n")
            words = shlex.split(line)
            status = re.search(r"^# status (\d+)\n", shown, re.MULTILINE)
            shown = re.sub(r"^# status \d+\n", "", shown, flags=re.MULTILINE)
            yield words, int(status[1]) if status else 0, shown


class Example:
    def __init__(self, folder, programs, work):
        self.folder = folder
        self.name = str(folder.relative_to(ROOT / "examples"))
        self.program = programs / folder.name
        self.work = work
        self.source = str((folder / "main.cpp").relative_to(ROOT))

    def build_go(self):
        """The Go twin's program, or None: where there is no twin or no Go."""
        source = self.folder / "main.go"
        if not source.exists() or not shutil.which("go"):
            return None
        program = self.work / self.name.replace("/", "_")
        result = run(["go", "build", "-o", program, source])
        expect_clean(result)
        return program

    def check_itself(self, repeat):
        wanted = None
        for processors in (1, 2, 8):
            for _ in range(repeat):
                result = run([self.program], processors)
                if wanted is None:
                    wanted = expect_clean(result)
                expect_equal(result, wanted, "before")
        if not wanted:
            raise Failure(f"{self.program}: printed nothing")
        return wanted

    def check_command(self, words, status, shown, go):
        if words[:3] != ["./runnel", "run", self.source]:
            raise Failure(f"{self.name}/README.md: `{shlex.join(words)}` does not run {self.source}")
        result = run([self.program, *words[3:]])
        if result.returncode != status:
            raise Failure(
                f"{result.shown}: status {result.returncode}, the README says {status}\n{result.stderr}"
            )
        if not matches(shown, result.stdout + result.stderr):
            raise Failure(
                f"{result.shown}: printed\n{result.stdout}{result.stderr}\nthe README says\n{shown}"
            )
        if go and words[3:]:
            twin = run([go, *words[3:]])
            ours = (result.stdout, result.returncode, result.stderr.split("\n")[0] if status else "")
            its = (twin.stdout, twin.returncode, twin.stderr.split("\n")[0] if status else "")
            if ours != its:
                raise Failure(f"{result.shown}: {ours}\n{twin.shown}: {its}")

    def check(self, repeat):
        go = self.build_go()
        commands = list(console_commands((self.folder / "README.md").read_text(encoding="utf-8")))
        if not commands:
            raise Failure(f"{self.name}/README.md shows no run of the program")
        twins = 0
        if (self.folder / "main.py").exists():
            wanted = self.check_itself(repeat)
            expect_equal(run([sys.executable, self.folder / "main.py"]), wanted, self.source)
            twins += 1
            if go:
                expect_equal(run([go]), wanted, self.source)
                twins += 1
        for words, status, shown in commands:
            self.check_command(words, status, shown, go)
        return f"{twins} twins, {len(commands)} commands"


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("name", nargs="*")
    args = parser.parse_args()
    folders = {
        str(path.parent.relative_to(ROOT / "examples")): path.parent
        for path in sorted((ROOT / "examples").glob("**/main.cpp"))
    }
    if unknown := [name for name in args.name if name not in folders]:
        parser.error(f"no such example: {', '.join(unknown)}")
    failures = 0
    with tempfile.TemporaryDirectory(prefix="runnel-examples-") as work:
        for name in args.name or folders:
            example = Example(folders[name], args.programs.resolve(), pathlib.Path(work))
            try:
                print(f"ok      {name}: {example.check(args.repeat)}")
            except (Failure, OSError) as failure:
                failures += 1
                print(f"FAILED  {name}: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
