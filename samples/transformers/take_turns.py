"""Two transformers engines on one GPU, each of which takes nearly all of the KV memory in turn.

    take_turns.py --host DIR/Kvcached.Host [--json FILE]     with KVCACHED_LIBRARY set, and PyTorch and transformers installed
Exit code 0 when each held at least nine tenths of what the host lends while it worked, and both answered the same prompts alike.
"""

import argparse
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))

from hosts import Host, first_gpu  # noqa: E402
from model import make_prompts  # noqa: E402
from parts import Engine  # noqa: E402

MODEL = {"layers": 16, "hidden": 2048, "dtype": "float32"}  # 128 KiB of KV a token
BYTES_PER_TOKEN = 128 << 10
NEW_TOKENS = 160


class Peaks:
    """The most that each pool held, looked at ten times a second."""

    def __init__(self, host):
        self._host, self._over, self.bytes = host, threading.Event(), {}
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        while not self._over.wait(0.1):
            for pool, mapped in self._host.pools().items():
                self.bytes[pool] = max(mapped, self.bytes.get(pool, 0))

    def stop(self):
        self._over.set()
        self._thread.join(10)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True, help="the program Kvcached.Host")
    parser.add_argument("--gib", type=int, default=8, help="GiB that the host lends")
    parser.add_argument("--turns", type=int, default=4, help="turns in all")
    parser.add_argument("--json", help="file to write the results to")
    arguments = parser.parse_args()
    lent = arguments.gib << 30
    length = 1800
    count = int(lent * 0.95) // (BYTES_PER_TOKEN * (8 * 256))  # a prompt and its answer fill eight blocks of 256 tokens
    prompts = make_prompts(count, length, length)
    engine = {"blocks": lent // (BYTES_PER_TOKEN * 256), "batch_tokens": 1024, "new_tokens": NEW_TOKENS}
    host = Host(arguments.host, first_gpu(), "{0}GiB".format(arguments.gib))
    engines, report, problems = [], {"lent_bytes": lent, "prompts": count, "turns": []}, []
    try:
        names = ["left", "right"]
        engines = [Engine(name, MODEL, engine, {"socket": host.socket, "pool": name, "grow_timeout": 1.0}) for name in names]
        for one in engines:
            one.wait_ready()
        answers = []
        for turn in range(arguments.turns):
            one = engines[turn % 2]
            peaks = Peaks(host)
            wave = ["{0}-{1}".format(turn, i) for i in range(count)]
            for name, prompt in zip(wave, prompts):
                one.submit(name, prompt, NEW_TOKENS)
            one.wait_done(wave, 120)
            peaks.stop()
            answers.append([one.done[name][:2] for name in wave])
            share = peaks.bytes.get(one.name, 0) / lent
            said = {"engine": one.name, "peak_share": round(share, 3), "peaks": peaks.bytes, "after": host.pools(), "state": one.state()}
            report["turns"].append(said)
            print(json.dumps(said), flush=True)
            if share < 0.9:
                problems.append("turn {0}: {1} held only {2:.0%} of what is lent".format(turn, one.name, share))
            if any(error for _, error in answers[-1]):
                problems.append("turn {0}: {1}".format(turn, [error for _, error in answers[-1] if error][0]))
            if answers[-1] != answers[0]:
                problems.append("turn {0}: {1} answers differ from those of the first turn".format(turn, sum(a != b for a, b in zip(answers[-1], answers[0]))))
    except Exception as problem:
        problems.append("{0}: {1}".format(type(problem).__name__, problem))
        print("host:\n" + host.log(), flush=True)
    finally:
        for one in engines:
            one.stop()
        host.close()
    report["problems"] = problems
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=2)
    print("passed" if not problems else "failed: " + "; ".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
