"""Takes the pictures of the page that the README shows, of hosts that run and pools that hold memory: ./demo.sh --minutes 2, and meanwhile

    python3 docs/images/take_pictures.py [--url http://127.0.0.1:8558/] [--seconds 30] [--folder docs/images]
dashboard-light.png and dashboard-dark.png, once every pool that is open holds memory and the page has followed it for so many seconds. Needs Chromium (CHROMIUM names it) and nothing
else: it is spoken to over a pair of pipes.
"""

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

MAX_BYTES = 200_000
WIDTH, HEIGHT = 1200, 900


class Chromium:
    """A browser without a window, over the two pipes of --remote-debugging-pipe: messages as JSON, each ended by a zero."""

    def __init__(self, program):
        self._folder = tempfile.mkdtemp(prefix="kvcached-page-")
        read_there, self._to = os.pipe()
        self._from, write_there = os.pipe()

        def hand_over():
            # The browser expects them as descriptors 3 and 4; both are moved out of the way first.
            moved = [os.dup2(number, 100 + place, inheritable=True) for place, number in enumerate((read_there, write_there))]
            for place, number in enumerate(moved):
                os.dup2(number, 3 + place, inheritable=True)

        arguments = ["--headless", "--remote-debugging-pipe", "--no-first-run", "--hide-scrollbars", "--user-data-dir=" + self._folder]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")  # Chromium has none for root
        self._process = subprocess.Popen(
            [program] + arguments, preexec_fn=hand_over, pass_fds=(3, 4, read_there, write_there), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(read_there)
        os.close(write_there)
        self._serial, self._rest = 0, b""

    def call(self, method, session=None, **parameters):
        self._serial += 1
        message = {"id": self._serial, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._serial:
                if "error" in answer:
                    raise RuntimeError("{0}: {1}".format(method, answer["error"]["message"]))
                return answer["result"]

    def _read(self):
        while b"\0" not in self._rest:
            more = os.read(self._from, 1 << 20)
            if not more:
                raise RuntimeError("Chromium ended")
            self._rest += more
        text, self._rest = self._rest.split(b"\0", 1)
        return json.loads(text)

    def end(self):
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)


class Page:
    def __init__(self, browser, scheme, url):
        self._browser, self.scheme = browser, scheme
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False)
        self._call("Page.navigate", url=url)

    def evaluate(self, expression):
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def picture(self):
        height = self.evaluate("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1}
        return base64.b64decode(self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"])

    def _call(self, method, **parameters):
        return self._browser.call(method, session=self._session, **parameters)


def pools_at(url):
    with urllib.request.urlopen(url.rstrip("/") + "/pools", timeout=10) as answer:
        return json.load(answer)["pools"]


def wait_for_pools(url, least, patience):
    deadline = time.monotonic() + patience
    said = "nothing"
    while time.monotonic() < deadline:
        try:
            pools = pools_at(url)
            said = ", ".join("{0} {1}".format(pool["name"], max(pool["mappedBytes"])) for pool in pools) or "no pool"
            if len(pools) >= least and all(max(pool["mappedBytes"]) > 0 for pool in pools):
                return
        except OSError as problem:
            said = str(problem)
        time.sleep(0.5)
    sys.exit("no {0} pools that hold memory at {1} in {2} s; the last answer: {3}".format(least, url, patience, said))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8558/")
    parser.add_argument("--seconds", type=float, default=30, help="how long the page follows before the picture is taken (default 30)")
    parser.add_argument("--pools", type=int, default=2, help="how many pools must hold memory (default 2)")
    parser.add_argument("--patience", type=float, default=120, help="seconds to wait for them (default 120)")
    parser.add_argument("--folder", default=os.path.dirname(os.path.abspath(__file__)))
    arguments = parser.parse_args()
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        sys.exit("there is no Chromium in the PATH, and CHROMIUM names none")
    wait_for_pools(arguments.url, arguments.pools, arguments.patience)
    browser = Chromium(program)
    try:
        pages = [Page(browser, scheme, arguments.url) for scheme in ("light", "dark")]
        time.sleep(arguments.seconds)
        for page in pages:
            picture = page.picture()
            path = os.path.join(arguments.folder, "dashboard-{0}.png".format(page.scheme))
            if len(picture) > MAX_BYTES:
                sys.exit("{0} would have {1} bytes, more than {2}".format(path, len(picture), MAX_BYTES))
            with open(path, "wb") as file:
                file.write(picture)
            print("{0}: {1} KB, of {2}".format(path, len(picture) // 1000, page.evaluate("document.title")))
    finally:
        browser.end()


if __name__ == "__main__":
    main()
