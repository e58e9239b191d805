"""The engine's HTTP side: the OpenAI API, health, and sleep and wake in the words that Kvcached.Router knows as ``engine: kvcached``."""

import json
import time
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from batching import EngineError, Request

MAX_BODY_BYTES = 16 << 20
DEFAULT_MAX_TOKENS = 16


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address, engine):
        super().__init__(address, Handler)
        self.engine = engine


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a client may say nothing
    disable_nagle_algorithm = True

    def log_message(self, format, *arguments):
        pass  # a line for each request would be most of what the engine does

    def do_GET(self):
        engine = self.server.engine
        if self.path == "/health":
            if engine.failure is None:
                self._json(200, {"status": "ok"})
            else:
                self._error(EngineError(503, str(engine.failure)))
        elif self.path == "/is_sleeping":
            self._json(200, {"is_sleeping": engine.is_asleep})
        elif self.path == "/v1/models":
            self._json(200, {"object": "list", "data": [{"id": engine.name, "object": "model", "created": 0, "owned_by": "kvcached"}]})
        else:
            self._error(EngineError(404, "there is no GET {0}".format(self.path)))

    def do_POST(self):
        try:
            self._post()
        except EngineError as error:
            self._error(error)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _post(self):
        url = urllib.parse.urlsplit(self.path)
        body = self._read_body()
        if url.path == "/sleep":
            query = urllib.parse.parse_qs(url.query)
            kv, weights = query.get("kv", ["drop"])[0], query.get("weights", ["keep"])[0]
            if kv not in ("host", "drop") or weights not in ("keep", "drop"):
                raise EngineError(400, "kv is host or drop, weights is keep or drop")
            self._json(200, self.server.engine.sleep(kv == "host", weights == "keep"))
        elif url.path == "/wake_up":
            self._json(200, self.server.engine.wake())
        elif url.path in ("/v1/completions", "/v1/chat/completions", "/v1/embeddings"):
            self._infer(url.path, self._parse(body))
        else:
            raise EngineError(404, "there is no POST {0}".format(url.path))

    def _infer(self, path, body):
        if body.get("model") != self.server.engine.name:
            raise EngineError(404, "this engine serves {0!r}".format(self.server.engine.name))
        if path == "/v1/embeddings":
            self._embed(body)
        else:
            self._complete(body, is_chat=path == "/v1/chat/completions")

    def _embed(self, body):
        texts = body.get("input")
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise EngineError(400, "input is a text or a list of texts")
        requests = [self._request(text, 1, is_embedding=True) for text in texts]
        for request in requests:
            self.server.engine.submit(request)
        data = []
        for index, request in enumerate(requests):
            data.append({"object": "embedding", "index": index, "embedding": _next(request)})
        used = sum(len(request.prompt) for request in requests)
        self._json(200, {"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": used, "total_tokens": used}})

    def _complete(self, body, is_chat):
        max_tokens = body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_MAX_TOKENS
        if not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 1:
            raise EngineError(400, "max_tokens is a whole number from 1")
        if body.get("n") not in (None, 1):
            raise EngineError(400, "n is 1")
        request = self._request(_chat_text(body.get("messages")) if is_chat else body.get("prompt"), max_tokens)
        self.server.engine.submit(request)
        answer = _Answer(body["model"], is_chat)
        if body.get("stream"):
            self._stream(request, answer, bool((body.get("stream_options") or {}).get("include_usage")))
        else:
            text = []
            while (token := _next(request)) is not None:
                text.append(chr(token))
            self._json(200, answer.whole("".join(text), _reason(request), _usage(request)))

    def _stream(self, request, answer, with_usage):
        token = _next(request)  # an error has a status of its own as long as nothing was sent
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while token is not None:
                self._event(answer.part(chr(token), None))
                token = _next(request)
            self._event(answer.part("", _reason(request)))
            if with_usage:
                self._event(answer.usage_only(_usage(request)))
            self._chunk(b"data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")
        except EngineError:
            self.close_connection = True  # cut off, so that it isn't taken for whole
        finally:
            request.is_cancelled = True

    def _request(self, text, max_tokens, is_embedding=False):
        if not isinstance(text, str):
            raise EngineError(400, "the prompt is a text")
        prompt = list(text.encode())
        if not prompt:
            raise EngineError(400, "the prompt is empty")
        if len(prompt) + max_tokens > self.server.engine.max_tokens:
            raise EngineError(400, "{0} tokens of prompt and {1} to generate are more than {2}".format(len(prompt), max_tokens, self.server.engine.max_tokens))
        return Request(prompt, max_tokens, is_embedding)

    def _read_body(self):
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if self.headers.get("Transfer-Encoding") is not None or not 0 <= length <= MAX_BODY_BYTES:
            self.close_connection = True
            raise EngineError(411 if 0 <= length <= MAX_BODY_BYTES else 413, "send a body with a Content-Length up to {0}".format(MAX_BODY_BYTES))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionResetError
        return body

    def _parse(self, body):
        try:
            parsed = json.loads(body)
        except ValueError as problem:
            raise EngineError(400, "the body is not valid JSON: {0}".format(problem))
        if not isinstance(parsed, dict):
            raise EngineError(400, "the body is no JSON object")
        return parsed

    def _event(self, body):
        self._chunk(b"data: " + json.dumps(body).encode() + b"\n\n")

    def _chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _json(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _error(self, error):
        self._json(error.status, {"error": {"message": str(error), "type": "server_error" if error.status >= 500 else "invalid_request_error", "param": None, "code": None}})


class _Answer:
    """The shapes of an answer, of chat or of completions."""

    def __init__(self, model, is_chat):
        self._is_chat = is_chat
        self._base = {"id": ("chatcmpl-" if is_chat else "cmpl-") + uuid.uuid4().hex, "created": int(time.time()), "model": model}

    def whole(self, text, reason, usage):
        choice = {"message": {"role": "assistant", "content": text}} if self._is_chat else {"text": text}
        return self._make("chat.completion" if self._is_chat else "text_completion", [{"index": 0, "finish_reason": reason, **choice}], usage=usage)

    def part(self, text, reason):
        choice = {"delta": {"role": "assistant", "content": text} if text else {}} if self._is_chat else {"text": text}
        return self._make("chat.completion.chunk" if self._is_chat else "text_completion", [{"index": 0, "finish_reason": reason, **choice}])

    def usage_only(self, usage):
        return self._make("chat.completion.chunk" if self._is_chat else "text_completion", [], usage=usage)

    def _make(self, kind, choices, **more):
        return {**self._base, "object": kind, "choices": choices, **more}


def _next(request):
    item = request.out.get()
    if isinstance(item, EngineError):
        raise item
    return item


def _reason(request):
    return "length" if request.generated >= request.max_tokens else "stop"


def _usage(request):
    return {"prompt_tokens": len(request.prompt), "completion_tokens": request.generated, "total_tokens": len(request.tokens)}


def _chat_text(messages):
    try:
        return "".join("{0}: {1}\n".format(message["role"], message["content"]) for message in messages) + "assistant: "
    except (TypeError, KeyError):
        raise EngineError(400, "messages is a list of objects with role and content")
