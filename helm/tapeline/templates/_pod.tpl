{{- /* What every pod of this chart has in common, and what the steps' pods have of it: nobody's token, nobody's root. */}}

{{/* The labels of a pod: (list $ "component"); as JSON. */}}
{{- define "tapeline.podLabels" -}}
{{- $root := index . 0 }}
{{- $own := include "tapeline.selector" $root | fromYaml }}
{{- merge (dict "app.kubernetes.io/component" (index . 1)) $own $root.Values.podLabels | toJson }}
{{- end }}

{{/* The specification that all pods share; as JSON. */}}
{{- define "tapeline.shared" -}}
{{- $spec := dict "volumes" (list (dict "name" "tmp" "emptyDir" dict)) }}
{{- with .Values.caBundle.configMap }}
{{- $_ := set $spec "volumes" (append $spec.volumes (dict "name" "ca" "configMap" (dict "name" .))) }}
{{- end }}
{{- with .Values.images.pullSecrets }}
{{- $secrets := list }}
{{- range . }}
{{- $secrets = append $secrets (dict "name" .) }}
{{- end }}
{{- $_ := set $spec "imagePullSecrets" $secrets }}
{{- end }}
{{- with include "tapeline.podSecurityContext" . | fromJson }}
{{- $_ := set $spec "securityContext" . }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" }}
{{- with index $.Values $field }}
{{- $_ := set $spec $field . }}
{{- end }}
{{- end }}
{{- toJson $spec }}
{{- end }}

{{/* On OpenShift the group of a volume is one of the namespace's range, and any other is refused; as JSON. */}}
{{- define "tapeline.podSecurityContext" -}}
{{- $context := .Values.podSecurityContext | default dict }}
{{- $openshift := or (.Capabilities.APIVersions.Has "security.openshift.io/v1") (.Capabilities.APIVersions.Has "security.openshift.io/v1/SecurityContextConstraints") }}
{{- if and $openshift (eq (toString $context.fsGroup) "65532") }}
{{- $context = omit $context "fsGroup" }}
{{- end }}
{{- toJson $context }}
{{- end }}

{{/* The fields of a pod's specification. */}}
{{- define "tapeline.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
serviceAccountName: {{ include "tapeline.account" . | quote }}
{{- range $field, $value := include "tapeline.shared" . | fromJson }}
{{ $field }}: {{ toJson $value }}
{{- end }}
{{- end }}

{{/* Variables as the `env` of a container, with those that every container has: (list $ dictionary); as JSON. */}}
{{- define "tapeline.env" -}}
{{- $root := index . 0 }}
{{- $variables := index . 1 }}
{{- with $root.Values.caBundle.configMap }}
{{- $path := dict "value" (printf "/etc/tapeline/ca/%s" $root.Values.caBundle.key) }}
{{- $_ := set $variables "AWS_CA_BUNDLE" $path }}
{{- $_ := set $variables "SSL_CERT_FILE" $path }}
{{- end }}
{{- range $root.Values.extraEnv }}
{{- $_ := set $variables .name (omit . "name") }}
{{- end }}
{{- $env := list }}
{{- range $name, $source := $variables }}
{{- $env = append $env (merge (dict "name" $name) $source) }}
{{- end }}
{{- toJson $env }}
{{- end }}

{{/* The fields of a container: (dict "root" $ "env" its own variables "mounts" its own mounts "resources" …). */}}
{{- define "tapeline.container" -}}
{{- $values := .root.Values -}}
imagePullPolicy: {{ $values.images.pullPolicy }}
{{- with $values.securityContext }}
securityContext: {{ toJson . }}
{{- end }}
{{- with $values.extraEnvFrom }}
envFrom: {{ toJson . }}
{{- end }}
env: {{ include "tapeline.env" (list .root (.env | default dict)) }}
resources: {{ toJson .resources }}
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts: {{ concat (include "tapeline.mounts" .root | fromJsonArray) (.mounts | default list) | toJson }}
{{- end }}

{{/* Where every container has the volumes that all pods share; as JSON. */}}
{{- define "tapeline.mounts" -}}
{{- $mounts := list (dict "name" "tmp" "mountPath" "/tmp") }}
{{- if .Values.caBundle.configMap }}
{{- $mounts = append $mounts (dict "name" "ca" "mountPath" "/etc/tapeline/ca" "readOnly" true) }}
{{- end }}
{{- toJson $mounts }}
{{- end }}

{{/* The account of the pods that talk to the store. */}}
{{- define "tapeline.account" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (printf "%s-step" (include "tapeline.name" .)) "default") }}
{{- end }}

{{/* The variables that lead a Job of this chart to the store; as JSON. */}}
{{- define "tapeline.storeEnvironment" -}}
{{- $variables := dict "AWS_ENDPOINT_URL" (dict "value" (include "tapeline.endpoint" .)) "AWS_REGION" (dict "value" .Values.store.region) }}
{{- if or (ne .Values.store.kind "external") .Values.store.existingSecret }}
{{- $secret := include "tapeline.secret" . }}
{{- range $key, $name := dict "accesskey" "AWS_ACCESS_KEY_ID" "secretkey" "AWS_SECRET_ACCESS_KEY" }}
{{- $_ := set $variables $name (dict "valueFrom" (dict "secretKeyRef" (dict "name" $secret "key" $key))) }}
{{- end }}
{{- $token := dict "name" $secret "key" "sessiontoken" "optional" true }}
{{- $_ := set $variables "AWS_SESSION_TOKEN" (dict "valueFrom" (dict "secretKeyRef" $token)) }}
{{- end }}
{{- merge $variables (include "tapeline.proxies" . | fromJson) | toJson }}
{{- end }}

{{/* The variables of the proxies; as JSON. */}}
{{- define "tapeline.proxies" -}}
{{- $variables := dict }}
{{- with .Values.proxy.http }}
{{- $_ := set $variables "HTTP_PROXY" (dict "value" .) }}
{{- end }}
{{- with .Values.proxy.https }}
{{- $_ := set $variables "HTTPS_PROXY" (dict "value" .) }}
{{- end }}
{{- if $variables }}
{{- $_ := set $variables "NO_PROXY" (dict "value" (include "tapeline.noProxy" .)) }}
{{- end }}
{{- toJson $variables }}
{{- end }}

{{/*
What the pod of a step has of all this, in the form of `pod` in dags/cluster.py; as JSON. Where the store and the proxies
are is in the ConfigMap and the Secret of the store.
*/}}
{{- define "tapeline.stepPod" -}}
{{- $shared := include "tapeline.shared" . | fromJson }}
{{- $container := dict "name" "base" "imagePullPolicy" .Values.images.pullPolicy "securityContext" .Values.securityContext
    "env" (include "tapeline.env" (list . dict) | fromJsonArray) "envFrom" .Values.extraEnvFrom
    "volumeMounts" (include "tapeline.mounts" . | fromJsonArray | rest) }}
{{- $spec := set $shared "volumes" (rest $shared.volumes) }}
{{- $metadata := dict "labels" .Values.podLabels "annotations" .Values.podAnnotations }}
{{- range $part := list $container $spec $metadata }}
{{- range $key, $value := $part }}
{{- if not $value }}
{{- $_ := unset $part $key }}
{{- end }}
{{- end }}
{{- end }}
{{- dict "metadata" $metadata "spec" (merge (dict "containers" (list $container)) $spec) | toJson }}
{{- end }}
