"""Runs all tests, or the modules named, and ends in a line "N passed, N failed, N skipped"."""

import os
import sys
import unittest

FOLDER = os.path.dirname(os.path.abspath(__file__))


class CountingResult(unittest.TextTestResult):
    """Counts what passed; Python versions differ in what they count as run."""

    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main() -> int:
    sys.path.insert(0, os.path.dirname(FOLDER))
    loader = unittest.TestLoader()
    if len(sys.argv) > 1:
        suite = loader.loadTestsFromNames(["tests." + name for name in sys.argv[1:]])
    else:
        suite = loader.discover(FOLDER, top_level_dir=os.path.dirname(FOLDER))
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=1, resultclass=CountingResult).run(suite)
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    skipped = len(result.skipped)
    for test, reason in result.skipped:
        print("skipped {0}: {1}".format(test, reason), file=sys.stderr)
    print("{0} passed, {1} failed, {2} skipped".format(result.passed, failed, skipped))
    return 1 if failed or not result.passed else 0


if __name__ == "__main__":
    sys.exit(main())
