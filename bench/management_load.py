"""Whether people who look slow decisions down: grants over two hosts are timed with nobody looking, and with pages open and scrapes going on, in turn.

    PYTHONPATH=python KVCACHED_LIBRARY=artifacts/native/libkvcached.so python3 bench/management_load.py --host PROGRAM [--browsers 50] [--scrapes 2] [--rounds 6] [--seconds 10] [--json FILE]
Each page is what a browser keeps open: the page's stream, read to its end. Scrapes are of /metrics, of each host, so many a second. Rounds without and with lookers
alternate, in an order that turns each time, so that what else the machine does falls on both. Run it on a machine that does nothing else, with more processors than four:
those who look need some too, and a decision that waits for a processor says nothing about hosts.
"""

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import tempfile
import threading
import time

import kvcached_client as kvc
from recovery import OPTIONS, Host, Worker, spec, until_granted


class Lookers:
    """Streams of the page from both hosts, and scrapes, in a process of their own so that they take nothing from the one that times."""

    def __init__(self, ports, browsers, scrapes):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=look, args=(theirs, ports, browsers, scrapes), daemon=True)
        self._process.start()
        theirs.close()
        problem = self._pipe.recv()
        if problem:
            raise RuntimeError(problem)

    def end(self):
        """Ends them; how many pictures and scrapes they have had."""
        self._pipe.send("end")
        pictures, scrapes = self._pipe.recv()
        self._process.join()
        return pictures, scrapes


def look(pipe, ports, browsers, scrapes_a_second):
    ended = threading.Event()
    counts = {"pictures": 0, "scrapes": 0}
    counting = threading.Lock()

    def count(what):
        with counting:
            counts[what] += 1

    def watch(connection, response):
        # Reading ends when the connection is shut at the end.
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            for line in response:
                if line.startswith(b"event: picture"):
                    count("pictures")

    def scrape(port):
        while not ended.wait(1 / scrapes_a_second):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/metrics")
            response = connection.getresponse()
            body = response.read()
            if response.status != 200 or b"kvcached_gpu_capacity_bytes" not in body:
                raise RuntimeError("a scrape was answered {0}".format(response.status))
            connection.close()
            count("scrapes")

    open_pages = []
    for number in range(browsers):
        connection = http.client.HTTPConnection("127.0.0.1", ports[number % len(ports)], timeout=30)
        connection.request("GET", "/dashboard/stream")
        response = connection.getresponse()
        if response.status != 200:
            pipe.send("page {0} was answered {1}".format(number + 1, response.status))
            return
        connection.sock.settimeout(None)
        open_pages.append((connection, response, connection.sock))
    threads = [threading.Thread(target=watch, args=page[:2], daemon=True) for page in open_pages]
    threads += [threading.Thread(target=scrape, args=(port,), daemon=True) for port in ports if scrapes_a_second > 0]
    for thread in threads:
        thread.start()
    pipe.send(None)
    pipe.recv()
    ended.set()
    with counting:
        pipe.send((counts["pictures"], counts["scrapes"]))


def time_grants(pool, seconds, interval):
    """Seconds of each grant of one page, which is given back before the next, at even intervals: what an engine that grows now and then sees."""
    taken = []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        began = time.perf_counter()
        pool.grow(0, 1, timeout=5)
        taken.append(time.perf_counter() - began)
        pool.trim(0, warm_pages_to_keep=0, timeout=5)
        time.sleep(max(0.0, began + interval - time.perf_counter()))
    return taken


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def summarise(rounds):
    values = [value for taken in rounds for value in taken]
    return {"grants": len(values), "p50": percentile(values, 0.5), "p99": percentile(values, 0.99), "worst": max(values)}


def measure(hosts, arguments):
    ports = [host.said["managementPort"] for host in hosts]
    rounds = {"alone": [], "watched": []}
    pictures = scrapes = 0
    with kvc.Session(hosts[0].said["socket"], "bench") as session, session.open_pool(spec("both", ["HOST-0", "HOST-1"]), OPTIONS) as pool:
        workers = [Worker(hosts[rank], "both", rank) for rank in range(2)]
        until_granted(pool)
        time_grants(pool, arguments.seconds / 2, arguments.interval)  # everything has run once
        for number in range(arguments.rounds):
            for kind in ("alone", "watched") if number % 2 == 0 else ("watched", "alone"):
                lookers = Lookers(ports, arguments.browsers, arguments.scrapes) if kind == "watched" else None
                taken = time_grants(pool, arguments.seconds, arguments.interval)
                rounds[kind].append(taken)
                if lookers is not None:
                    seen = lookers.end()
                    pictures, scrapes = pictures + seen[0], scrapes + seen[1]
                print("round {0} {1:8} p50 {2:.3f} ms  p99 {3:.3f} ms  ({4} grants)".format(
                    number + 1, kind, percentile(taken, 0.5) * 1e3, percentile(taken, 0.99) * 1e3, len(taken)), flush=True)
        for worker in workers:
            worker.kill()
    if arguments.browsers and not pictures:
        raise RuntimeError("no page was sent a picture")
    pairs = [{share: percentile(watched, share) / percentile(alone, share) for share in (0.5, 0.99)} for alone, watched in zip(rounds["alone"], rounds["watched"])]
    return {
        "alone": summarise(rounds["alone"]),
        "watched": summarise(rounds["watched"]),
        "p50Ratio": statistics.median(pair[0.5] for pair in pairs),
        "p99Ratio": statistics.median(pair[0.99] for pair in pairs),
        "pictures": pictures,
        "scrapes": scrapes,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", required=True, help="the program Kvcached.Host")
    parser.add_argument("--browsers", type=int, default=50, help="pages that are open (default 50)")
    parser.add_argument("--scrapes", type=float, default=2, help="scrapes of each host a second (default 2)")
    parser.add_argument("--rounds", type=int, default=6, help="pairs of rounds (default 6)")
    parser.add_argument("--seconds", type=float, default=10, help="length of each round (default 10)")
    parser.add_argument("--interval", type=float, default=0.005, help="seconds from grant to grant (default 0.005)")
    parser.add_argument("--json", help="also writes the result there")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="kvcached-look-")
    os.chmod(folder, 0o700)
    hosts = [Host(arguments.host, folder, 0), Host(arguments.host, folder, 1)]
    try:
        hosts[0].start()
        hosts[1].start(seed=hosts[0])
        result = measure(hosts, arguments)
    finally:
        for host in hosts:
            if hasattr(host, "process") and host.process.poll() is None:
                host.process.terminate()
                host.process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)
    result["machine"] = "{0}, {1} processors".format(platform.platform(), os.cpu_count())
    for kind in ("alone", "watched"):
        print("{0:8} p50 {p50:.6f} s  p99 {p99:.6f} s  worst {worst:.6f} s  of {grants} grants".format(kind, **result[kind]))
    print("watched/alone, median of the pairs of rounds: p50 {p50Ratio:.3f}, p99 {p99Ratio:.3f}; {pictures} pictures and {scrapes} scrapes went out".format(**result))
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
