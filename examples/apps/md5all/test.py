#!/usr/bin/env python3
"""Tests md5all against `find DIR -type f | xargs md5sum | sort -k2` on real and on hostile trees.

    test.py PROGRAM [NAME...]      NAME: only the tests whose name contains it

Every test runs in an empty directory of its own that is removed afterwards.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM = ""  # set by main
NOBODY = 65534


def run(*arguments, environment=None, **options):
    env = {**os.environ, "LC_ALL": "C", **(environment or {})}
    return subprocess.run(
        [PROGRAM, *arguments], env=env, capture_output=True, timeout=300, check=False, **options
    )


def reference(directory, locale="C", environment=None):
    """What the command of the issue prints; with -print0, so that xargs leaves blanks and quotes alone."""
    command = 'find "$1" -type f -print0 | xargs -0 -r md5sum | sort -k2'
    return subprocess.run(
        ["bash", "-c", "set -o pipefail; " + command, "bash", directory],
        env={**os.environ, "LC_ALL": locale, **(environment or {})},
        capture_output=True,
        check=True,
    ).stdout


def expect(condition, *facts):
    if not condition:
        raise AssertionError("; ".join(str(fact)[:2000] for fact in facts))


def expect_same_as_reference(directory, lines=None, **options):
    wanted = reference(directory)
    if lines is not None:
        expect(wanted.count(b"\n") == lines, "the reference has not", lines, "lines:", wanted)
    got = run(directory, **options)
    expect(got.returncode == 0 and got.stderr == b"", directory, got.returncode, got.stderr)
    expect(got.stdout == wanted, directory, "got:", got.stdout[:900], "wanted:", wanted[:900])


def expect_error(got, *messages):
    expected = [b"md5all: " + message + b"\n" for message in messages]
    expect(got.returncode == 1, "status", got.returncode, got.stderr)
    expect(got.stdout == b"", "printed although it failed:", got.stdout)
    expect(got.stderr in expected, "stderr:", got.stderr, "expected:", expected)


def write(path, content=b"x"):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def remove_deep(directory):
    """shutil.rmtree holds a descriptor and a stack frame for each level."""
    subprocess.run(["rm", "-rf", directory], check=True)


def as_nobody(test):
    """Runs the test where permissions count: root may read everything, so root becomes nobody for it."""
    if os.geteuid() != 0:
        return test({})
    global PROGRAM
    os.chmod(".", 0o755)
    original, PROGRAM = PROGRAM, shutil.copy(PROGRAM, "md5all")
    PROGRAM = os.path.abspath(PROGRAM)
    try:
        return test({"user": NOBODY, "group": NOBODY, "extra_groups": []})
    finally:
        PROGRAM = original


# ---- trees that can be read ----------------------------------------------------------------------


def test_usr_include():
    """The issue's command, letter by letter, on a tree that every machine with a compiler has."""
    command = "set -o pipefail; find /usr/include -type f | xargs md5sum | sort -k2"
    env = {**os.environ, "LC_ALL": "C"}
    plain = subprocess.run(["bash", "-c", command], env=env, capture_output=True, check=False)
    # Boost has a name with a blank in it, at which that command fails.
    wanted = plain.stdout if plain.returncode == 0 else reference("/usr/include")
    expect(wanted.count(b"\n") > 100, "too few files in /usr/include")
    for processors in ("1", "2", "8"):
        got = run("/usr/include", environment={"RUNNEL_MAXPROCS": processors})
        expect(got.returncode == 0 and got.stderr == b"", processors, got.returncode, got.stderr)
        expect(got.stdout == wanted, "not the same at RUNNEL_MAXPROCS =", processors)


def test_names():
    names = [b"plain", b" blank first", b"blank last ", b"two  blanks", b"tab\there", b"'", b'"', b"$x"]
    names += [b"-n", b"--help", b"-", b".hidden", b"*", b"a\\b", b"a\\nb", b"line\nbreak", b"\n", b"\r"]
    names += [b"\\", b"caf\xc3\xa9", b"caf\xe9", b"\xff\xfe", b"\x01\x7f\x80", b"A", b"a", b"B", b"b", b"_"]
    names += [b"n" * 255, b"\xc3\xa4" * 127, b"sub/file", b"sub-file", b"sub.file", b"sub /file"]
    for name in names:
        write(b"tree/" + name, name)
    expect_same_as_reference("tree", lines=len(names))


