"""Send OpenLineage's events to a server, by the variables that its own clients know."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

from components.contract.errors import BadInput, StepError

URL, ENDPOINT, KEY = "OPENLINEAGE_URL", "OPENLINEAGE_ENDPOINT", "OPENLINEAGE_API_KEY"
USUAL = "api/v1/lineage"
SECONDS = 10  # to wait for an answer


def post(events: Iterable[Mapping[str, Any]], environment: Mapping[str, str] = os.environ) -> int:
    """Send the events one after the other, and return how many; raise `StepError` at the first that is not taken."""
    base = environment.get(URL, "")
    if not base.startswith(("http://", "https://")):
        raise BadInput(f"{URL}: {base!r} is no address of a server, such as http://marquez:5000")
    address = f"{base.rstrip('/')}/{environment.get(ENDPOINT, USUAL).lstrip('/')}"
    headers = {"Content-Type": "application/json"}
    if key := environment.get(KEY):
        headers["Authorization"] = f"Bearer {key}"
    sent = 0
    for event in events:
        body = json.dumps(event, sort_keys=True).encode()
        request = urllib.request.Request(address, body, headers, method="POST")  # noqa: S310 - the scheme is known
        try:
            with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
                sent += 1
        except urllib.error.HTTPError as error:
            raise StepError(f"{address} answered {error.code} {error.reason} to event {sent + 1}") from None
        except (OSError, ValueError) as error:
            raise StepError(f"{address} did not take event {sent + 1}: {getattr(error, 'reason', error)}") from None
    return sent
