"""The other workers as the nodes of a TrainJob, where Kubeflow Trainer is installed (2.2 or newer).

https://www.kubeflow.org/docs/components/trainer/ Its runtime is helm/training-runtime.yaml, which is for whole
TrainJobs, too. What a TrainJob has no words for in a pod, such as envFrom or a priority, is for the runtime to say.
"""

from components.train.workers.job import Job
from components.train.workers.pod import NODE, Json

RUNTIME = "tensorflow"
_POD = (
    "affinity",
    "imagePullSecrets",
    "nodeSelector",
    "securityContext",
    "serviceAccountName",
    "tolerations",
    "volumes",
)


class TrainJob(Job):
    """Workers 1, 2, … as a TrainJob, which goes with this pod."""

    kind = "apis/trainer.kubeflow.org/v1alpha1/trainjobs"
    selector = "jobset.sigs.k8s.io/jobset-name"
    container = NODE
    made_by = f"{{}}-{NODE}-0"

    def document(self, name: str, place: str) -> Json:
        """Return the TrainJob as the API is asked for it."""
        template = self.template(place)
        pod = template["spec"]
        (container,) = pod["containers"]
        trainer = {
            "numNodes": self.count - 1,
            "image": container["image"],
            "command": container["command"],
            "env": container["env"],
            "resourcesPerNode": container.get("resources", {}),
        }
        inside = {"name": NODE} | {
            key: container[key] for key in ("securityContext", "volumeMounts") if key in container
        }
        patch = {
            "metadata": template["metadata"],
            "spec": {key: pod[key] for key in _POD if key in pod} | {"containers": [inside]},
        }
        jobs = [{"name": NODE, "template": {"spec": {"template": patch}}}]
        return {
            "apiVersion": "trainer.kubeflow.org/v1alpha1",
            "kind": "TrainJob",
            "metadata": self.metadata(name, template),
            "spec": {
                "runtimeRef": {"name": RUNTIME},
                "trainer": trainer,
                "runtimePatches": [
                    {
                        "manager": "tapeline/train",
                        "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": jobs}}},
                    }
                ],
            },
        }
