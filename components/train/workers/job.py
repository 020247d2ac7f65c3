"""The other workers as the pods of an Indexed Job, beside the pod of this step, which is the chief.

https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
"""

import secrets
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.contract import rendezvous, waiting
from components.contract.errors import BadInput, PeerLost, StepError, StoreUnavailable
from components.train.component import COMPONENT
from components.train.workers import pod as pods
from components.train.workers.api import PODS, THERE, Api, Refused, is_away
from components.train.workers.logs import Logs
from components.train.workers.pod import Json
from components.train.workers.worker import Ended

EVENTS = "api/v1/events"
KEPT_SECONDS = 600  # of a Job that nobody could delete any more
LOOK_SECONDS = 1.0  # from one look at the pods to the next
LAUNCHED_BY = "tapeline/launched-by"  # the label that says by which pod


class Job:
    """Workers 1, 2, … as a Job, which goes with this pod."""

    kind = "apis/batch/v1/jobs"
    selector = "batch.kubernetes.io/job-name"  # the label of its pods that has its name
    container = pods.CONTAINER
    made_by = "{}"  # the Job that makes the pods, by that name

    def __init__(self, api: Api, count: int, arguments: Sequence[str]) -> None:
        """Prepare it: `arguments` are those of the step, with inputs where every pod reaches them."""
        self.api, self.count = api, count
        self.pod = api.this_pod()
        self.host: str = self.pod["status"]["podIP"]
        self.command = [*COMPONENT.command, *arguments]
        # As short as a JobSet wants it, and new for each process, as what an earlier one made may still be there.
        self.stem = f"workers-{self.pod['metadata']['name'].replace('.', '-')[:24].rstrip('-')}-{secrets.token_hex(4)}"
        self.tries = 0
        self.name = ""  # of the Job that is there
        self.logs = Logs(api, self.container)

    def start(self, place: str) -> None:
        """Have the workers run, and come to the chief at `place`."""
        self.tries += 1
        name = f"{self.stem}-{self.tries}"
        self.began, self.looked, self.found = time.monotonic(), 0.0, list[Ended]()
        self.seen: set[int] = set()
        document = self.document(name, place)

        def create() -> None:
            try:
                self.api.create(self.kind, document)
            except Refused as error:
                if error.status != THERE:  # as the answer to an earlier call was lost
                    raise

        self.api.patiently(f"start {self.count - 1} workers", create)
        self.name = name

    def document(self, name: str, place: str) -> Json:
        """Return the Job as the API is asked for it."""
        template, others = self.template(place), self.count - 1
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": self.metadata(name, template),
            "spec": {
                "completionMode": "Indexed",
                "completions": others,
                "parallelism": others,
                "backoffLimit": 0,  # all begin again together, or none
                "ttlSecondsAfterFinished": KEPT_SECONDS,
                "template": template,
            },
        }

    def template(self, place: str) -> Json:
        """Return the template of the workers' pods, which come to the chief at `place`."""
        index = {"fieldRef": {"fieldPath": f"metadata.annotations['{pods.INDEX}']"}}
        variables: list[Json] = [
            {"name": rendezvous.PLACE, "value": place},
            {"name": rendezvous.NUMBER, "valueFrom": index},
            {"name": rendezvous.FIRST, "value": "1"},
        ]
        template = pods.template(self.pod, self.command, variables)
        template["metadata"]["labels"][LAUNCHED_BY] = self.pod["metadata"]["name"][:63].rstrip("-.")
        return template

    def metadata(self, name: str, template: Mapping[str, Any]) -> Json:
        """Return what is said of the object: it has the labels of its pods, and goes with this one."""
        own = self.pod["metadata"]
        owner = {"apiVersion": "v1", "kind": "Pod", "name": own["name"], "uid": own["uid"]}
        return {"name": name, "labels": template["metadata"]["labels"], "ownerReferences": [owner]}

    def ended(self) -> list[Ended]:
        """Return those that have ended badly, or did not come; raise `BadInput` where Kubernetes does not let us see.

        While the API is away nothing is known: that a worker is lost the chief notices, too.
        """
        if time.monotonic() - self.looked < LOOK_SECONDS or self.found:
            return self.found
        self.looked = time.monotonic()
        try:
            listed = self.api.get(PODS, labelSelector=f"{self.selector}={self.name}")["items"]
            self.found = list(self._ends({int(each["metadata"]["annotations"][pods.INDEX]): each for each in listed}))
        except Refused as error:
            if not is_away(error):
                raise BadInput(self.api.sentence("see the workers", error)) from None
        except Exception as error:
            if not is_away(error):
                raise
        return self.found

    def _ends(self, there: Mapping[int, Json]) -> Iterator[Ended]:
        late = time.monotonic() - self.began > waiting.limit()
        if not there and (why := self._not_made()) and "PodSecurity" in why:
            raise BadInput(f"launcher: Kubernetes admits no worker: {why}")
        for number in range(1, self.count):
            who, pod = f"worker {number} of {self.count}", there.get(number - 1)
            if pod is None:
                if number in self.seen:
                    gone = "its pod is gone, as when a node is lost or somebody deletes it"
                    yield Ended(who, PeerLost.exit_code, gone, how="is lost")
                elif late:
                    yield self._late(who, self._not_made())
                continue
            self.seen.add(number)
            began = not pods.state_of(pod["status"]).keys() <= {"waiting"}
            if began:
                self.logs.follow(number, pod["metadata"]["name"])
            if pod["status"].get("phase") == "Failed":
                yield end_of(who, pod)
            elif late and not began:
                yield self._late(who, pods.why(pod))

    def _late(self, who: str, why: str) -> Ended:
        return Ended(who, PeerLost.exit_code, why, how=f"{rendezvous.LATE} {waiting.limit():g} s")

    def _not_made(self) -> str:
        """Return why there are no pods: a quota, or what is admitted."""
        job = self.made_by.format(self.name)
        about = f"involvedObject.name={job},type=Warning"
        try:
            events = self.api.get(EVENTS, fieldSelector=about)["items"]
        except Refused as error:
            return f"why is in the events of the Job {job}, which the account may not list ({error.status})"
        return str(events[-1]["message"]) if events else ""

    def stop(self) -> None:
        """Delete the Job, once the workers that end by themselves have said their last."""
        if not self.name:
            return
        name, self.name = self.name, ""
        self.logs.end()
        try:
            self.api.patiently("end the workers", lambda: self.api.delete(self.kind, name))
        except (BadInput, StoreUnavailable) as error:
            print(f"warning: {error}; {name} goes with this pod", file=sys.stderr, flush=True)


def end_of(who: str, pod: Mapping[str, Any]) -> Ended:
    """Return how a worker ended, by the state of its pod, which has failed."""
    end = pods.state_of(pod["status"]).get("terminated")
    if not end or not end.get("exitCode"):
        return Ended(who, PeerLost.exit_code, pods.why(pod), how="is lost")
    if end.get("reason") == "OOMKilled":
        more = "give it more memory (the limit of train's own container is that of each worker)"
        return Ended(who, StepError.exit_code, f"OOMKilled, it took more than it may; {more}", how="was ended")
    code = int(end["exitCode"])
    # What the shell makes of a signal; 143 is also how a step ends that was asked to.
    code = 128 - code if code > 128 and code - 128 in set(signal.Signals) else code
    said = (end.get("message") or "").strip().splitlines()
    sentence = "; ".join(line.removeprefix(f"{COMPONENT.name}: ") for line in said[-3:])
    return Ended(who, code, "; ".join(filter(None, (sentence, pods.why(pod)))))
