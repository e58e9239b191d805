"""Three transformers engines on one GPU whose peaks come one after the other: fixed equal shares against memory that moves.

    three_models.py --host DIR/Kvcached.Host [--rate N] [--json FILE]
Arrivals and lengths are those of a production trace (samples/traces), thinned or pressed to the asked rate; both ways serve exactly the same requests at the same
moments. Prints mean and 99th percentile of the time to the first token, by engine and in all.
"""

import argparse
import csv
import datetime
import json
import os
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "python"))

from hosts import Host, first_gpu  # noqa: E402
from model import SEED, VOCABULARY  # noqa: E402
from parts import Engine  # noqa: E402

TRACE = os.path.join(HERE, "..", "traces", "AzureLLMInferenceTrace_conv.csv")
MODEL = {"layers": 16, "hidden": 2048, "dtype": "bfloat16"}
BLOCK_BYTES = (64 << 10) * 256  # 64 KiB of KV a token
MOST_PROMPT, MOST_NEW = 2000, 64
ENGINES = 3


def plan(rate, quiet_rate, seconds):
    """(second, engine, prompt, new tokens) in order: each engine has its peak in one third of the time, and little to do in the others."""
    with open(TRACE) as file:
        rows = [(moment(row["TIMESTAMP"]), int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)]
    source, requests = random.Random(SEED), []
    for engine in range(ENGINES):
        part = rows[engine * len(rows) // ENGINES :]
        at = 0
        for third in range(ENGINES):
            wanted = rate if third == engine else quiet_rate
            begin, room = third * seconds / ENGINES, seconds / ENGINES
            count = max(1, int(wanted * room))
            piece = part[at : at + count]
            at += count
            span = max(1e-9, piece[-1][0] - piece[0][0])
            for when, context, generated in piece:
                length = max(16, min(MOST_PROMPT, context))
                prompt = [source.randrange(3, VOCABULARY) for _ in range(length)]
                requests.append((begin + (when - piece[0][0]) / span * room * 0.98, engine, prompt, max(4, min(MOST_NEW, generated))))
    return sorted(requests, key=lambda request: request[:2])


def moment(text):
    return datetime.datetime.fromisoformat(text[:26]).timestamp()


def play(engines, requests, drain_seconds):
    """Submits each request at its time and waits for all answers; gives those of each engine by request."""
    began = time.monotonic()
    names = []
    for number, (when, engine, prompt, new_tokens) in enumerate(requests):
        time.sleep(max(0.0, began + when - time.monotonic()))
        names.append((engine, "r{0}".format(number)))
        engines[engine].submit(names[-1][1], prompt, new_tokens)
    problems = []
    for number, engine in enumerate(engines):
        try:
            engine.wait_done([name for e, name in names if e == number], drain_seconds)
        except TimeoutError as problem:
            problems.append(str(problem))
    return names, problems


def figures(seconds):
    ordered = sorted(seconds)
    if not ordered:
        return None
    at = lambda share: ordered[min(len(ordered) - 1, int(len(ordered) * share))]  # noqa: E731
    return {"count": len(ordered), "mean": round(sum(ordered) / len(ordered), 4), "p50": round(at(0.5), 4), "p99": round(at(0.99), 4), "max": round(ordered[-1], 4)}


def serve(way, arguments, requests):
    """One way of sharing; gives what was measured."""
    total = arguments.gib << 30
    host, engines = None, []
    try:
        host = Host(arguments.host, first_gpu(), "{0}GiB".format(arguments.gib)) if way == "elastic" else None
        blocks = total // BLOCK_BYTES // (1 if host else ENGINES)
        for number in range(ENGINES):
            settings = {"socket": host.socket, "pool": "model-{0}".format(number), "grow_timeout": 0.1} if host else None
            engines.append(Engine("model-{0}".format(number), MODEL, {"blocks": blocks, "batch_tokens": 1024, "new_tokens": MOST_NEW, "sharing": False}, settings))
        for engine in engines:
            engine.wait_ready()
        for engine in engines:  # kernels are loaded and chosen before the clock runs
            engine.submit("warm", [5] * 1200, 4)
        for engine in engines:
            engine.wait_done(["warm"], 60)
        names, problems = play(engines, requests, arguments.drain)
        done = [(engine, engines[engine].done[name]) for engine, name in names if name in engines[engine].done]
        problems += [answer[1] for _, answer in done if answer[1]][:3]
        measured = {
            "ttft_seconds": {"all": figures([a[2] for _, a in done]), **{str(e): figures([a[2] for x, a in done if x == e]) for e in range(ENGINES)}},
            "latency_seconds": figures([a[3] for _, a in done]), "unanswered": len(names) - len(done), "problems": problems,
        }
        if host:
            measured["states"] = [engine.state() for engine in engines]
        return measured
    except Exception as problem:
        return {"problems": ["{0}: {1}".format(type(problem).__name__, problem)], "host": host.log() if host else ""}
    finally:
        for engine in engines:
            engine.stop()
        if host:
            host.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True, help="the program Kvcached.Host")
    parser.add_argument("--gib", type=int, default=3, help="GiB of KV memory, divided or lent")
    parser.add_argument("--rate", type=float, default=16, help="requests per second of an engine in its peak")
    parser.add_argument("--quiet-rate", type=float, default=0.5, help="and otherwise")
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--drain", type=float, default=40, help="seconds to wait for the last answers")
    parser.add_argument("--json", help="file to write the results to")
    arguments = parser.parse_args()
    requests = plan(arguments.rate, arguments.quiet_rate, arguments.seconds)
    report = {"arguments": {name: value for name, value in vars(arguments).items() if name not in ("host", "json")}, "requests": len(requests)}
    for way in ("fixed", "elastic"):
        report[way] = serve(way, arguments, requests)
        print("{0}: {1}".format(way, json.dumps(report[way])), flush=True)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=2)
    return 1 if report["fixed"]["problems"] or report["elastic"]["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
