"""The kinds of faults, what is right for each, and the seeded draw of a trial."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.soak.faults import Fault, Request
from tests.soak.ground import GOOD, Ground

# Exit codes of a step, as components/contract/errors.py has them; a negative one is the signal that ended it.
DONE, FAILED, BAD, REFUSED, UNAVAILABLE, TERMINATED = 0, 1, 2, 3, 4, 143
KILLED, ABORTED, UNPREPARED = -9, -6, -15

READS, WRITES = ("GET", "LIST", "HEAD"), ("PUT", "POST")
OFTEN = (*("ingest",) * 7, *("export",) * 5, "train", "evaluate")  # a second of the first costs five of the last
BUSY = (
    (503, "SlowDown"), (503, "SlowDownRead"), (503, "SlowDownWrite"), (503, "ServerBusy"), (503, "ServiceUnavailable"),
    (503, "XMinioServerNotInitialized"), (503, "XMinioIAMNotInitialized"), (503, "XMinioBucketMetadataNotInitialized"),
    (500, "InternalError"), (429, "TooManyRequests"), (408, "RequestTimeout"), (502, ""), (504, ""), (500, ""),
    (503, ""), (429, ""),
)  # fmt: skip
REFUSALS = ((403, "AccessDenied"), (403, "InvalidAccessKeyId"), (403, "SignatureDoesNotMatch"), (404, "NoSuchBucket"))
PAGE = "<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Trial:
    """One trial, and all that is needed to do it again."""

    number: int
    seed: int
    kind: str
    step: str
    store: str
    fault: Fault | None = None  # at the proxy
    machine: Mapping[str, Any] | None = None  # on the machine: the arguments of the kind's hand
    local: bool = False  # the outputs are folders, not in the store

    @property
    def base(self) -> str:
        """Where its outputs are: a folder in the bucket, or in the trial's own folder."""
        return f"trials/{self.seed}-{self.number}"


@dataclass(frozen=True)
class Kind:
    """A kind of fault: how a trial of it is drawn, and which exit codes are right."""

    draw: Callable[[random.Random, Ground, str], dict[str, Any]]
    right: tuple[int, ...]
    weight: int = 2
    steps: tuple[str, ...] = OFTEN


def drawn(number: int, seed: int, ground: Ground, steps: Sequence[str]) -> Trial:
    """Return the trial of this number: the same one for the same seed, whichever others there are.

    The first ones are of a kind each; then come those kinds again that weigh more, and so on.
    """
    kinds = [name for name, kind in KINDS.items() if set(kind.steps) & set(steps)]
    more = [name for name in kinds for _ in range(KINDS[name].weight - 1)]
    for names in (kinds, more):
        random.Random(seed).shuffle(names)  # noqa: S311 - to be drawn again, not to be secret
    dice = random.Random(f"{seed}/{number}")  # noqa: S311
    name = [*kinds, *more][number % len([*kinds, *more])]
    step = dice.choice([step for step in KINDS[name].steps if step in steps])
    store = dice.choice(list(ground.stores))
    return Trial(number, seed, name, step, store, **KINDS[name].draw(dice, ground, step))


def place(dice: random.Random, ground: Ground, step: str, methods: Sequence[str] = ()) -> dict[str, Any]:
    """Draw one of the requests of an undisturbed run: as arguments of a `Fault`."""
    asked = [(each.method, each.same) for each in ground.requests[step] if not methods or each.method in methods]
    chosen = dice.choice(sorted(set(asked)))
    return {"method": chosen[0], "key": chosen[1], "skip": dice.randrange(asked.count(chosen))}


def at(base: str, step: str, request: Fault | Request) -> str:
    """Return the key that a trial has where the undisturbed run had that of `request`."""
    return f"{base}/{rest}" if (rest := request.key.removeprefix(f"{GOOD}/")).startswith(f"{step}/") else request.key


def passing(action: str, methods: Sequence[str] = (), most: int = 3, **fixed: Any) -> Callable[..., dict[str, Any]]:
    """Return a draw of a fault that strikes a request some times, and is gone then."""

    def draw(dice: random.Random, ground: Ground, step: str) -> dict[str, Any]:
        values = {"share": round(dice.random(), 3), "times": dice.randint(1, most)} | fixed
        return {"fault": Fault(action, **place(dice, ground, step, methods), **values)}

    return draw


