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

{{/* The JSON of a dashboard, two panels in a row, from its declaration in monitoring/dashboards.yaml. */}}
{{- define "agora-operator.dashboard" -}}
{{- $source := dict "type" "prometheus" "uid" "${datasource}" -}}
{{- $panels := list -}}
{{- range $index, $panel := .panels -}}
{{- $targets := list -}}
{{- range $number, $query := $panel.queries -}}
{{- $target := dict "refId" (printf "Q%d" $number) "expr" $query.expr "legendFormat" $query.legend "datasource" $source -}}
{{- $targets = append $targets $target -}}
{{- end -}}
{{- $place := dict "h" 8 "w" 12 "x" (mul 12 (mod $index 2)) "y" (mul 8 (div $index 2)) -}}
{{- $field := dict "defaults" (dict "unit" ($panel.unit | default "short") "min" 0) "overrides" (list) -}}
{{- $about := $panel.when | empty | ternary "" (printf "Empty until %s." $panel.when) -}}
{{- $made := dict "id" (add1 $index) "type" "timeseries" "title" $panel.title "description" $about "gridPos" $place -}}
{{- $panels = append $panels (merge $made (dict "targets" $targets "datasource" $source "fieldConfig" $field)) -}}
{{- end -}}
{{- $choice := dict "name" "datasource" "label" "Prometheus" "type" "datasource" "query" "prometheus" -}}
{{- $all := dict "includeAll" true "multi" true "allValue" ".*" "refresh" 2 "current" (dict "text" "All" "value" "$__all") -}}
{{- $market := dict "name" "marketplace" "label" "Marketplace" "type" "query" "datasource" $source -}}
{{- $market = merge $market $all (dict "query" "label_values(up{job=\"agora\"}, marketplace)") -}}
{{- $head := dict "uid" .name "title" .title "tags" (list "agora") "schemaVersion" 39 "refresh" "30s" "editable" true -}}
{{- $range := dict "time" (dict "from" "now-3h" "to" "now") "templating" (dict "list" (list $choice $market)) -}}
{{- merge $head $range (dict "panels" $panels) | toPrettyJson -}}
{{- end -}}
