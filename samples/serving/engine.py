"""A small engine that serves the OpenAI API: continuous batching over a tiny model, with real attention over KV blocks that a host of Kvcached lends. Needs NumPy, no GPU.

Start a host first (see the README of the repository), then:
    python3 engine.py --model conv --socket HOST/engine.sock --port 8001

It answers a prompt the same way every time. Sleep and wake: POST /sleep?kv=host|drop&weights=keep|drop, POST /wake_up, GET /is_sleeping.
"""

import argparse
import json
import signal
import sys
import threading

import kvcached_client as kvc
from batching import Engine
from kv_blocks import KvBlocks, make_spec
from server import Server


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="name of the model; its weights follow from it")
    parser.add_argument("--socket", required=True, metavar="PATH", help="engine socket of the host")
    parser.add_argument("--gpu", default="HOST-0", metavar="ID", help="what the host calls its memory; default HOST-0")
    parser.add_argument("--pool", help="name of the pool; default that of the model")
    parser.add_argument("--limit-mib", type=int, default=0, help="most MiB of the pool; 0 = all that the host lends")
    parser.add_argument("--virtual-mib", type=int, default=4096, help="virtual room of the pool in MiB; default 4096")
    parser.add_argument("--max-tokens", type=int, default=4096, help="most tokens of a prompt and its answer; default 4096")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default 127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes any")
    return parser.parse_args()


def main():
    arguments = parse()
    pool_name = arguments.pool or arguments.model.replace("/", "-")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    options = kvc.PoolOptions(null_block=False)
    with kvc.Session(arguments.socket, "serving-sample") as session:
        with session.open_pool(make_spec(pool_name, arguments.gpu, arguments.limit_mib << 20, arguments.virtual_mib << 20), options) as pool:
            with kvc.Arena(arguments.socket, pool_name, 0, arguments.gpu) as arena:
                engine = Engine(arguments.model, KvBlocks(pool, arena), arena, arguments.max_tokens)
                engine.start()
                server = Server((arguments.host, arguments.port), engine)
                threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
                url = "http://{0}:{1}".format(*server.server_address[:2])
                print(json.dumps({"event": "ready", "url": url, "model": arguments.model}), flush=True)
                while not stopping.wait(1.0):
                    if engine.failure is not None:
                        print("the engine has failed: {0}".format(engine.failure), file=sys.stderr, flush=True)
                        return 1
                server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
