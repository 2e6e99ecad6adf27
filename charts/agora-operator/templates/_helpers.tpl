{{- define "agora-operator.namespaces" -}}
{{- .Values.watchNamespaces | default (list .Release.Namespace) | sortAlpha | join "," -}}
{{- end -}}

{{- define "agora-operator.selector" -}}
app.kubernetes.io/name: agora-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "agora-operator.labels" -}}
{{ include "agora-operator.selector" . }}
app.kubernetes.io/part-of: agora-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimSuffix "-" | quote }}
{{- end -}}
