import unittest

from tests.support import LibraryTestCase, run_python

HEAD = """
import faulthandler, os, signal, sys, threading, time
import kvcached_client as kvc
GROUP = kvc.multi_head("full", layers=2, kv_heads=2, head_elements=64, virtual_bytes=1 << 28)
SPEC = kvc.PoolSpec("pool", [GROUP], ["HOST-0"])
def use():
    SPEC.check()
    try:
        kvc.Session("/nonexistent/s", "engine", connect_timeout=0.12)
        raise SystemExit("a session was opened with nobody")
    except kvc.UnavailableError:
        pass
def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as problem:
            print(type(problem).__name__, problem, flush=True)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
def expect_forked():
    for call in (SPEC.check, lambda: kvc.Session("/nonexistent/s", "engine")):
        try:
            call()
        except kvc.ForkedError as problem:
            assert "spawn" in str(problem)
        else:
            raise AssertionError("a forked child was served")
"""


class ProcessTests(LibraryTestCase):
    def check(self, code, **environment):
        self.assertEqual((0, ""), run_python(HEAD + code, **environment))

    def test_children_forked_after_the_first_call_are_refused(self):
        self.check("use(); in_child(expect_forked); use(); in_child(lambda: in_child(expect_forked)); use()")

    def test_children_forked_before_the_first_call_may_use_it(self):
        self.check("in_child(use); in_child(use); use(); in_child(expect_forked)")

    def test_a_forked_child_ends_in_good_order(self):
        self.check("use()\nchild = os.fork()\nif child == 0: sys.exit(7)\n_, status = os.waitpid(child, 0)\nassert os.WEXITSTATUS(status) == 7, status")

    def test_interrupt_reaches_python(self):
        self.check(
            "use()\ntry:\n    os.kill(os.getpid(), signal.SIGINT); time.sleep(30); raise SystemExit('no interrupt')\n"
            "except KeyboardInterrupt:\n    pass\nassert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN"
        )

    def test_handlers_set_in_python_stay(self):
        self.check(
            "seen = []\nfor number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD): signal.signal(number, lambda n, f: seen.append(n))\nuse()\n"
            "for number in (signal.SIGTERM, signal.SIGUSR1): os.kill(os.getpid(), number)\nin_child(lambda: None)\n"
            "assert sorted(set(seen)) == sorted([signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD]), seen"
        )

    def test_faulthandler_reports_a_fault(self):
        for moment in ("faulthandler.enable(); use()", "use(); faulthandler.enable()"):
            exit_code, output = run_python(HEAD + moment + "; import ctypes; ctypes.string_at(0)")
            self.assertEqual(-11, exit_code, output)
            self.assertIn("Segmentation fault", output)
            self.assertIn("string_at", output)

    def test_many_threads_call_at_once(self):
        self.check(
            "def work():\n    for _ in range(50): SPEC.check()\n"
            "threads = [threading.Thread(target=work) for _ in range(16)]\n"
            "[thread.start() for thread in threads]; [thread.join() for thread in threads]"
        )

    def test_subprocesses_start_as_before(self):
        self.check("import subprocess\nuse()\nassert subprocess.check_output(['echo', 'x']) == b'x\\n'\nuse()")


if __name__ == "__main__":
    unittest.main()
