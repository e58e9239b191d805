"""What can go wrong around transformers' continuous batching on Kvcached, on a real GPU: the engine must get through each without an error, a wrong
token or a hang.

    tests/gpu/transformers_faults.py --host DIR/Kvcached.Host [--json FILE] [--only NAME...]     with KVCACHED_LIBRARY set
Every check starts with the answers that an undisturbed engine gave to the same prompts, and ends with all of them again. Ends in "N passed, N failed".
"""

import argparse
import json
import os
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", "samples", "transformers"), os.path.join(HERE, "..", "..", "python")]

from hosts import Host, first_gpu  # noqa: E402
from model import make_prompts  # noqa: E402
from parts import Engine  # noqa: E402

MODEL = {"layers": 4, "hidden": 2048, "dtype": "float32"}  # 32 KiB of KV a token, 8 MiB a block over all layers
BLOCKS = 256
ENGINE = {"blocks": BLOCKS, "batch_tokens": 512, "new_tokens": 24}
NEW_TOKENS = 24
PATIENCE = 90


class Faults:
    """The checks; each method whose name begins with ``check_`` is one."""

    def __init__(self, program):
        self.program, self.gpu = program, first_gpu()
        self.prompts = make_prompts(24, 200, 1500)
        self.expected = None
        self.said = {}

    # -- parts ---------------------------------------------------------------------------------------------------------------------------------

    def engine(self, host, name, **settings):
        return Engine(name, MODEL, ENGINE, dict({"socket": host.socket, "pool": name, "grow_timeout": 0.1}, **settings))

    def submit(self, engine, wave):
        names = ["{0}-{1}".format(wave, i) for i in range(len(self.prompts))]
        for name, prompt in zip(names, self.prompts):
            engine.submit(name, prompt, NEW_TOKENS)
        return names

    def require_answers(self, engine, names, seconds=PATIENCE):
        engine.wait_done(names, seconds)
        for name, expected in zip(names, self.expected):
            tokens, error = engine.done[name][:2]
            if error or tokens != expected:
                raise AssertionError("{0} of {1}: error {2}, tokens {3} instead of {4}".format(name, engine.name, error, tokens, expected))

    def wave(self, engine, name):
        self.require_answers(engine, self.submit(engine, name))

    def note(self, **facts):
        self.said.setdefault(self.current, {}).update(facts)

    # -- checks --------------------------------------------------------------------------------------------------------------------------------

    def check_00_undisturbed(self, host):
        """What the others are compared with: ample memory, twice."""
        engine = self.engine(host, "calm")
        try:
            engine.wait_ready()
            names = self.submit(engine, "first")
            engine.wait_done(names, PATIENCE)
            bad = [engine.done[name][1] for name in names if engine.done[name][1] or len(engine.done[name][0]) != NEW_TOKENS]
            if bad:
                raise AssertionError("undisturbed requests failed: {0}".format(bad[:3]))
            self.expected = [engine.done[name][0] for name in names]
            self.wave(engine, "second")
            self.note(state=engine.state())
        finally:
            engine.stop()

    def check_01_pool_exhausted(self, host):
        """A tenth of what the prompts need."""
        engine = self.engine(host, "short", limit_bytes=192 << 20)
        try:
            engine.wait_ready()
            self.wave(engine, "wave")
            state = engine.state()
            self.note(state=state)
            if not state["misses"]:
                raise AssertionError("memory was never short, so that nothing was tried: {0}".format(state))
        finally:
            engine.stop()

    def check_02_limit_lowered_under_load(self, host):
        engine = self.engine(host, "lowered")
        try:
            engine.wait_ready()
            names = self.submit(engine, "wave")
            engine.wait_for(lambda: len(engine.done) >= 2, PATIENCE, "no answers before the limit was lowered")
            code, text = host.limit("lowered", "192MiB")
            self.note(kvctl=[code, text])
            if code not in (0, 5):
                raise AssertionError("kvctl limit ended with {0}: {1}".format(code, text))
            self.require_answers(engine, names)
            self.wave(engine, "after")
            self.note(state=engine.state(), pools=host.pools())
            if host.pools()["lowered"] > 192 << 20:
                raise AssertionError("the pool holds more than its new limit: {0}".format(host.pools()))
        finally:
            engine.stop()

    def check_03_host_restarted(self, host):
        engine = self.engine(host, "survivor")
        try:
            engine.wait_ready()
            names = self.submit(engine, "wave")
            engine.wait_for(lambda: len(engine.done) >= 2, PATIENCE, "no answers before the host was killed")
            host.kill()
            host.start()
            self.require_answers(engine, names)
            self.wave(engine, "after")
            self.note(state=engine.state())
        finally:
            engine.stop()

    def check_04_neighbour_killed(self, host):
        """Two engines that can't both have what they want; one is killed, and the other gets its memory."""
        staying, leaving = self.engine(host, "staying"), self.engine(host, "leaving")
        try:
            staying.wait_ready()
            leaving.wait_ready()
            self.submit(leaving, "wave")
            leaving.wait_for(lambda: len(leaving.done) >= 1, PATIENCE, "the neighbour did nothing")
            names = self.submit(staying, "wave")
            leaving.kill()
            self.require_answers(staying, names)
            self.wave(staying, "after")
            self.note(state=staying.state(), pools=host.pools())
        finally:
            leaving.kill()
            staying.stop()

    def check_05_two_start_at_once(self, host):
        engines = [self.engine(host, "twin-{0}".format(i)) for i in range(2)]
        try:
            for engine in engines:
                engine.wait_ready()
            waves = [self.submit(engine, "wave") for engine in engines]
            for engine, names in zip(engines, waves):
                self.require_answers(engine, names)
            self.note(states=[engine.state() for engine in engines])
        finally:
            for engine in engines:
                engine.stop()

    def check_06_engine_before_host(self, host):
        """The host comes only after the engine was started; and an engine whose host never comes says so in time."""
        host.kill()
        early = self.engine(host, "early", start_timeout=60.0)
        alone = self.engine(host, "alone", start_timeout=1.0)
        try:
            try:
                alone.wait_ready(60)
                raise AssertionError("an engine started without a host")
            except TimeoutError:
                self.note(refusal=(alone.start_error or ["no word"])[0])
                if not alone.start_error or "UnavailableError" not in alone.start_error[0]:
                    raise AssertionError("an engine without a host ended otherwise: {0}".format(alone.start_error)) from None
            host.start()
            early.wait_ready()
            self.wave(early, "wave")
        finally:
            alone.kill()
            early.stop()

    # -- all -----------------------------------------------------------------------------------------------------------------------------------

    def run(self, only):
        results = {}
        names = sorted(name for name in dir(self) if name.startswith("check_"))
        for name in names:
            if only and name != names[0] and not any(word in name for word in only):
                continue
            self.current, began = name, time.monotonic()
            host = Host(self.program, self.gpu, "1GiB")
            try:
                if self.expected is None and name != names[0]:
                    raise AssertionError("there is nothing to compare with, because the undisturbed run failed")
                getattr(self, name)(host)
                results[name] = "passed"
            except Exception as problem:
                results[name] = "{0}: {1}".format(type(problem).__name__, problem)
                print(traceback.format_exc() + "host:\n" + host.log(), flush=True)
            finally:
                host.close()
            print("{0}: {1} ({2:.0f} s) {3}".format(name, results[name], time.monotonic() - began, json.dumps(self.said.get(name, {}))), flush=True)
        return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True, help="the program Kvcached.Host")
    parser.add_argument("--only", nargs="*", default=[], help="parts of names of checks; the undisturbed run is always made")
    parser.add_argument("--json", help="file to write the results to")
    parser.add_argument("--most-seconds", type=float, default=480, help="the whole run is given up after this")
    arguments = parser.parse_args()
    watchdog = threading.Timer(arguments.most_seconds, lambda: (print("gave up after {0} s".format(arguments.most_seconds), flush=True), os._exit(3)))
    watchdog.daemon = True
    watchdog.start()
    faults = Faults(arguments.host)
    results = faults.run(arguments.only)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"results": results, "details": faults.said}, file, indent=2)
    failed = sum(text != "passed" for text in results.values())
    print("{0} passed, {1} failed".format(len(results) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
