{{/*
The name that everything of this release begins with: a DNS label of at most 46 characters, as -buckets-12345678 may
follow, and the names of Jobs and Services end at 63. One that had to be changed for that ends in a digest of what it
was, so that two releases stay apart.
*/}}
{{- define "tapeline.name" -}}
{{- $release := .Release.Name }}
{{- $whole := .Values.fullnameOverride | default (contains "tapeline" $release | ternary $release (printf "%s-tapeline" $release)) }}
{{- $name := regexReplaceAll "^([0-9])" ($whole | replace "." "-") "t$1" }}
{{- if or (ne $name $whole) (gt (len $name) 46) }}
{{- printf "%s-%s" ($name | trunc 37 | trimAll "-") ($whole | sha256sum | trunc 8) }}
{{- else }}
{{- $name }}
{{- end }}
{{- end }}

{{- define "tapeline.labels" -}}
{{ include "tapeline.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | quote }}
{{- end }}

{{- define "tapeline.selector" -}}
app.kubernetes.io/name: tapeline
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/part-of: tapeline
{{- end }}

{{/* An image: (list $ "name"). */}}
{{- define "tapeline.image" -}}
{{- $root := index . 0 }}
{{- $name := index . 1 }}
{{- index $root.Values.images $name | default (printf "%s/%s:%s" $root.Values.images.registry $name (include "tapeline.tag" $root)) }}
{{- end }}

{{- define "tapeline.tag" -}}
{{- with .Values.images }}
{{- if hasPrefix "sha256:" .tag }}
{{- fail (printf "images.tag is the digest %s, but each image has one of its own: give them as images.NAME=%s/NAME@sha256:…" .tag .registry) }}
{{- end }}
{{- end }}
{{- .Values.images.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The images of the workflow that are elsewhere, by name; as JSON. */}}
{{- define "tapeline.images" -}}
{{ omit .Values.images "registry" "tag" "pullPolicy" "pullSecrets" "register" "seaweedfs" "minio" | toJson }}
{{- end }}

{{/* What the workflow asks of this cluster, by the names of dags/cluster.py; as JSON. */}}
{{- define "tapeline.cluster" -}}
{{- dict "gpu_count" .Values.gpu.count "gpu_resource" .Values.gpu.resource "node_selector" .Values.gpu.nodeSelector
    "tolerations" .Values.gpu.tolerations "cpu" .Values.gpu.cpu "memory" .Values.gpu.memory "s3_secret" (include "tapeline.secret" .)
    "s3_config" (printf "%s-store" (include "tapeline.name" .)) | toJson }}
{{- end }}

{{/* A value as text: what is not text as JSON, which writes a large number out in full. */}}
{{- define "tapeline.text" -}}
{{ kindIs "string" . | ternary . (toJson .) }}
{{- end }}

{{/* The parameters, as JSON. Helm keeps numbers of a file as doubles, so digits of larger ones are lost by now. */}}
{{- define "tapeline.parameters" -}}
{{- range $name, $value := .Values.parameters }}
{{- if and (not (kindIs "string" $value)) (not (kindIs "bool" $value)) }}
{{- $number := float64 $value }}
{{- if or (gt $number 9007199254740991.0) (lt $number -9007199254740991.0) }}
{{- fail (printf "parameters.%s: Helm keeps only 15 digits of a number, so write it in quotes (--set-string)" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson .Values.parameters }}
{{- end }}

{{- define "tapeline.stepNamespace" -}}
{{ .Values.steps.namespace | default .Release.Namespace }}
{{- end }}

{{- define "tapeline.airflowNamespace" -}}
{{ .Values.airflow.namespace | default .Release.Namespace }}
{{- end }}

{{- define "tapeline.secret" -}}
{{ .Values.store.existingSecret | default (printf "%s-store" (include "tapeline.name" .)) }}
{{- end }}

{{- define "tapeline.endpoint" -}}
{{- if eq .Values.store.kind "external" -}}
{{ required "store.endpoint is needed with store.kind=external: where the store is, as in http://minio.storage:9000" .Values.store.endpoint }}
{{- else -}}
http://{{ include "tapeline.name" . }}-store.{{ .Release.Namespace }}.svc:9000
{{- end }}
{{- end }}

{{/* Where the registry of blessed models is. */}}
{{- define "tapeline.registry" -}}
{{ .Values.store.registry | default (printf "s3://%s/registry" (first .Values.store.buckets)) }}
{{- end }}

{{/* The hosts that no proxy is asked for. */}}
{{- define "tapeline.noProxy" -}}
{{- $cluster := list "localhost" "127.0.0.1" "169.254.169.254" "169.254.170.23" ".svc" ".cluster.local" (printf ".%s" .Values.kubeflow.namespace) }}
{{- concat $cluster .Values.proxy.none | uniq | join "," }}
{{- end }}
