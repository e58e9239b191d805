"""Three transformers engines on one GPU whose peaks come one after the other: fixed equal shares against memory that moves.

    three_models.py --host DIR/Kvcached.Host [--rates N N N] [--json FILE]
Arrivals and lengths are those of a production trace (samples/traces), thinned or pressed to each of the asked rates; both ways serve exactly the same requests at
the same moments, one rate after the other, the lowest first. Prints mean and 99th percentile of the time to the first token, by engine and in all.
"""

import argparse
import csv
import datetime
import json
import os
import random
import subprocess
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


def versions():
    """Of what is measured. Asked for in a process of its own: this one must not hold memory of the GPU."""
    ask = "import torch, transformers; print(torch.__version__, transformers.__version__, torch.cuda.get_device_name(), sep='|')"
    torch, transformers, gpu = subprocess.run([sys.executable, "-c", ask], stdout=subprocess.PIPE, check=True).stdout.decode().strip().splitlines()[-1].split("|")
    return {"torch": torch, "transformers": transformers, "gpu": gpu}


def moment(text):
    return datetime.datetime.fromisoformat(text[:26]).timestamp()


def play(engines, requests, label, drain_seconds):
    """Submits each request at its time and waits for the answers; gives engine and name of each request. Some may still be unanswered: more were asked for
    than the memory can serve.

    :raises RuntimeError: An engine ended by itself.
    """
    began = time.monotonic()
    names = []
    for number, (when, engine, prompt, new_tokens) in enumerate(requests):
        time.sleep(max(0.0, began + when - time.monotonic()))
        names.append((engine, "{0}-{1}".format(label, number)))
        engines[engine].submit(names[-1][1], prompt, new_tokens)
    given_up = time.monotonic() + drain_seconds
    for number, engine in enumerate(engines):
        try:
            engine.wait_done([name for e, name in names if e == number], max(0.01, given_up - time.monotonic()))
        except TimeoutError:
            engine.require_alive()
    return names


def figures(seconds):
    ordered = sorted(seconds)
    if not ordered:
        return None
    at = lambda share: ordered[min(len(ordered) - 1, int(len(ordered) * share))]  # noqa: E731
    return {"count": len(ordered), "mean": round(sum(ordered) / len(ordered), 4), "p50": round(at(0.5), 4), "p99": round(at(0.99), 4), "max": round(ordered[-1], 4)}


def measure(engines, rate, requests, drain_seconds):
    """Plays the requests of one rate; gives what was measured. ``unanswered`` counts those that had no answer ``drain_seconds`` after the last arrival; they are
    in no other figure, so where there are some, the true times are longer."""
    names = play(engines, requests, "at-{0:g}".format(rate), drain_seconds)
    done = [(engine, engines[engine].done[name]) for engine, name in names if name in engines[engine].done]
    return {
        "rate": rate,
        "requests": len(names),
        "unanswered": len(names) - len(done),
        "ttft_seconds": {"all": figures([a[2] for _, a in done]), **{str(e): figures([a[2] for x, a in done if x == e]) for e in range(ENGINES)}},
        "latency_seconds": figures([a[3] for _, a in done]),
        "problems": [answer[1] for _, answer in done if answer[1]][:3],
    }


def serve(way, arguments, waves):
    """One way of sharing; gives what was measured at each rate. After a rate at which requests were left over there is no higher one: they would be in its way."""
    total = int(arguments.gib * (1 << 30))
    host, engines, report = None, [], {"rates": [], "problems": []}
    try:
        host = Host(arguments.host, first_gpu(), "{0}MiB".format(total >> 20)) if way == "elastic" else None
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
        for rate, requests in waves:
            report["rates"].append(measure(engines, rate, requests, arguments.drain))
            print("{0}: {1}".format(way, json.dumps(report["rates"][-1])), flush=True)
            report["problems"] += report["rates"][-1]["problems"]
            if report["rates"][-1]["unanswered"]:
                break
        if host:
            report["states"] = [engine.state() for engine in engines]
    except Exception as problem:
        report["problems"].append("{0}: {1}".format(type(problem).__name__, problem))
        report["host"] = host.log() if host else ""
    finally:
        for engine in engines:
            engine.kill()
        if host:
            host.close()
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True, help="the program Kvcached.Host")
    parser.add_argument("--gib", type=float, default=1.5, help="GiB of KV memory, divided or lent")
    parser.add_argument("--rates", type=float, nargs="+", default=[1, 2, 4], help="requests per second of an engine in its peak, one run each, ascending")
    parser.add_argument("--quiet-rate", type=float, default=0.2, help="and otherwise")
    parser.add_argument("--seconds", type=float, default=30, help="of each rate")
    parser.add_argument("--drain", type=float, default=20, help="seconds to wait for the last answers of a rate")
    parser.add_argument("--json", help="file to write the results to")
    arguments = parser.parse_args()
    waves = [(rate, plan(rate, arguments.quiet_rate, arguments.seconds)) for rate in sorted(arguments.rates)]
    report = {"benchmark": "three-models", "arguments": {name: value for name, value in vars(arguments).items() if name not in ("host", "json")}, "versions": versions()}
    for way in ("fixed", "elastic"):
        report[way] = serve(way, arguments, waves)
        if report[way]["problems"]:
            print("{0}: {1}".format(way, report[way]["problems"]), flush=True)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=2)
    return 1 if report["fixed"]["problems"] or report["elastic"]["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
