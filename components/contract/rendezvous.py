"""Several processes that do one step together: how they find each other, and know that all are still there.

The first one, number 0, is the chief. It listens where TAPELINE_RENDEZVOUS says, as host:port; the others, each with
its number in TAPELINE_WORKER, come to it. Each says what it is about to do, and the chief sees that all say the same.
Then every worker has a line to the chief for as long as the step takes. What is decided for all is said there, and
whoever falls silent is lost, be it killed, stopped or cut off: then all end, with the code that is worth another try.
The chief alone publishes.

A line has messages, an object of JSON each; an empty one says that the sender is alive. Nothing is encrypted, and
whoever reaches the port can take part: keep it within a network of its own.
"""

import contextlib
import json
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from components.contract import waiting
from components.contract.ending import Asked
from components.contract.errors import BadInput, PeerLost, Terminated

T = TypeVar("T")
Said = dict[str, Any]

PLACE, NUMBER = "TAPELINE_RENDEZVOUS", "TAPELINE_WORKER"
FIRST = "TAPELINE_FIRST_WORKER"  # added to the number, for who can only count from 0, but does not start the chief
# On Kubernetes: what a step is told of the name of the pod that was made for it, and the label of pods that must reach
# each other.
POD, LABEL = "TAPELINE_POD", {"tapeline/workers": "true"}
BEAT_SECONDS, SILENT_SECONDS = 1.0, 15.0  # from one sign of life to the next; without any, one is lost
GRACE_SECONDS = 10.0  # for the work to notice that one is lost, and to end in good order
LONGEST = 2**16  # bytes of a message
LATE = "did not come within"


def joined() -> bool:
    """Tell whether this process is one of several that do a step together."""
    return bool(os.environ.get(PLACE))


def number() -> int:
    """Return the number of this process, 0 for the chief, and where there is only one; raise `BadInput` for none."""
    if not joined():
        return 0
    total = 0
    for name, given in ((NUMBER, os.environ.get(NUMBER, "")), (FIRST, os.environ.get(FIRST) or "0")):
        if not (given.isascii() and given.isdigit()):
            raise BadInput(f"{name}: {given!r} is not the number of a worker, 0 for the chief; {PLACE} needs it")
        total += int(given)
    return total


class Line:
    """A connection to another process of the step."""

    def __init__(self, connection: socket.socket, name: str = "") -> None:
        self.connection = connection
        self.name = name  # of who is at the other end
        self.own = str(connection.getsockname()[0])  # where this process is to be found, as the other one sees it
        self._rest = b""
        self._sending = threading.Lock()

    def say(self, message: Mapping[str, Any] | None = None) -> None:
        """Send a message, or a sign of life; that nobody is there any more is found by who reads."""
        text = json.dumps(message).encode() if message else b""
        with self._sending, contextlib.suppress(OSError):
            self.connection.sendall(text + b"\n")

    def hear(self, seconds: float) -> Said:
        """Return the next message; raise OSError or ValueError after so many seconds of silence, or at the end."""
        while True:
            line, found, rest = self._rest.partition(b"\n")
            if found:
                self._rest = rest
                if line:
                    return dict(json.loads(line))
                continue
            self.connection.settimeout(max(seconds, 0.001))
            chunk = self.connection.recv(LONGEST)
            if not chunk:
                raise ConnectionError("it ended")
            self._rest += chunk
            if len(self._rest) > LONGEST and b"\n" not in self._rest:
                raise ValueError("it says what is no message")


