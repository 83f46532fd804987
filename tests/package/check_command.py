#!/usr/bin/env python3
"""Tests the `runnel` command: check_command.py --prefix DIR --work DIR --compiler CXX

Programs are run by the installed command of DIR, so that nothing is built in the source tree; bad use is tried
on both, and what only the source tree's knows on that one.
"""

import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent

PROGRAM = """\
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <runnel/go.hpp>
#include <string_view>
#include "word.hpp"
int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) std::cout << '<' << argv[i] << '>';
  std::cout << WORD << std::endl;
  if (argc > 1 && argv[1] == std::string_view("kill")) std::raise(SIGTERM);
  return runnel::run([&] { return argc - 1; });
}
"""


class Command:
    """One `runnel` command, its cache and a directory with sources to run."""

    def __init__(self, path, work, compiler):
        self.path, self.work = path, work
        self.env = {
            **os.environ, "XDG_CACHE_HOME": str(work / "cache"), "CXX": compiler, "LC_ALL": "C", "TERM": "xterm"}

    def run(self, *arguments, **options):
        return subprocess.run(
            [self.path, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
            cwd=self.work, env=self.env, timeout=600, check=False, **options)

    def write(self, name, text):
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


def expect(condition, *facts):
    if not condition:
        raise AssertionError("; ".join(str(fact) for fact in facts))


def expect_result(result, status, out=None, err=None):
    expect(result.returncode == status, f"status {result.returncode}, not {status}", result.stdout, result.stderr)
    if out is not None:
        expect(result.stdout == out, f"stdout «{result.stdout}», not «{out}»")
    if err is not None:
        expect(result.stderr == err, f"stderr «{result.stderr}», not «{err}»")


def expect_misuse(result, *words):
    expect_result(result, 2, out="")
    expect(result.stderr.count("\n") == 1, "not one line:", result.stderr)
    for word in words:
        expect(word in result.stderr, f"«{word}» is not in", result.stderr)


def test_arguments_and_status(installed, _):
    installed.write("word.hpp", '#define WORD " hello"\n')
    program = installed.write("args.cpp", PROGRAM)
    expect_result(installed.run("run", program), 0, out=" hello\n", err="")
    expect_result(installed.run("run", program, "a b", "", "-race", "$x"), 4, out="<a b><><-race><$x> hello\n", err="")
    expect_result(installed.run("run", "--", "args.cpp", "--help"), 1, out="<--help> hello\n", err="")


def test_signals(installed, _):
    installed.write("word.hpp", '#define WORD ""\n')
    program = installed.write("args.cpp", PROGRAM)
    expect_result(installed.run("run", program, "kill"), -signal.SIGTERM)
    sleeper = installed.write("sleeper.cpp", """\
#include <iostream>
#include <runnel/runnel.hpp>
int main() {
  std::cout << "ready" << std::endl;
  runnel::sleep_for(std::chrono::minutes(5));
}
""")
    with subprocess.Popen([installed.path, "run", sleeper], stdout=subprocess.PIPE, env=installed.env) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        expect(process.wait(30) == -signal.SIGINT, "ended with", process.returncode)


def test_recompiles_what_has_changed(installed, _):
    installed.write("word.hpp", '#define WORD "one"\n')
    program = installed.write("args.cpp", PROGRAM)
    expect_result(installed.run("run", program), 0, out="one\n")
    began = time.monotonic()
    expect_result(installed.run("run", program), 0, out="one\n", err="")
    expect(time.monotonic() - began < 1, "an unchanged program did not start at once")
    installed.write("word.hpp", '#define WORD "two"\n')
    expect_result(installed.run("run", program), 0, out="two\n")
    installed.write("args.cpp", PROGRAM.replace("WORD <<", "WORD << '!' <<"))
    expect_result(installed.run("run", program), 0, out="two!\n")
    (installed.work / "word.hpp").unlink()
    expect_result(installed.run("run", program), 1, out="")


def test_awkward_names(installed, _):
    text = '#include <iostream>\n#include <runnel/go.hpp>\n#include "a b/$h #1.hpp"\nint main() { std::cout << N; }\n'
    installed.write("odd dir/a b/$h #1.hpp", "#define N 1\n")
    program = installed.write("odd dir/ö 'q' $x.cpp", text)
    expect_result(installed.run("run", program), 0, out="1")
    expect_result(installed.run("run", program), 0, out="1", err="")
    installed.write("odd dir/a b/$h #1.hpp", "#define N 2\n")
    expect_result(installed.run("run", program), 0, out="2")
    deep = installed.write("/".join(["deep" * 15] * 5) + "/x.cpp", "int main() { return 3; }\n")
    expect_result(installed.run("run", deep), 3)


def test_link_flags(installed, _):
    text = '#include <math.h>\n#include <zlib.h>\n#include <cstdio>\nint main() { std::puts(zlibVersion()); }\n'
    if not pathlib.Path("/usr/include/zlib.h").exists():
        text = text.replace("#include <zlib.h>", 'extern "C" const char* zlibVersion();')
    program = installed.write("zlib.cpp", "// runnel: link: -lz\n" + text)
    expect_result(installed.run("run", program), 0)
    without = installed.write("without.cpp", text)
    failed = installed.run("run", without)
    expect_result(failed, 1, out="")
    expect("zlibVersion" in failed.stderr, failed.stderr)


def test_compile_error(installed, _):
    program = installed.write("broken.cpp", "int main() { return nothing; }\n")
    for _ in range(2):
        result = installed.run("run", program)
        expect_result(result, 1, out="")
        expect("broken.cpp:1:" in result.stderr and "nothing" in result.stderr, result.stderr)


def test_sanitizers(installed, _):
    program = installed.write("overflow.cpp", """\
#include <runnel/go.hpp>
int main(int argc, char**) {
  return runnel::run([=] { int* p = new int[1]{}; volatile int v = p[argc]; v = 0; delete[] p; return v; });
}
""")
    result = installed.run("run", "-asan", program)
    expect(result.returncode != 0 and "heap-buffer-overflow" in result.stderr, result.returncode, result.stderr)
    expect_result(installed.run("run", "-race", program), 0, err="")


def test_bad_use(installed, source):
    plain = installed.write("plain.txt", "")
    for command in (installed, source):
        expect_misuse(command.run(), "which command")
        expect_misuse(command.run("walk"), "walk")
        expect_misuse(command.run("help", "walk"), "walk")
        expect_misuse(command.run("run"), "which file")
        expect_misuse(command.run("run", "nowhere.cpp"), "nowhere.cpp")
        expect_misuse(command.run("run", plain), "plain.txt")
        expect_misuse(command.run("run", "."), "not a C++ source file")
        expect_misuse(command.run("run", "-fast", "x.cpp"), "-fast")
        expect_misuse(command.run("run", "-race", "-asan", "x.cpp"), "not both")
        expect_misuse(command.run("version", "2"), "version")
    expect_misuse(source.run("test", "no test is called this"), "no test is called this")
    expect_misuse(source.run("test", "a", "b"), "a b")
    expect_misuse(source.run("test", "-quick"), "-quick")
    expect_misuse(source.run("tour", "01"), "01")
    expect_misuse(source.run("tour", "-race"), "-race")
    for command in ("test", "bench", "tour"):
        expect_misuse(installed.run(command), "source tree")


def test_bench_tells_before_it_builds(installed, source):
    """With only these programs to be found anything that is built, or looked for to be, would fail otherwise."""
    tools = source.work / "tools"
    tools.mkdir()
    for tool in ("bash", "cat", "env", "python3", "readlink", "sed"):
        (tools / tool).symlink_to(shutil.which(tool))
    source.env["PATH"] = str(tools)
    expect_misuse(source.run("bench", "no row is called this"), "bench", "no row is called this")
    expect_misuse(source.run("bench", "--no-option"), "bench", "--no-option")
    expect_misuse(source.run("bench", "chan", "select"), "bench", "select")
    expect_misuse(source.run("bench", "--procs", "0", "chan"), "bench", "--procs")
    expect_misuse(source.run("bench", "--repeat", "some", "chan"), "bench", "some")
    expect_misuse(source.run("bench", "curves", "no curve is called this"), "bench", "no curve is called this")
    expect_misuse(source.run("bench", "sim", "--no-option"), "bench", "--no-option")
    for arguments in (["--help"], ["nothing", "--help"], ["chan", "-h"], ["curves", "--help"], ["--quick", "--help"]):
        result = source.run("bench", *arguments)
        expect_result(result, 0, err="")
        expect("runnel bench" in result.stdout and "--quick" in result.stdout, result.stdout)
    expect_result(source.run("bench", "--list"), 0, err="")
    expect_result(installed.run("bench", "nothing", "--help"), 0, err="")


def test_help_and_version(installed, source):
    for command in (installed, source):
        for arguments in (["--help"], ["help"], ["run", "--help"], ["help", "test"], ["tour", "--help"], ["test", "-h"]):
            result = command.run(*arguments)
            expect_result(result, 0, err="")
            expect("runnel" in result.stdout and "\x1b" not in result.stdout, result.stdout)
        expect_result(command.run("version"), 0, err="")
    expect(installed.run("version").stdout == source.run("--version").stdout, "two versions")


def test_completion(_, source):
    script = f"""
      source '{SOURCE}/scripts/completions/runnel.bash'
      complete_words() {{ COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _runnel; printf '%s\\n' "${{COMPREPLY[@]}}"; }}
      cd '{SOURCE}'
      complete_words ./runnel te
      complete_words ./runnel run -
      complete_words ./runnel run examples/01_goroutines_vs_threads/ma
      complete_words ./runnel test chan_te
    """
    result = subprocess.run(["bash", "-c", script], capture_output=True, encoding="utf-8", env=source.env, check=False)
    words = result.stdout.split()
    for word in ("test", "-race", "-asan", "examples/01_goroutines_vs_threads/main.cpp", "chan_test"):
        expect(word in words, word, "is not completed:", words, result.stderr)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--prefix", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--compiler", default="c++")
    args = parser.parse_args()
    failures = 0
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    for test in tests:
        work = args.work / test.__name__
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        installed = Command(args.prefix / "bin" / "runnel", work, args.compiler)
        source = Command(SOURCE / "runnel", work, args.compiler)
        try:
            test(installed, source)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            print(f"{test.__name__}: {error}")
            failures += 1
    print(f"{len(tests)} tests of the command, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
