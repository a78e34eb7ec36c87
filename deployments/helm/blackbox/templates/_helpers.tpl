{{- /* The labels that select the pods: they never change. */ -}}
{{- define "blackbox.selector" -}}
app.kubernetes.io/name: blackbox-daemon
{{- end }}

{{- /* The labels of every object. */ -}}
{{- define "blackbox.labels" -}}
{{ include "blackbox.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* The Secret with the API's key. */ -}}
{{- define "blackbox.secret" -}}
{{ .Values.apiKey.existingSecret | default "blackbox-daemon-config" }}
{{- end }}
