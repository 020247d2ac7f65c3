"""What the steps of this checkout declare, for what a manifest leaves out: the defaults of parameters."""

import importlib
import re
from pathlib import Path
from typing import Any

from components.contract.artifact import Manifest
from components.contract.declaration import Component

_STEPS = Path(__file__).parent.parent


def component(name: str) -> Component | None:
    """Return the step of that name, None where this checkout has none; the name may come from a stranger."""
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or not (_STEPS / name / "component.py").is_file():
        return None
    found = importlib.import_module(f"components.{name}.component").COMPONENT
    return found if isinstance(found, Component) else None


def chosen(manifest: Manifest) -> dict[str, Any]:
    """Return the parameters that are not as the step declares them by default; all, if there is no such step here."""
    step = component(manifest.component)
    fields = step.parameters.model_fields if step else {}
    return {
        name: value
        for name, value in sorted(manifest.parameters.items())
        if name not in fields or value != fields[name].default
    }