def test_sizes():
    """Around the buffer's size and its multiples; empty; large; and a sparse file of 300 MB."""
    buffer = 128 * 1024
    sizes = [0, 1, 55, 56, 63, 64, 65, 4095, 4096, buffer - 1, buffer, buffer + 1, 3 * buffer + 7]
    for size in sizes:
        write(f"tree/{size}", bytes(i * 7 % 251 for i in range(size)))
    with open("tree/sparse", "wb") as file:
        file.truncate(300 * 1024 * 1024)
    expect_same_as_reference("tree", lines=len(sizes) + 1)


def test_only_regular_files():
    """Symbolic links are neither followed nor listed; fifos, sockets and directories are no files."""
    write("tree/file")
    write("elsewhere/secret")
    os.link("tree/file", "tree/hard link")
    os.symlink("file", "tree/link to file")
    os.symlink("../elsewhere", "tree/link to directory")
    os.symlink("nowhere", "tree/dangling")
    os.symlink(".", "tree/loop")
    os.mkfifo("tree/fifo")
    os.makedirs("tree/empty/directory")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("tree/socket")
    listener.close()
    expect_same_as_reference("tree", lines=2)


def test_forms_of_the_argument():
    write("tree/a/file")
    write("tree/-dash/file")
    write("single", b"content")
    os.symlink("tree", "link")
    os.symlink("single", "link to file")
    for form, lines in {
        "tree": 2,
        "tree/": 2,
        "tree//": 2,
        "./tree": 2,
        "tree/.": 2,
        "tree/../tree": 2,
        os.path.abspath("tree"): 2,
        ".": 3,
        "single": 1,
        "link/": 2,
        "link": 0,
        "link to file": 0,
        "/dev/null": 0,
    }.items():
        expect_same_as_reference(form, lines=lines)


def test_empty_tree():
    os.mkdir("tree")
    expect_same_as_reference("tree", lines=0)


def test_deep_tree():
    """The longest path that md5sum can open; one that is longer is an error, tested below."""
    depth = (4096 - len("tree/file") - 1) // 2
    here = os.open(".", os.O_RDONLY)
    os.mkdir("tree")
    os.chdir("tree")
    try:
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        with open("file", "wb"):
            pass
    finally:
        os.fchdir(here)
        os.close(here)
    try:
        expect_same_as_reference("tree", lines=1)
    finally:
        remove_deep("tree")


def test_many_files_few_descriptors():
    for i in range(3000):
        write(f"tree/{i % 37}/{i}", str(i).encode())
    limited = ["bash", "-c", 'ulimit -n 48; exec "$0" "$@"', PROGRAM, "tree"]
    wanted = reference("tree")
    for processors in ("1", "2", "8"):
        env = {**os.environ, "LC_ALL": "C", "RUNNEL_MAXPROCS": processors}
        got = subprocess.run(limited, env=env, capture_output=True, timeout=300, check=False)
        expect(got.returncode == 0 and got.stdout == wanted, processors, got.returncode, got.stderr)


def test_order_of_the_locale():
    """sort orders by LC_COLLATE, and so does md5all: in English, B comes between a and c."""
    names = [b"a", b"B", b"c", b"_b", b"a b", b"ab", b"\xc3\xa4", b"\xff", b"A", b"a.b", b"a\nb", b"-"]
    for name in names:
        write(b"tree/" + name)
    here = {"LOCPATH": os.path.abspath("locales")}
    locales = [("C", {}), ("C.UTF-8", {})]
    if os.path.exists("/usr/share/i18n/locales/en_US") and shutil.which("localedef"):
        os.mkdir("locales")
        localedef = ["localedef", "-i", "en_US", "-f", "UTF-8", "locales/en_US.UTF-8"]
        subprocess.run(localedef, check=True, stdout=subprocess.DEVNULL)
        locales.append(("en_US.UTF-8", here))
        expect(reference("tree", "en_US.UTF-8", here) != reference("tree"), "locale not used")
    for locale, where in locales:
        wanted = reference("tree", locale, where)
        got = run("tree", environment={"LC_ALL": locale, **where})
        expect(got.returncode == 0 and got.stdout == wanted, locale, got.stdout, wanted, got.stderr)


# ---- errors --------------------------------------------------------------------------------------


def test_bad_use():
    for arguments in ((), ("a", "b")):
        got = run(*arguments)
        expect((got.returncode, got.stdout) == (2, b""), arguments, got.returncode, got.stdout)
        expect(got.stderr == b"usage: md5all DIR\n", arguments, got.stderr)