def answer(status: int, code: str, headers: tuple[tuple[str, str], ...] = ()) -> dict[str, Any]:
    """Return the arguments of a fault that answers so: S3's XML with the code, or a page or nothing without one."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>Not now.</Message></Error>'
    kind = ("Content-Type", "application/xml" if code else "text/html")
    return {"action": "answer", "status": status, "body": body if code else PAGE, "headers": (kind, *headers)}


def busy(dice: random.Random, ground: Ground, step: str) -> dict[str, Any]:
    """Draw a store or a proxy that says it is busy."""
    wait = dice.choice([(), (), (("Retry-After", "1"),)])
    said = answer(*dice.choice(BUSY), wait)
    if said["status"] != 408 and "<Error>" not in said["body"] and dice.random() < 0.3:
        said["body"] = ""
    return {"fault": Fault(**said, **place(dice, ground, step), times=dice.randint(1, 3))}


def refused(dice: random.Random, ground: Ground, step: str) -> dict[str, Any]:
    """Draw a store that refuses from some request on."""
    said = answer(*dice.choice(REFUSALS))
    return {"fault": Fault(**said, **place(dice, ground, step, (*READS, *WRITES)), onwards=True)}


def dead(dice: random.Random, ground: Ground, step: str) -> dict[str, Any]:
    """Draw a store that is gone from some request on."""
    said = dice.choice([{"action": "reset"}, answer(503, "SlowDown"), answer(502, ""), {"action": "reset"}])
    if dice.random() < 0.15:
        said = {"action": "hang"}
    return {"fault": Fault(**said, **place(dice, ground, step, (*READS, *WRITES)), onwards=True)}


def clock(dice: random.Random, _ground: Ground, _step: str) -> dict[str, Any]:
    """Draw a clock that is an hour off, or a store that says so."""
    hours = dice.choice([-1, 1])
    said = answer(403, "RequestTimeTooSkewed")
    return {"fault": Fault(**said, onwards=True), "machine": {"hours": hours}}


def signalled(number: int, methods: Sequence[str]) -> Callable[..., dict[str, Any]]:
    """Return a draw of a signal at a request: before it reaches the store, or after."""

    def draw(dice: random.Random, ground: Ground, step: str) -> dict[str, Any]:
        fault = Fault("call", **place(dice, ground, step, methods), share=dice.randint(0, 1))
        return {"fault": fault, "machine": {"signal": number}}

    return draw


def at_work(number: int) -> Callable[..., dict[str, Any]]:
    """Return a draw of a signal between two requests: a share of the step's time after it has its inputs."""

    def draw(dice: random.Random, ground: Ground, step: str) -> dict[str, Any]:
        asked = [each for each in ground.requests[step] if at("", step, each) == each.key and each.method == "GET"]
        last = Fault("call", "GET", asked[-1].key, share=1)
        return {"fault": last, "machine": {"signal": number, "share": round(0.6 * dice.random(), 3)}}

    return draw


def while_waiting(dice: random.Random, ground: Ground, step: str) -> dict[str, Any]:
    """Draw a SIGTERM for a step that waits for a store that is gone."""
    said = dice.choice([{"action": "reset"}, answer(503, "SlowDown"), {"action": "hang"}])
    after = round(dice.uniform(0.2, 4), 3)
    fault = Fault(**said, **place(dice, ground, step, (*READS, *WRITES)), onwards=True)
    return {"fault": fault, "machine": {"signal": 15, "after": after}}


def starting(number: int) -> Callable[..., dict[str, Any]]:
    """Return a draw of a signal soon after the start."""
    return lambda dice, _ground, _step: {"machine": {"signal": number, "seconds": round(dice.uniform(0, 1.5), 3)}}


def on_machine(**choices: Sequence[Any]) -> Callable[..., dict[str, Any]]:
    """Return a draw of one of each of these for the machine; `local` says that the outputs are folders."""

    def draw(dice: random.Random, _ground: Ground, _step: str) -> dict[str, Any]:
        machine = {name: dice.choice(list(values)) for name, values in choices.items()}
        return {"local": bool(machine.pop("local", False)), "machine": machine}

    return draw


