{{- define "aegis.labels" -}}
app.kubernetes.io/name: aegis
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "aegis.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}
{{- define "aegis.health" -}}
httpGet: { path: /healthz, port: http, scheme: {{ if .Values.tls.secret }}HTTPS{{ else }}HTTP{{ end }} }
{{- end }}
{{- define "aegis.project" -}}
{{ .Values.project.existing | default (printf "%s-project" .Release.Name) }}
{{- end }}