def test_no_such_directory():
    expect_error(run("nowhere"), b"nowhere: No such file or directory")
    expect_error(run(""), b": No such file or directory")
    write("file")
    expect_error(run("file/below"), *(b"file/below: " + why for why in (
        b"Not a directory", b"No such file or directory")))


def test_unreadable_file():
    for i in range(200):
        write(f"tree/{i % 7}/{i}")
    write(b"tree/3/sec\nret")
    os.chmod(b"tree/3/sec\nret", 0)
    as_nobody(lambda who: expect_error(run("tree", **who), b"tree/3/sec\\nret: Permission denied"))


def test_unreadable_directory():
    write("tree/open/file")
    write("tree/closed/file")
    os.chmod("tree/closed", 0)
    try:
        as_nobody(lambda who: expect_error(run("tree", **who), b"tree/closed: Permission denied"))
    finally:
        os.chmod("tree/closed", 0o700)


def test_read_error():
    """A file that can be opened and not read: the memory at address 0 of the reading process."""
    expect_error(run("/proc/self/mem"), b"/proc/self/mem: Input/output error")


def test_path_too_long():
    here = os.open(".", os.O_RDONLY)
    os.mkdir("tree")
    os.chdir("tree")
    try:
        for _ in range(20):
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
    finally:
        os.fchdir(here)
        os.close(here)
    path = b"tree" + (b"/" + b"d" * 250) * 17
    try:
        expect_error(run("tree"), path + b": File name too long")
    finally:
        remove_deep("tree")


def test_error_cancels_huge_file():
    """The terabyte would take an hour; the error of the other hasher ends it at once."""
    write("tree/secret")
    os.chmod("tree/secret", 0)
    with open("tree/huge", "wb") as file:
        file.truncate(1 << 40)

    def test(who):
        for processors in ("1", "2", "8"):
            got = run("tree", environment={"RUNNEL_MAXPROCS": processors}, **who)
            expect_error(got, b"tree/secret: Permission denied")

    as_nobody(test)


def test_vanishing_files():
    """Files removed between the walk and the hashing, made certain by stopping the program meanwhile."""
    vanished = 0
    for delay in (0.001, 0.002, 0.004, 0.008, 0.016, 0.032) * 4:
        for i in range(4000):
            write(f"tree/{i % 10}/{i}", b"%d" % i)
        wanted = reference("tree")
        process = subprocess.Popen(
            [PROGRAM, "tree"],
            env={**os.environ, "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        time.sleep(delay)
        process.send_signal(signal.SIGSTOP)
        shutil.rmtree("tree")
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=300)
        if process.returncode == 0:  # too late: it had read everything, or opened what was left
            expect(out in (wanted, b"") and err == b"", out[:500], err)
            continue
        expect((process.returncode, out) == (1, b""), process.returncode, out[:500], err)
        named, reason = err[len(b"md5all: ") :].rsplit(b": ", 1)
        expect(named == b"tree" or named.startswith(b"tree/"), err)
        expect(reason == b"No such file or directory\n", err)
        vanished += named.count(b"/") == 2
        if vanished >= 2:
            return
    expect(vanished > 0, "no file has ever vanished in time")


def test_output_cannot_be_written():
    write("tree/file")
    with open("/dev/full", "wb") as full:
        got = subprocess.run([PROGRAM, "tree"], stdout=full, stderr=subprocess.PIPE, check=False)
    expect(got.returncode == 1, got.returncode)
    expect(got.stderr == b"md5all: write: No space left on device\n", got.stderr)


def main():
    global PROGRAM
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    PROGRAM = os.path.abspath(sys.argv[1])
    tests = {name[5:]: test for name, test in globals().items() if name.startswith("test_")}
    wanted = [name for name in tests if not sys.argv[2:] or any(n in name for n in sys.argv[2:])]
    if not wanted:
        sys.exit(f"no test has a name that contains {' or '.join(sys.argv[2:])}")
    failures = 0
    for name in wanted:
        home = os.getcwd()
        with tempfile.TemporaryDirectory(prefix="md5all-") as directory:
            os.chdir(directory)
            try:
                tests[name]()
                print("ok    ", name)
            except (AssertionError, subprocess.SubprocessError) as error:
                failures += 1
                print("FAILED", name, error)
            finally:
                os.chdir(home)
    sys.exit(1 if failures else 0)


main()