MIB = 2**20
LIGHT = ("ingest", "ingest", "export")
KINDS = {
    "latency": Kind(passing("latency", most=9, seconds=0.4), (DONE,), 1),
    "reset before the request": Kind(passing("reset"), (DONE,)),
    "reset in the request": Kind(passing("reset_in_request", WRITES), (DONE,)),
    "stored, but reset before the answer": Kind(passing("reset_before_response", WRITES), (DONE,)),
    "reset in the answer": Kind(passing("reset_in_response"), (DONE,)),
    "a body cut off": Kind(passing("truncated", ("GET", "LIST")), (DONE,)),
    # Of data without a digest of their own, only ingest can say what is wrong.
    "a body cut off, of a length that fits": Kind(passing("shortened", ("GET", "LIST"), most=1), (DONE, BAD)),
    "a bit flipped in an answer": Kind(passing("flipped", ("GET",), most=1), (DONE, BAD)),
    "a bit flipped in a request": Kind(passing("flipped_request", WRITES, most=1), (DONE,)),
    "busy: 408, 429, 5xx": Kind(busy, (DONE,), 5),
    "slow reads": Kind(passing("drip", ("GET", "LIST"), seconds=1.5), (DONE,), 1),
    "a listing that lags": Kind(passing("lag", ("LIST",), times=99, seconds=2.0), (DONE,), 1),
    "answered 200, never stored": Kind(passing("swallow", ("PUT",), most=1), (DONE, UNAVAILABLE)),
    "a portal's page with 200": Kind(passing(most=2, **answer(200, "")), (DONE, REFUSED, UNAVAILABLE)),
    "dead for good": Kind(dead, (UNAVAILABLE,)),
    "refused": Kind(refused, (REFUSED,)),
    "may not delete": Kind(
        lambda *_: {"fault": Fault(**answer(403, "AccessDenied"), method="DELETE", times=99)}, (DONE,), 1, ("train",),
    ),
    "a clock off by an hour": Kind(clock, (REFUSED,), 1),
    "SIGTERM, starting": Kind(starting(15), (TERMINATED, UNPREPARED, DONE), 1),
    "SIGTERM, fetching": Kind(signalled(15, ("GET", "LIST")), (TERMINATED,)),
    "SIGTERM, working": Kind(at_work(15), (TERMINATED, DONE)),
    "SIGTERM, publishing": Kind(signalled(15, WRITES), (TERMINATED,)),
    "SIGTERM, waiting for the store": Kind(while_waiting, (TERMINATED,)),
    "SIGKILL, starting": Kind(starting(9), (KILLED, DONE), 1),
    "SIGKILL, fetching": Kind(signalled(9, ("GET", "LIST")), (KILLED,)),
    "SIGKILL, working": Kind(at_work(9), (KILLED, DONE)),
    "SIGKILL, publishing": Kind(signalled(9, WRITES), (KILLED,)),
    "disk full": Kind(
        on_machine(disk=[n * MIB // 8 for n in range(1, 10)], local=[False, True]), (FAILED, BAD, DONE), 3, LIGHT,
    ),
    "disk read-only": Kind(on_machine(read_only=[True], local=[False, True]), (FAILED, BAD), 1, LIGHT),
    "memory limit": Kind(on_machine(memory=range(96 * MIB, 448 * MIB, 16 * MIB)), (FAILED, DONE, ABORTED), 2, LIGHT),
    "memory limit of a cgroup": Kind(
        on_machine(cgroup=range(24 * MIB, 240 * MIB, 8 * MIB)), (KILLED, DONE), 1, ("ingest", "export", "train"),
    ),
    "two at once, the same": Kind(on_machine(second=[()], local=[False, True]), (DONE,), 1),
    "two at once, unlike": Kind(on_machine(second=[("--seed=1",)], local=[False, True]), (DONE, BAD), 1, ("ingest",)),
    "a place that is taken": Kind(on_machine(before=[("--seed=1",)], local=[False, True]), (BAD, DONE), 1, ("ingest",)),
}  # fmt: skip
