{{/* The name that everything of this release begins with. */}}
{{- define "tapeline.name" -}}
{{- if contains "tapeline" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-tapeline{{ end }}
{{- end }}

{{- define "tapeline.labels" -}}
{{ include "tapeline.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "tapeline.selector" -}}
app.kubernetes.io/name: tapeline
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: tapeline
{{- end }}

{{/* An image: (list $ "name"). */}}
{{- define "tapeline.image" -}}
{{- with index . 0 }}{{ .Values.images.registry }}{{ end }}/{{ index . 1 }}:{{ include "tapeline.tag" (index . 0) }}
{{- end }}

{{- define "tapeline.tag" -}}
{{ .Values.images.tag | default .Chart.AppVersion }}
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

{{/* The environment that leads a step, or a Job of this chart, to the store. */}}
{{- define "tapeline.storeEnvironment" -}}
- name: AWS_ENDPOINT_URL
  valueFrom: {configMapKeyRef: {name: {{ include "tapeline.name" . }}-store, key: endpoint}}
- name: AWS_REGION
  valueFrom: {configMapKeyRef: {name: {{ include "tapeline.name" . }}-store, key: region}}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ include "tapeline.secret" . }}, key: accesskey}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ include "tapeline.secret" . }}, key: secretkey}}
{{- end }}

{{/* What every pod of this chart has in common: nobody's token, nobody's root. */}}
{{- define "tapeline.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "tapeline.container" -}}
imagePullPolicy: {{ .Values.images.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}
