#!/usr/bin/env python3
"""The model of the scheduler (bench/sim) keeps its goroutines' work: nothing sleeps for ever, nothing is done in no time."""

import itertools
import subprocess
import sys
import unittest

BINARY = sys.argv.pop()
POLICIES = ["runnel", "go", "tokio", "runnel-wake", "runnel-cas", "runnel-fifo"]
PROGRAMS = ["burst", "tree", "pairs", "calls"]

# As taken on a machine where another CPU gets up sooner than the one that wakes it goes on, and on one where it is later.
SOON = {"spawn": 935, "ready": 147, "pick": 147, "line": 287, "wake": 9127, "wake_delay": 5800, "sleep": 4564,
        "nap": 96000, "barrier": 25195, "interrupted": 15494}
LATE = {"spawn": 60, "ready": 20, "pick": 20, "line": 100, "wake": 4000, "wake_delay": 17000, "sleep": 2000, "nap": 60000,
        "barrier": 1000, "interrupted": 500}


def model(*arguments, **costs):
    return subprocess.run([BINARY, *map(str, arguments), *(f"{name}={value}" for name, value in costs.items())],
                          capture_output=True, text=True, check=False)


def outcome(policy, procs, program, work, **costs):
    done = model(policy, procs, program, work, **costs)
    if done.returncode != 0:
        raise AssertionError(f"{policy} {procs} {program} {work}: {done.stderr}")
    words = done.stdout.split()
    return {words[i]: float(words[i + 1]) for i in range(0, len(words), 2)}


class Model(unittest.TestCase):
    def test_all_work_is_done_by_processors_that_there_are(self):
        for policy, program, work, procs, costs in itertools.product(POLICIES, PROGRAMS, (0, 1000), (1, 2, 5, 16),
                                                                      (SOON, LATE)):
            with self.subTest(policy=policy, program=program, work=work, procs=procs, costs=costs):
                got = outcome(policy, procs, program, work, **costs)
                # Nine in ten of the tree's goroutines are leaves, which alone work.
                self.assertGreaterEqual(got["ns_per_op"] * procs, work * (0.9 if program == "tree" else 1))
                self.assertLessEqual(got["busy"], 1.0001)

    def test_one_processor_pays_for_each_operation_and_for_nothing_else(self):
        for policy in POLICIES:
            with self.subTest(policy=policy):
                message = outcome(policy, 1, "pairs", 1000, **SOON)
                self.assertAlmostEqual(message["ns_per_op"], 1000 + SOON["ready"] + SOON["pick"], delta=1)
                self.assertEqual((message["steals"], message["wakeups"]), (0, 0))

    def test_a_nap_keeps_go_from_waking_a_thief_for_each_goroutine(self):
        got = outcome("go", 2, "burst", 0, **SOON)
        self.assertLess(got["wakeups"], 1000)

    def test_two_processors_share_the_work(self):
        for policy, program in itertools.product(POLICIES, ("burst", "tree", "calls")):
            with self.subTest(policy=policy, program=program):
                one, two = (outcome(policy, procs, program, 10_000, **LATE)["ns_per_op"] for procs in (1, 2))
                self.assertGreater(one / two, 1.8)

    def test_dear_barriers_do_not_make_more_processors_slower(self):
        for program, procs in itertools.product(("burst", "tree", "calls"), (2, 4, 8)):
            with self.subTest(program=program, procs=procs):
                one, more = (outcome("runnel", n, program, 1000, **SOON)["ns_per_op"] for n in (1, procs))
                self.assertGreater(one / more, 1.3)

    def test_unknown_names_are_refused(self):
        for arguments, text in ((("no", 1, "burst", 0), "no policy is called no"), (("go", 1, "no", 0), "no program is called no"),
                                (("go", 1, "burst", 0, "no=1"), "no cost is called no=1"), (("go", 0, "burst", 0), "PROCS")):
            with self.subTest(text=text):
                done = model(*arguments)
                self.assertEqual(done.returncode, 2)
                self.assertIn(text, done.stderr)


if __name__ == "__main__":
    unittest.main()
