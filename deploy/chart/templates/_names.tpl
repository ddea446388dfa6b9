{{/* Labels of an object: (list . component). */}}
{{- define "outrigger.labels" -}}
{{- $release := index . 0 -}}
app.kubernetes.io/name: outrigger
app.kubernetes.io/instance: {{ $release.Release.Name }}
app.kubernetes.io/version: {{ $release.Chart.AppVersion | quote }}
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/part-of: outrigger
app.kubernetes.io/managed-by: {{ $release.Release.Service }}
{{- end -}}

{{- define "outrigger.selector" -}}
app.kubernetes.io/name: outrigger
app.kubernetes.io/component: control
{{- end -}}

{{- define "outrigger.metadata" -}}
name: outrigger-control
namespace: {{ .Release.Namespace }}
labels:
  {{- include "outrigger.labels" (list . "control") | nindent 2 }}
{{- end -}}

{{- define "outrigger.clusterMetadata" -}}
name: outrigger-control
labels:
  {{- include "outrigger.labels" (list . "control") | nindent 2 }}
{{- end -}}

{{- define "outrigger.image" -}}
{{- .Values.image.repository }}{{ if not (hasPrefix "@" .Values.image.tag) }}:{{ end }}{{ .Values.image.tag }}
{{- end -}}

{{/* A file that `npm run generate` makes: (list . name). */}}
{{- define "outrigger.file" -}}
{{- $name := printf "files/%s" (index . 1) -}}
{{- (index . 0).Files.Get $name | default "" | required (printf "the chart has no %s: npm run generate makes it" $name) -}}
{{- end -}}

{{- define "outrigger.webhook" -}}
{{- $release := index . 0 -}}
admissionReviewVersions: [v1]
clientConfig:
  service:
    name: outrigger-control
    namespace: {{ $release.Release.Namespace }}
    path: {{ index . 1 }}
    port: 443
matchPolicy: Equivalent
sideEffects: None
timeoutSeconds: 10
{{- end -}}

{{- define "outrigger.cniLabels" -}}
labels:
  {{- include "outrigger.labels" (list . "cni") | nindent 2 }}
{{- end -}}
