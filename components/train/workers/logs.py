"""What workers in pods say, line by line, with the number of each."""

import threading
import time

import urllib3

from components.train.component import COMPONENT
from components.train.workers.api import FORBIDDEN, PODS, Api, Refused

END_SECONDS = 3  # for those that end by themselves to say their last
AGAIN_SECONDS = 1


class Logs:
    """The logs that are followed, each by a thread."""

    def __init__(self, api: Api, container: str) -> None:
        self.api, self.container = api, container
        self._threads: dict[str, threading.Thread] = {}
        self._refused = False

    def follow(self, number: int, pod: str) -> None:
        """Print what the worker in a pod says, from now to its end, unless that is done already."""
        if pod not in self._threads:
            self._threads[pod] = threading.Thread(target=self._print, args=(number, pod), daemon=True)
            self._threads[pod].start()

    def end(self) -> None:
        """Wait a moment for those that are about to end; the others end with their pods."""
        ends = time.monotonic() + END_SECONDS
        for thread in self._threads.values():
            thread.join(max(0.0, ends - time.monotonic()))
        self._threads.clear()

    def _print(self, number: int, pod: str) -> None:
        """Print a log to its end; where the connection is lost, go on after the last line that came."""
        last = ""
        while True:
            since = {"sinceTime": last} if last else {}
            try:
                for line in self.api.lines(PODS, f"{pod}/log", container=self.container, follow="true",
                                           timestamps="true", **since):  # fmt: skip
                    stamp, _, text = line.partition(" ")
                    if stamp > last and not text.startswith(f"{COMPONENT.name}: "):  # its last sentence is for others
                        print(f"worker {number}: {text}\n", end="", flush=True)
                    last = max(stamp, last)
            except Refused as error:
                if error.status == FORBIDDEN and not self._refused:
                    self._refused = True
                    print(f"warning: {self.api.sentence('show what the workers say', error)}", flush=True)
                if error.status < 500:
                    return
            except (urllib3.exceptions.HTTPError, OSError):
                pass
            else:
                return
            time.sleep(AGAIN_SECONDS)
