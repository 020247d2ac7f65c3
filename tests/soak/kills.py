"""One training that is killed again and again at random steps, and goes on from its checkpoints each time."""

import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak import judge
from tests.soak.faults import Fault
from tests.soak.ground import BUCKET, Ground, Run
from tests.soak.kinds import DONE, KILLED
from tests.soak.proxy import Proxy


@dataclass
class Kills:
    """What came of it."""

    store: str
    killed: list[str] = field(default_factory=list)  # at what the store was asked then
    wrong: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """What is said of it."""
        same = "other bytes" if self.wrong else "the same bytes as uninterrupted"
        return f"one training, killed {len(self.killed)} times, on {self.store}: {same}"


def kills(ground: Ground, times: int, seed: int) -> Kills:
    """Kill a training `times` times; each try gets a few checkpoints further before it is."""
    dice = random.Random(f"{seed}/kills")  # noqa: S311 - to be drawn again, not to be secret
    store = next(iter(ground.stores))
    said, base = Kills(store), f"s3://{BUCKET}/kills"
    # An epoch has 7 steps, of which a try that is killed gets some 5 further.
    long = (f"--epochs={times + 2}", "--checkpoint-every=2")
    whole = _train(ground, ground.folder / "kills/whole", f"{base}/whole", store, long)
    if whole.code:
        said.wrong.append(f"the training fails uninterrupted: {whole.errors}")
        return said
    own = ground.folder / "kills/killed"
    while len(said.killed) < times:
        # So many writes further; each checkpoint is some ten of them.
        fault = Fault("call", "PUT", skip=dice.randrange(4, 24), share=dice.randint(0, 1))
        run = _train(ground, own / str(len(said.killed)), f"{base}/killed", store, long, fault, said)
        if run.code != KILLED:
            said.wrong += [f"it ended with {run.code} after {len(said.killed)} kills: {run.errors}"][: run.code != DONE]
            break
    if len(said.killed) < times:
        said.wrong.append(f"it was killed {len(said.killed)} times only, not {times}")
    _train(ground, own / "last", f"{base}/killed", store, long)
    settings = ground.stores[store]
    for output in ("trained_model", "gradients", "metrics"):
        right = judge.digest_at(f"{base}/whole/train/{output}", settings)
        if judge.digest_at(f"{base}/killed/train/{output}", settings) != right:
            said.wrong.append(f"{output} of the training that was killed has other bytes")
    return said


def _train(  # noqa: PLR0913 - where, and what is to happen
    ground: Ground, own: Path, base: str, store: str, long: tuple[str, ...],
    fault: Fault | None = None, said: Kills | None = None,
) -> Run:  # fmt: skip
    began = time.monotonic()
    own.mkdir(parents=True)
    with Proxy(ground.stores[store]["AWS_ENDPOINT_URL"], fault) as proxy:
        environment = ground.environment(own, store, proxy.endpoint)
        process = ground.start(ground.command("train", base, f"s3://{BUCKET}/good", *long), own, environment)
        proxy.strike = process.kill
        run = ground.finish(process, own, began)
    if said and run.code == KILLED:
        said.killed.append(proxy.struck[0].key)
    return run
