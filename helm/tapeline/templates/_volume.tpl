{{- /*
The volume of the store stays what it is: files of one kind of server, of a class, of a size that can only grow. What
would change that is refused with the way to do it. Without a cluster to look at (helm template, GitOps) Kubernetes
refuses it, with less of an explanation, and a server refuses the other one's files.
*/}}

{{/* The name of the volume: that of its server's kind, but releases before 0.4 called it data for every kind. */}}
{{- define "tapeline.volume" -}}
{{- $store := .Values.store }}
{{- $name := printf "%s-store" (include "tapeline.name" .) }}
{{- $volume := $store.volume | default $store.kind }}
{{- if not $store.volume }}
{{- $server := lookup "apps/v1" "StatefulSet" .Release.Namespace $name }}
{{- $claims := dict }}
{{- range list "data" $store.kind }}
{{- $_ := set $claims . (lookup "v1" "PersistentVolumeClaim" $.Release.Namespace (printf "%s-%s-0" . $name)) }}
{{- end }}
{{- if $server }}
{{- if eq (first $server.spec.template.spec.containers).name $store.kind }}
{{- $volume = (first $server.spec.volumeClaimTemplates).metadata.name }}
{{- end }}
{{- else if and $claims.data (not (index $claims $store.kind)) }}
{{- $volume = "data" }}
{{- end }}
{{- end }}
{{- $volume }}
{{- end }}

{{- define "tapeline.checkVolume" -}}
{{- $store := .Values.store }}
{{- $name := printf "%s-store" (include "tapeline.name" .) }}
{{- $claim := printf "%s-%s-0" (include "tapeline.volume" .) $name }}
{{- $server := lookup "apps/v1" "StatefulSet" .Release.Namespace $name }}
{{- $volume := lookup "v1" "PersistentVolumeClaim" .Release.Namespace $claim }}
{{- $kubectl := printf "kubectl --namespace %s" .Release.Namespace }}
{{- $delete := $server | empty | ternary "" (printf "`%s delete statefulset %s`, which leaves the volume alone, then " $kubectl $name) }}
{{- $another := printf "%sthe same again with store.volume=NAME, which is another volume, empty at first (docs/cluster.md says how to take the artifacts along)" $delete }}
{{- $wanted := include "tapeline.bytes" $store.size | float64 }}
{{- $steps := list }}
{{- with $volume }}
{{- if and $store.storageClass (ne .spec.storageClassName $store.storageClass) }}
{{- fail (printf "the volume %s keeps its class %s, so it cannot have store.storageClass=%s: %s" $claim .spec.storageClassName $store.storageClass $another) }}
{{- else if lt (include "tapeline.bytes" .spec.resources.requests.storage | float64) $wanted }}
{{- $patch := dict "spec" (dict "resources" (dict "requests" (dict "storage" $store.size))) | toJson }}
{{- $steps = append $steps (printf "`%s patch pvc %s --patch '%s'`" $kubectl $claim $patch) }}
{{- end }}
{{- end }}
{{- with $server }}
{{- $kind := (first .spec.template.spec.containers).name }}
{{- $present := first .spec.volumeClaimTemplates }}
{{- $size := $present.spec.resources.requests.storage }}
{{- $keeps := printf "%s-%s-0" $present.metadata.name $name }}
{{- if ne $keeps $claim }}
{{- fail (printf "%s runs %s on the volume %s, not %s on %s: %sthe same again with store.volume=%s, which is empty at first, or as it was left (docs/cluster.md says how to take the artifacts along)" $name $kind $keeps $store.kind $claim $delete (include "tapeline.volume" $)) }}
{{- else if ne $kind $store.kind }}
{{- fail (printf "the volume %s has the files of %s, which store.kind=%s cannot read: say store.volume=%s" $claim $kind $store.kind $store.kind) }}
{{- else if gt (include "tapeline.bytes" $size | float64) $wanted }}
{{- fail (printf "the volume %s cannot shrink from %s to store.size=%s: %s" $claim $size $store.size $another) }}
{{- else if or (lt (include "tapeline.bytes" $size | float64) $wanted) (ne (default "" $present.spec.storageClassName) $store.storageClass) }}
{{- $steps = append $steps (printf "`%s delete statefulset %s --cascade=orphan`, which leaves its pod running" $kubectl $name) }}
{{- end }}
{{- end }}
{{- if $steps }}
{{- fail (printf "the volume %s cannot have store.size=%s and store.storageClass=%q by an upgrade alone: %s, then the same again" $claim $store.size $store.storageClass (join ", then " $steps)) }}
{{- end }}
{{- end }}

{{/* What a server says that finds the other one's files: (list $ "the other one"). */}}
{{- define "tapeline.otherVolume" -}}
{{- $store := (index . 0).Values.store -}}
the volume {{ include "tapeline.volume" (index . 0) }} has the files of {{ index . 1 }}, so {{ $store.kind }} is not started on it: say store.kind={{ index . 1 }}, or store.volume={{ $store.kind }} for another volume
{{- end }}

{{/* A quantity in bytes. */}}
{{- define "tapeline.bytes" -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- $number := regexFind "^[0-9]+([.][0-9]+)?" . }}
{{- mulf (float64 $number) (float64 (index $units (trimPrefix $number .))) }}
{{- end }}
