#!/usr/bin/env python3
"""Sends graceful_shutdown each of the signals it waits for, from outside.

    test.py PROGRAM
"""

import pathlib
import signal
import subprocess
import sys
import time

TIME_LIMIT = 60
EXPECTED = "signal: no more requests\nfinished what was taken: true\n"


def blocks(process, number):
    """Whether the main thread has come so far that the signal does not end it."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
    return int(blocked.split()[1], 16) & (1 << (number - 1)) != 0


def check(program, number):
    with subprocess.Popen([program, "--wait"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8") as process:
        try:
            end = time.monotonic() + TIME_LIMIT
            while not blocks(process, number):
                if process.poll() is not None or time.monotonic() > end:
                    return f"never waited for the signal; status {process.returncode}"
                time.sleep(0.01)
            process.send_signal(number)
            output, _ = process.communicate(timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            return f"did not end within {TIME_LIMIT} s"
    if process.returncode != 0 or output != EXPECTED:
        return f"status {process.returncode}, printed\n{output}"
    return None


def main():
    failures = 0
    for number in (signal.SIGINT, signal.SIGTERM):
        if wrong := check(sys.argv[1], number):
            failures += 1
            print(f"FAILED  {number.name}: {wrong}")
        else:
            print(f"ok      {number.name}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
