// Kubeflow Trainer and the JobSet that it stands on, in the versions of go.mod: what `install` builds.
package main

import (
	_ "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager"
	_ "sigs.k8s.io/jobset"
)

func main() {}
