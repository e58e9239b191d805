"""Messages between an engine's scheduler and its workers: the module ``kvcached.tp_ipc_util``, with the same names, directories and errors.

Hosts map a pool's pages on all ranks, so that a scheduler in another process only asks the worker of rank 0, which opened the pool, for page ids. Messages are JSON
behind four bytes of length, never pickles; sockets lie in a directory of this user alone, and a peer of another user is turned away.
"""

from __future__ import annotations

import json
import math
import os
import socket
import struct
import threading
import time
import uuid
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import environment

Message = Dict[str, Any]

#: Seconds that an exchange may take; none when 0 or less. Read once, as kvcached does.
IPC_TIMEOUT_S: float = environment.read().ipc_timeout or 0.0

_MAX_MESSAGE_BYTES = 16 << 20
_MAX_PATH_BYTES = 107
_RETRY_SECONDS = 0.02
_KNOWN_SECONDS = 0.05

_place: Optional[Tuple[int, int]] = None


def ipc_name() -> str:
    """The name of this engine: the explicit one, or that which kvcached's Python side made."""
    if os.environ.get("KVCACHED_IPC_NAME"):
        return os.environ["KVCACHED_IPC_NAME"]
    from kvcached.utils import DEFAULT_IPC_NAME

    return str(DEFAULT_IPC_NAME)


def _socket_folder() -> str:
    name = ipc_name()
    return os.path.join("/tmp", "kvcached-tp-{0}-{1}".format(name, uuid.uuid5(uuid.NAMESPACE_DNS, name).hex[:8]))


def get_worker_socket_path(rank: int, pp_rank: int = 0) -> str:
    """:raises RuntimeError: It would be too long for a socket."""
    parts = [_socket_folder()] + (["pp{0}".format(pp_rank)] if pp_rank > 0 else []) + ["w{0}.sock".format(rank)]
    path = os.path.join(*parts)
    if len(path.encode()) > _MAX_PATH_BYTES:
        raise RuntimeError("Socket path too long ({0} bytes, at most {1}): {2}; set a shorter KVCACHED_IPC_NAME".format(len(path), _MAX_PATH_BYTES, path))
    return path


def is_worker_there(rank: int, pp_rank: int = 0) -> bool:
    """Whether a worker listens. A socket that one left behind when it ended doesn't count."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect(get_worker_socket_path(rank, pp_rank))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True  # there, and busy
    return True


def send_msg(sock: socket.socket, msg: Message) -> None:
    data = json.dumps(msg).encode()
    sock.sendall(struct.pack(">I", len(data)) + data)


def recv_msg(sock: socket.socket) -> Message:
    """:raises ConnectionError: The peer has gone. :raises ValueError: It sent something else."""
    (length,) = struct.unpack(">I", _receive(sock, 4))
    if not 0 < length <= _MAX_MESSAGE_BYTES:
        raise ValueError("a message of {0} bytes; at most {1}".format(length, _MAX_MESSAGE_BYTES))
    message = json.loads(_receive(sock, length))
    if not isinstance(message, dict):
        raise ValueError("a message that is no object")
    return message


def worker_place() -> Tuple[int, int]:
    """Rank and pipeline stage of this worker; the first of both where no listener was started, as in one process."""
    return _place or (0, 0)


def start_worker_listener_thread(rank: int, pp_rank: int = 0) -> None:
    """Serves this worker's socket. A broken message or a peer that goes away ends its connection and nothing else."""
    global _place
    _place = (rank, pp_rank)
    path = get_worker_socket_path(rank, pp_rank)
    os.makedirs(_socket_folder(), mode=0o700, exist_ok=True)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    if os.stat(_socket_folder()).st_uid != os.getuid():
        raise RuntimeError("{0} belongs to another user; set another KVCACHED_IPC_NAME".format(_socket_folder()))
    if os.path.exists(path):
        os.remove(path)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    os.chmod(path, 0o600)
    server.listen(64)
    threading.Thread(target=_listen, args=(server,), name="kvcached-worker-{0}".format(rank), daemon=True).start()


def request(message: Message, rank: int, pp_rank: int = 0) -> Message:
    """Sends a message to a worker and gives its answer.

    :raises RuntimeError: It isn't there, doesn't answer in time, or says that it failed.
    """
    limit = IPC_TIMEOUT_S if IPC_TIMEOUT_S > 0 else None
    what = "worker {0} (pp_rank={1})".format(rank, pp_rank)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(limit)
            sock.connect(get_worker_socket_path(rank, pp_rank))
            send_msg(sock, message)
            answer = recv_msg(sock)
    except socket.timeout:
        raise RuntimeError("{0} did not answer {1} within {2:g}s (KVCACHED_IPC_TIMEOUT)".format(what, message.get("cmd"), limit or 0)) from None
    except (OSError, ValueError) as problem:
        raise RuntimeError("{0} can't be asked for {1}: {2}".format(what, message.get("cmd"), problem)) from problem
    if answer.get("status") != "success":
        raise RuntimeError("{0} failed to do {1}: {2}".format(what, message.get("cmd"), answer.get("message", answer)))
    return answer


