"""The workflow with two tasks more that run only where the gate has blessed, one of them never from a cache.

They are declarations alone: what plays them in a test makes their outputs.
"""

from dataclasses import replace

from components.contract.declaration import Input, Output, Parameters
from components.evaluate.component import COMPONENT as EVALUATE
from components.export.component import COMPONENT as EXPORT
from dags.definition import Task
from dags.workflow import WORKFLOW

CARD = replace(
    EXPORT, name="card", title="Write the card", parameters=Parameters,
    inputs=(Input("metrics", "Metrics", "Figures"),), outputs=(Output("card", "Artifact", "A card"),),
)  # fmt: skip
LABEL = replace(
    CARD, name="label", title="Print the label",
    inputs=(Input("card", "Artifact", "A card"),), outputs=(Output("label", "Artifact", "A label"),),
)  # fmt: skip
RESOURCES = WORKFLOW.task(EXPORT).resources
CARDS = Task(CARD, RESOURCES, {"metrics": (EVALUATE, "metrics")}, fresh=True, if_blessed=True)
LABELS = Task(LABEL, RESOURCES, {"card": (CARD, "card")}, if_blessed=True)
CONDITIONAL = replace(WORKFLOW, tasks=(*WORKFLOW.tasks, CARDS, LABELS))
