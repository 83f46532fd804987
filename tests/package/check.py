#!/usr/bin/env python3
"""Builds and runs the consumer project against the library, come to in one of the promised ways.

  check.py --prefix DIR install BUILD         installs the build tree into DIR, empty before
  check.py --prefix DIR --work DIR --compiler CXX WAY [KIND]
    find_package, pkg_config    with KIND static, shared, race_static or race_shared
    command                     the installed `runnel` command runs a program
    moved                       all of it still works after the installed tree has been moved
    add_subdirectory, fetch_content   without an installed package
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
EXPECTED = "sum 385, panic caught\n"


class Failure(Exception):
    """What is wrong, to be printed."""


def run(command, env=None, status=0):
    """Runs a command and returns its output, both streams; anything but `status` is a failure."""
    result = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **(env or {})},
        check=False,
    )
    if result.returncode != status:
        words = " ".join(str(word) for word in command)
        raise Failure(f"status {result.returncode}, not {status}, from: {words}\n{result.stdout}")
    return result.stdout


def without_aslr(command):
    """ThreadSanitizer of some compilers cannot live with the address layout of newer kernels."""
    probe = subprocess.run(["setarch", "-R", "true"], capture_output=True, check=False)
    return ["setarch", "-R", *command] if probe.returncode == 0 else command


def check_program(program, kind, env=None):
    """The consumer prints what it should; in the race build its race, and only that, is reported."""
    race = kind.startswith("race")
    command = without_aslr([program]) if race else [program]
    output = run(command, env)
    if output != EXPECTED:
        raise Failure(f"{program} printed «{output}», not «{EXPECTED}»")
    if race:
        report = run([*command, "race"], env, status=66)
        if "WARNING: ThreadSanitizer: data race" not in report:
            raise Failure(f"no data race reported:\n{report}")


def check_linkage(program, kind):
    """A program linked statically does not ask for the shared library, and the other way round."""
    needs = "librunnel" in run(["readelf", "-d", program])
    if needs != kind.endswith("shared"):
        raise Failure(f"{program}: {kind}, yet {'needs' if needs else 'does not need'} librunnel.so")


def libdir_of(prefix):
    found = list(prefix.glob("lib*/**/librunnel.a"))
    if len(found) != 1:
        raise Failure(f"librunnel.a is not once under {prefix}: {found}")
    return found[0].parent


def install(args):
    if args.prefix.exists():
        shutil.rmtree(args.prefix)
    run(["cmake", "--install", args.argument, "--prefix", args.prefix])
    libdir = libdir_of(args.prefix)
    for name in ["librunnel.so", "librunnel_race.a", "librunnel_race.so", "pkgconfig/runnel.pc"]:
        if not (libdir / name).exists():
            raise Failure(f"not installed: {libdir / name}")


def cmake_consumer(args, name, settings, build=True):
    """The consumer's program, built by CMake in a directory of that name."""
    where = args.work / name
    if where.exists():
        shutil.rmtree(where)
    settings = {"CMAKE_BUILD_TYPE": "Release", "CMAKE_CXX_COMPILER": args.compiler, **settings}
    definitions = [f"-D{key}={value}" for key, value in settings.items()]
    run(["cmake", "-G", "Ninja", "-S", HERE / "consumer", "-B", where, *definitions])
    run(["cmake", "--build", where, "--target", "consumer", "--", *([] if build else ["-n"])])
    return where / "consumer"


def find_package(args):
    kind = args.argument
    target = "runnel::runnel_race" if kind.startswith("race") else "runnel::runnel"
    program = cmake_consumer(args, f"find_package_{kind}", {
        "CONSUMER_WAY": "find_package",
        "CONSUMER_COMPONENT": kind.removeprefix("race_"),
        "CONSUMER_TARGET": target,
        "CMAKE_PREFIX_PATH": args.prefix,
    })
    check_linkage(program, kind)
    check_program(program, kind)


def pkg_config(args):
    kind = args.argument
    libdir = libdir_of(args.prefix)
    module = "runnel-race" if kind.startswith("race") else "runnel"
    query = ["pkg-config", *(["--static"] if kind.endswith("static") else []), "--cflags", "--libs", module]
    env = {"PKG_CONFIG_PATH": str(libdir / "pkgconfig")}
    flags = run(query, env).split()
    if kind.endswith("static"):
        # Both kinds lie in one directory, and the linker prefers the shared one unless told.
        flags = [f"-l:lib{flag[2:]}.a" if flag.startswith("-lrunnel") else flag for flag in flags]
    args.work.mkdir(parents=True, exist_ok=True)
    program = args.work / f"pkg_config_{kind}"
    run([args.compiler, "-std=c++20", "-O2", "-g", HERE / "consumer" / "main.cpp", "-o", program, *flags])
    check_linkage(program, kind)
    check_program(program, kind, {"LD_LIBRARY_PATH": str(libdir)})


def add_subdirectory(args):
    """As part of the consumer's own build; with the flags of our own, so that ccache, if any, knows the objects."""
    settings = {
        "CONSUMER_WAY": args.way,
        "CONSUMER_RUNNEL_SOURCE": SOURCE,
        "CONSUMER_TARGET": "runnel::runnel",
        "RUNNEL_WERROR": "ON",
        "CMAKE_BUILD_TYPE": "RelWithDebInfo",
    }
    if shutil.which("ccache"):
        os.environ["CCACHE_NOHASHDIR"] = "1"
        settings["CMAKE_CXX_COMPILER_LAUNCHER"] = "ccache"
    # FetchContent of a directory is add_subdirectory: that it gets as far as knowing what to build is enough.
    program = cmake_consumer(args, args.way, settings, build=args.way == "add_subdirectory")
    if args.way == "add_subdirectory":
        check_linkage(program, "static")
        check_program(program, "static")


def command(args):
    runnel = args.prefix / "bin" / "runnel"
    source = HERE / "consumer" / "main.cpp"
    env = {"XDG_CACHE_HOME": str(args.work / "cache"), "CXX": args.compiler}
    version = run([runnel, "version"])
    if not version.startswith("runnel 0."):
        raise Failure(f"runnel version: «{version}»")
    output = run([runnel, "run", source], env)
    if not output.endswith(EXPECTED):
        raise Failure(f"runnel run printed «{output}»")
    if run([runnel, "run", source], env) != EXPECTED:
        raise Failure("the second run of an unchanged file prints more than the program does")
    report = run([runnel, "run", "-race", source, "race"], env, status=66)
    if "WARNING: ThreadSanitizer: data race" not in report:
        raise Failure(f"runnel run -race reported no data race:\n{report}")
    if not run([runnel, "run", "-asan", source], env).endswith(EXPECTED):
        raise Failure("runnel run -asan printed something else")
    run([runnel, "test"], env, status=2)


def moved(args):
    target = args.work / "moved"
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(args.prefix, target, symlinks=True)
    args.prefix = target
    args.work = args.work / "moved_work"
    args.argument = "static"
    find_package(args)
    pkg_config(args)
    command(args)


WAYS = {
    "install": install,
    "find_package": find_package,
    "pkg_config": pkg_config,
    "add_subdirectory": add_subdirectory,
    "fetch_content": add_subdirectory,
    "command": command,
    "moved": moved,
}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--prefix", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("argument", nargs="?")
    args = parser.parse_args()
    try:
        WAYS[args.way](args)
    except Failure as failure:
        print(f"package/{args.way}: {failure}")
        return 1
    print(f"package/{args.way} {args.argument or ''}: as promised")
    return 0


if __name__ == "__main__":
    sys.exit(main())
