import concurrent.futures
import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

from tests.host import HostTestCase
from tests.support import LIBRARY, PYTHON_FOLDER, ROOT

PROMPTS = ["{0} and the same words for some of them, so that there is more than one block: {1} times {1}".format("abc"[i % 3] * 20, i * i) for i in range(12)]


class RunningEngine:
    """samples/serving/engine.py as a process of its own."""

    def __init__(self, host, model, *arguments):
        variables = dict(os.environ, PYTHONPATH=PYTHON_FOLDER, KVCACHED_LIBRARY=LIBRARY, PYTHONDONTWRITEBYTECODE="1")
        command = [sys.executable, os.path.join(ROOT, "samples", "serving", "engine.py"), "--model", model, "--socket", host.sockets[0], "--gpu", host.gpus[0], *arguments]
        self.process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the engine did not start: exit code {0}".format(self.process.wait(60)))
        self.url = json.loads(line.decode())["url"]
        self.model = model

    def post(self, path, body=None):
        """The status and the parsed answer."""
        request = urllib.request.Request(self.url + path, json.dumps(body).encode() if body is not None else b"", {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=240) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def ask(self, prompt, max_tokens=24):
        status, answer = self.post("/v1/completions", {"model": self.model, "prompt": prompt, "max_tokens": max_tokens})
        return answer["choices"][0]["text"] if status == 200 else (status, answer)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code


@unittest.skipUnless(importlib.util.find_spec("numpy"), "needs NumPy")
class ServingTests(HostTestCase):
    """The small engine of samples/serving."""

    _numbers = itertools.count(1)

    def start(self, *arguments):
        # Weights follow from the name, so that another name is another model, which may end an answer where this one doesn't.
        engine = RunningEngine(self.host, "conv", "--pool", "serving-{0}-{1}".format(os.getpid(), next(self._numbers)), *arguments)
        self.addCleanup(lambda: engine.process.poll() is None and engine.process.kill())
        return engine

    def test_answers_are_the_same_alone_from_the_cache_and_crowded(self):
        engine = self.start("--limit-mib", "16")
        alone = [engine.ask(prompt) for prompt in PROMPTS]
        self.assertTrue(all(len(text) == 24 and text.isprintable() for text in alone), alone)
        self.assertEqual(len(PROMPTS), len(set(alone)))
        with concurrent.futures.ThreadPoolExecutor(24) as threads:
            crowded = list(threads.map(engine.ask, PROMPTS * 4))
        self.assertEqual(alone * 4, crowded)
        self.assertEqual(0, engine.stop())

    def test_sequences_that_dont_fit_together_take_turns(self):
        engine = self.start("--limit-mib", "16")
        prompts = [prompt * 9 for prompt in PROMPTS[:4]]  # 700 tokens and more each; the limit has room for some 2,000
        alone = [engine.ask(prompt, 200) for prompt in prompts]
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            self.assertEqual(alone, list(threads.map(lambda prompt: engine.ask(prompt, 200), prompts)))
        self.assertEqual(0, engine.stop())

    def test_a_sleeping_engine_holds_nothing_and_answers_the_same_afterwards(self):
        engine = self.start()
        before = [engine.ask(prompt) for prompt in PROMPTS]
        for order in ("kv=host&weights=keep", "kv=drop&weights=keep", "kv=host&weights=drop"):
            status, slept = engine.post("/sleep?" + order)
            self.assertEqual(200, status)
            self.assertGreater(slept["pages_returned"], 0)
            self.assertEqual("kv=host" in order, slept["blocks_kept"] > 0)
            status, refused = engine.post("/v1/completions", {"model": engine.model, "prompt": "x"})
            self.assertEqual(503, status, refused)
            status, woken = engine.post("/wake_up")
            self.assertEqual((200, slept["blocks_kept"], 0), (status, woken["blocks_restored"], woken["blocks_dropped"]))
            self.assertEqual(before, [engine.ask(prompt) for prompt in PROMPTS], order)
        self.assertEqual(0, engine.stop())

    def test_the_api_has_its_shapes(self):
        engine = self.start()
        messages = [{"role": "user", "content": "hello"}]
        status, chat = engine.post("/v1/chat/completions", {"model": engine.model, "messages": messages, "max_tokens": 5})
        self.assertEqual((200, "assistant", "length"), (status, chat["choices"][0]["message"]["role"], chat["choices"][0]["finish_reason"]))
        self.assertEqual(5, chat["usage"]["completion_tokens"])
        body = json.dumps({"model": engine.model, "messages": messages, "max_tokens": 5, "stream": True, "stream_options": {"include_usage": True}}).encode()
        with urllib.request.urlopen(urllib.request.Request(engine.url + "/v1/chat/completions", body), timeout=60) as response:
            self.assertEqual("text/event-stream", response.headers["Content-Type"])
            events = [line[6:] for line in response.read().decode().split("\n") if line]
        self.assertEqual("[DONE]", events.pop())
        parts = [json.loads(event) for event in events]
        self.assertEqual(chat["choices"][0]["message"]["content"], "".join(part["choices"][0]["delta"].get("content", "") for part in parts if part["choices"]))
        self.assertEqual(5, parts[-1]["usage"]["completion_tokens"])
        status, embedded = engine.post("/v1/embeddings", {"model": engine.model, "input": ["a", "b"]})
        self.assertEqual((200, [128, 128]), (status, [len(item["embedding"]) for item in embedded["data"]]))
        for path, wrong, expected in (
            ("/v1/completions", {"model": "another", "prompt": "x"}, 404),
            ("/v1/completions", {"model": engine.model, "prompt": 5}, 400),
            ("/v1/completions", {"model": engine.model, "prompt": "x" * 5000}, 400),
            ("/v1/completions", {"model": engine.model, "prompt": "x", "max_tokens": 0.5}, 400),
            ("/v1/chat/completions", {"model": engine.model, "messages": [1]}, 400),
            ("/v1/nothing", {}, 404),
            ("/sleep?kv=elsewhere", {}, 400),
        ):
            status, answer = engine.post(path, wrong)
            self.assertEqual((expected, str), (status, type(answer["error"]["message"])), path)
        self.assertEqual(0, engine.stop())


if __name__ == "__main__":
    unittest.main()