class Group:
    """The processes of a step as this one sees them; where there is only one, nothing is waited for."""

    def __init__(self, count: int = 1, about: Mapping[str, str] | None = None) -> None:
        """Say how many they are, and what the work is about: a digest for each thing that all must have alike."""
        self.count, self.about = count, dict(about or {})
        self.number = number() if count > 1 else 0
        self.lines: list[Line] = []
        self.lost = ""  # who is, and why, in a few words
        self._losing, self._is_lost = threading.Lock(), threading.Event()
        self._over = self._alone = False
        self._told: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self._asked: Asked | None = None
        if self.number >= count:
            raise BadInput(f"{NUMBER}: {self.number}, but with workers={count} the last one is {count - 1}")

    @property
    def leads(self) -> bool:
        """Whether this is the chief, who decides, and writes what is kept."""
        return self.number == 0

    def meet(self, port: int) -> list[str]:
        """Return the address of each process, host:port in their order, once all are there for the same work.

        `port` is where this one listens for what the work sends. Raises `PeerLost` for one that does not come in time,
        and `BadInput` for one that is about something else.
        """
        if self.count == 1:
            return [f"localhost:{port}"]
        host, _, place = os.environ[PLACE].rpartition(":")
        if not host or not place.isdigit():
            raise BadInput(f"{PLACE}: {os.environ[PLACE]!r} is not host:port, where the chief is to be found")
        meet = self._receive if self.leads else self._come
        addresses = meet(host, int(place), {"worker": self.number, "about": self.about, "port": port})
        global _current  # noqa: PLW0603
        _current = self
        for line in self.lines:
            threading.Thread(target=self._read, args=(line,), daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        return addresses

    def _receive(self, host: str, port: int, hello: Said) -> list[str]:
        """Wait, as the chief, until all have come."""
        try:
            local = host in ("localhost", "127.0.0.1")
            server = socket.create_server((host if local else "", port), backlog=self.count)
        except OSError as error:
            raise PeerLost(
                f"{PLACE}: the chief cannot listen on port {port}: {os.strerror(error.errno or 0)}"
            ) from None
        came: dict[int, tuple[Line, Said]] = {}
        ends = time.monotonic() + waiting.limit()
        with server:
            while len(came) < self.count - 1:
                server.settimeout(max(ends - time.monotonic(), 0.001))
                try:
                    line = Line(server.accept()[0])
                    said = line.hear(min(5.0, max(ends - time.monotonic(), 0.1)))
                except (OSError, ValueError):
                    if time.monotonic() < ends:
                        continue  # a stranger, or one that is gone again
                    late = " and ".join(f"worker {i}" for i in range(1, self.count) if i not in came)
                    raise PeerLost(f"{late} of {self.count} {LATE} {waiting.limit():g} s") from None
                if said.get("worker") in range(1, self.count) and isinstance(said.get("about"), dict):
                    line.name = f"worker {said['worker']} of {self.count}"
                    came[said["worker"]] = line, said  # one that comes again was lost before
        self.lines = [came[i][0] for i in range(1, self.count)]
        for line, said in came.values():
            if wrong := [name for name, value in hello["about"].items() if said["about"].get(name) != value]:
                sentence = f"{line.name} was started with other {' and '.join(wrong)} than the chief; start all alike"
                self._tell({"refused": sentence})
                raise BadInput(sentence)
        hosts = [self.lines[0].own, *(str(line.connection.getpeername()[0]) for line in self.lines)]
        ports = [hello["port"], *(int(came[i][1]["port"]) for i in range(1, self.count))]
        addresses = [f"{host}:{port}" for host, port in zip(hosts, ports, strict=True)]
        self._tell({"addresses": addresses})
        return addresses

    def _come(self, host: str, port: int, hello: Said) -> list[str]:
        """Come to the chief, who may not be there yet, nor known by name."""
        ends, why = time.monotonic() + waiting.limit(), ""
        while (left := ends - time.monotonic()) > 0:
            try:
                line = Line(
                    socket.create_connection((host, port), min(5.0, left)), f"the chief, worker 0 of {self.count},"
                )
                line.say(hello)
                answer = line.hear(left)
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
                time.sleep(0.2)
                continue
            if "refused" in answer:
                raise BadInput(str(answer["refused"]))
            self.lines = [line]
            return list(answer["addresses"])
        raise PeerLost(
            f"the chief, worker 0 of {self.count}, was not at {host}:{port} within {waiting.limit():g} s: {why}"
        )

    def decide(self, name: str, value: T) -> T:
        """Return what the chief has for a value of that name; the others wait for it. Raises `PeerLost`."""
        if self.leads:
            self._tell({name: value})
            return value
        said = self._told.get()
        if name not in said:
            self._end(said.get("lost") or f"the chief speaks of {', '.join(said)} instead of {name}")
        return said[name]  # type: ignore[no-any-return]

    def part(self) -> None:
        """Say that nothing is left to be done together: what is left the chief does, whether the others stay or not."""
        self._alone = self.leads

    def ask(self, asked: Asked) -> None:
        """Have the chief know that a worker was asked to end, so that it saves what there is, and ends all."""
        self._asked = asked
        if asked.number and not self.leads:
            self._tell({"asked": int(asked.number)})

    def finish(self) -> None:
        """Wait until the chief has published; as the chief, say so. Raises `PeerLost`."""
        self.decide("done", value=True)
        self._over = True

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Raise `PeerLost` instead of what fails because another one is lost."""
        try:
            yield
        except Exception as error:
            if self.lines and not isinstance(error, PeerLost) and (self.lost or _of_the_connection(error)):
                self._is_lost.wait(SILENT_SECONDS + 2 * BEAT_SECONDS)
                self._end(self.lost or f"one of {self.count} workers is lost: {str(error).splitlines()[0]}", error)
            raise

    def _end(self, why: str, error: Exception | None = None) -> None:
        if self._asked and self._asked.number:
            raise Terminated(self._asked.number) from error
        raise PeerLost(f"{why}; all end, to go on together from the last checkpoint") from error

    def _tell(self, message: Mapping[str, Any]) -> None:
        for line in self.lines:
            line.say(message)

    def _beat(self) -> None:
        while not self._over:
            for line in self.lines:
                line.say()
            time.sleep(BEAT_SECONDS)

    def _read(self, line: Line) -> None:
        """Take in what comes over a line, to its end."""
        while True:
            try:
                said = line.hear(SILENT_SECONDS)
            except (OSError, ValueError) as error:
                silent = isinstance(error, TimeoutError)
                why = f"it has been silent for {SILENT_SECONDS:g} s" if silent else "it ended"
                break
            if "asked" in said:
                if self._asked:
                    self._asked.note_from_elsewhere(said["asked"])
            else:
                self._told.put(said)
                self._over = self._over or "done" in said
        if not (self._over or self._alone):
            self._lose(f"{line.name} is lost: {why}")

    def _lose(self, why: str) -> None:
        with self._losing:
            if self.lost:
                return
            self.lost = why
        self._is_lost.set()
        self._told.put({"lost": why})
        # The work may wait for the lost one within a library, where nothing of ours is ever called again.
        time.sleep(GRACE_SECONDS)
        if not (self._over or self._alone):
            print(f"{why}; this process does not end by itself, so it is ended", file=sys.stderr, flush=True)
            os._exit(PeerLost.exit_code)


ALONE = Group()
_current: Group | None = None


def finish() -> None:
    """Wait for the chief, if this process did its step together with others; see `Group.finish`."""
    if _current:
        _current.finish()


def _of_the_connection(error: BaseException | None) -> bool:
    """Tell whether it is TensorFlow that says so: one that it works with does not answer any more."""
    kinds = ("UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError")
    while error is not None:
        if type(error).__name__ in kinds:
            return True
        error = error.__cause__ or error.__context__
    return False