def broadcast_map_to_kv_tensors(tp_size: int, offsets: List[int], pp_rank: int = 0, group_id: int = 0) -> None:
    """Checks that all workers have these pages; they are mapped by then."""
    _broadcast(tp_size, {"cmd": "map_to_kv_tensors", "offsets": list(offsets), "group_id": group_id}, pp_rank)


def broadcast_unmap_from_kv_tensors(tp_size: int, offsets: List[int], pp_rank: int = 0, group_id: int = 0) -> None:
    """Checks that all workers know these pages; hosts unmap them when their scheduler has given them back."""
    _broadcast(tp_size, {"cmd": "unmap_from_kv_tensors", "offsets": list(offsets), "group_id": group_id}, pp_rank)


def broadcast_kv_tensors_created(tp_size: int, pp_rank: int = 0, group_id: int = 0) -> bool:
    """Whether all workers have their KV tensors."""
    return all(answer.get("created") for answer in _broadcast(tp_size, {"cmd": "kv_tensors_created", "group_id": group_id}, pp_rank))


def devices_of_others(tp_size: int, pp_rank: int) -> List[str]:
    """Devices of ranks 1 and up, waiting until their workers listen."""
    return [str(_ask_until_there({"cmd": "device"}, rank, pp_rank)["device"]) for rank in range(1, tp_size)]


class RemotePages:
    """The pages of a pool that the worker of rank 0 opened, for a scheduler in another process."""

    def __init__(self, pp_rank: int, group_id: int) -> None:
        self._pp_rank = pp_rank
        self._group_id = group_id
        self._known = (0, -math.inf)

    def take(self, count: int) -> List[int]:
        self._known = (0, -math.inf)
        return list(self._ask("take_pages", count=count)["pages"])

    def give(self, page_ids: "List[int]") -> None:
        self._ask("give_pages", pages=list(page_ids))

    def available(self) -> int:
        """As it was some hundredths of a second ago: engines ask several times for each allocation."""
        count, asked_at = self._known
        if time.monotonic() - asked_at > _KNOWN_SECONDS:
            count = int(self._ask("available_pages")["count"])
            self._known = (count, time.monotonic())
        return count

    def _ask(self, command: str, **values: Any) -> Message:
        return request({"cmd": command, "group_id": self._group_id, **values}, 0, self._pp_rank)


def _broadcast(tp_size: int, message: Message, pp_rank: int) -> List[Message]:
    answers: List[Any] = [None] * tp_size

    def ask(rank: int) -> None:
        try:
            answers[rank] = request(message, rank, pp_rank)
        except RuntimeError as problem:
            answers[rank] = problem

    threads = [threading.Thread(target=ask, args=(rank,)) for rank in range(1, tp_size)]
    for thread in threads:
        thread.start()
    ask(0)
    for thread in threads:
        thread.join()
    for answer in answers:
        if isinstance(answer, RuntimeError):
            raise answer
    return answers


def _ask_until_there(message: Message, rank: int, pp_rank: int) -> Message:
    end = time.monotonic() + (IPC_TIMEOUT_S if IPC_TIMEOUT_S > 0 else 600.0)
    pause = threading.Event()
    while True:
        try:
            return request(message, rank, pp_rank)
        except RuntimeError:
            if time.monotonic() >= end:
                raise
        pause.wait(_RETRY_SECONDS)


def _listen(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    with connection:
        try:
            _pid, user, _group = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if user not in (os.getuid(), 0):
                return
            message = recv_msg(connection)
            try:
                answer = _answer(message)
            except Exception as problem:  # whatever it is, the one who asked is told
                answer = {"status": "error", "message": str(problem)}
            send_msg(connection, answer)
        except (OSError, ValueError) as problem:
            environment.log.info("a peer of the worker's socket left or sent nonsense: %s", problem)


def _answer(message: Message) -> Message:
    from . import vmm_ops

    command, group_id = message.get("cmd"), int(message.get("group_id", 0))
    answers: Dict[Any, Callable[[], Message]] = {
        "map_to_kv_tensors": lambda: _done(vmm_ops.map_to_kv_tensors(message["offsets"], group_id)),
        "unmap_from_kv_tensors": lambda: _done(vmm_ops.unmap_from_kv_tensors(message["offsets"], group_id)),
        "kv_tensors_created": lambda: {"created": vmm_ops.kv_tensors_created(group_id)},
        "device": lambda: {"device": vmm_ops.own_device()},
        "take_pages": lambda: {"pages": vmm_ops.own_pages(group_id).take(int(message["count"]))},
        "give_pages": lambda: _done(vmm_ops.own_pages(group_id).give([int(page) for page in message["pages"]]) is None),
        "available_pages": lambda: {"count": vmm_ops.own_pages(group_id).available()},
    }
    if command not in answers:
        raise ValueError("Unknown command {0!r}".format(command))
    return {"status": "success", **answers[command]()}


def _done(is_done: bool) -> Message:
    if not is_done:
        raise RuntimeError("KV tensors are not created")
    return {}


def _receive(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = sock.recv(count - len(data))
        if not chunk:
            raise ConnectionError("Socket connection closed")
        data += chunk
    return data
