"""The options of `runnel bench` and of its two other reports."""

import argparse
import sys


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line and status 2, as the runnel command does it."""
        print(f"{self.prog.replace(' ', ': ', 1)}: {message}", file=sys.stderr)
        sys.exit(2)
