{{- define "myunisoft-exporter.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{/*
At most 52 characters: Kubernetes adds an 11-character hash to the name of a StatefulSet, in a label of 63.
*/}}
{{- define "myunisoft-exporter.fullname" -}}
{{- $name := include "myunisoft-exporter.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "myunisoft-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "myunisoft-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/*
The labels of an object. Call it with (list $ EXTRA): of two labels with the same name, the chart's own wins, then EXTRA.
*/}}
{{- define "myunisoft-exporter.labels" -}}
{{- $root := index . 0 -}}
{{- $own := include "myunisoft-exporter.selectorLabels" $root | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $own "app.kubernetes.io/version" ($root.Chart.AppVersion | replace "+" "_" | trunc 63) -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- merge $own (index . 1) $root.Values.commonLabels | toYaml -}}
{{- end }}

{{/*
The labels of the pods: without the version of the chart, so that a new chart with the same image restarts nothing.
*/}}
{{- define "myunisoft-exporter.podLabels" -}}
{{- merge (include "myunisoft-exporter.selectorLabels" . | fromYaml) .Values.podLabels .Values.commonLabels | toYaml -}}
{{- end }}

{{- define "myunisoft-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "myunisoft-exporter.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end }}

{{/*
The number of pods: one for each shard, or one for each replica.
*/}}
{{- define "myunisoft-exporter.pods" -}}
{{- ternary (int .Values.shards) (int .Values.replicas) (gt (int .Values.shards) 1) -}}
{{- end }}

{{/*
The series of these exporters in Prometheus: the Operator names the job after the Service.
*/}}
{{- define "myunisoft-exporter.restoreMatch" -}}
{{- .Values.restore.match | default (printf "{job=\"%s\",namespace=\"%s\"}" (include "myunisoft-exporter.fullname" .) .Release.Namespace) -}}
{{- end }}

{{- define "myunisoft-exporter.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{/*
Not empty if the exporter serves HTTPS.
*/}}
{{- define "myunisoft-exporter.tls" -}}
{{- if or .Values.web.tls (hasKey .Values.web.config "tls_server_config") -}}true{{- end -}}
{{- end }}

{{- define "myunisoft-exporter.scheme" -}}
{{- ternary "https" "http" (not (empty (include "myunisoft-exporter.tls" .))) -}}
{{- end }}

{{/*
The path below which the exporter serves everything: empty, or /… without a final slash. As in the exporter, the route
prefix is the path of the external URL, unless it is given.
*/}}
{{- define "myunisoft-exporter.prefix" -}}
{{- $path := .Values.web.routePrefix | default (get (urlParse .Values.web.externalUrl) "path") | trimAll "/" -}}
{{- if $path -}}/{{ $path }}{{- end -}}
{{- end }}

{{- define "myunisoft-exporter.webSecret" -}}
{{- if .Values.web.existingSecret -}}
{{- .Values.web.existingSecret -}}
{{- else if .Values.web.config -}}
{{- include "myunisoft-exporter.fullname" . }}-web
{{- end -}}
{{- end }}

{{/*
The sources of key files, as {"sources": […]}: each with a volume and the directory in which it is mounted.
*/}}
{{- define "myunisoft-exporter.keyFileSources" -}}
{{- $sources := list -}}
{{- if .Values.keyFiles -}}
{{- $own := printf "%s-keys" (include "myunisoft-exporter.fullname" .) -}}
{{- $sources = append $sources (dict "name" $own "volume" (dict "configMap" (dict "name" $own))) -}}
{{- end -}}
{{- range .Values.existingKeyFiles -}}
{{- $optional := .optional | default false -}}
{{- if .configMap -}}
{{- $sources = append $sources (dict "name" .configMap "volume" (dict "configMap" (dict "name" .configMap "optional" $optional))) -}}
{{- else -}}
{{- $volume := dict "secretName" .secret "optional" $optional "defaultMode" (int $.Values.secretFileMode) -}}
{{- $sources = append $sources (dict "name" .secret "volume" (dict "secret" $volume)) -}}
{{- end -}}
{{- end -}}
{{- dict "sources" $sources | toYaml -}}
{{- end }}

{{- define "myunisoft-exporter.keyFileDirectory" -}}
/etc/myunisoft-exporter.d/{{ . }}
{{- end }}

{{/*
The exporter's configuration. One pattern for each source: a source whose files disappear is then an error that the exporter
reports, and not the end of the monitoring of its keys.
*/}}
{{- define "myunisoft-exporter.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $patterns := list -}}
{{- range (include "myunisoft-exporter.keyFileSources" . | fromYaml).sources -}}
{{- $patterns = append $patterns (printf "%s/*" (include "myunisoft-exporter.keyFileDirectory" .name)) -}}
{{- end -}}
{{- if and $patterns (not (hasKey $config "key_files")) -}}
{{- $_ := set $config "key_files" $patterns -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}

{{/*
The files that `check-config` and the exporter read. They are environment variables, and not flags, so that
`kubectl exec … -- myunisoft-exporter probe` reads the same files.
*/}}
{{- define "myunisoft-exporter.env" -}}
- name: MYUNISOFT_EXPORTER_CONFIG_FILE
  value: /etc/myunisoft-exporter/myunisoft-exporter.yml
- name: MYUNISOFT_EXPORTER_STORAGE_PATH
  value: /data
{{- if include "myunisoft-exporter.webSecret" . }}
- name: MYUNISOFT_EXPORTER_WEB_CONFIG_FILE
  value: /etc/myunisoft-exporter-web/web.yml
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
Whole volumes only: Kubernetes does not update what is mounted with subPath.
*/}}
{{- define "myunisoft-exporter.volumeMounts" -}}
- name: config
  mountPath: /etc/myunisoft-exporter
  readOnly: true
{{- range $index, $source := (include "myunisoft-exporter.keyFileSources" . | fromYaml).sources }}
- name: keys-{{ $index }}
  mountPath: {{ include "myunisoft-exporter.keyFileDirectory" $source.name }}
  readOnly: true
{{- end }}
{{- range $index, $secret := .Values.existingSecrets }}
- name: secret-{{ $index }}
  mountPath: {{ $secret.mountPath | default (printf "/run/secrets/%s" $secret.name) }}
  readOnly: true
{{- end }}
{{- if include "myunisoft-exporter.webSecret" . }}
- name: web
  mountPath: /etc/myunisoft-exporter-web
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "myunisoft-exporter.volumes" -}}
{{- $mode := int .Values.secretFileMode -}}
- name: config
{{- if .Values.existingConfigSecret }}
  secret:
    secretName: {{ .Values.existingConfigSecret }}
    defaultMode: {{ $mode }}
{{- else }}
  configMap:
    name: {{ .Values.existingConfigMap | default (include "myunisoft-exporter.fullname" .) }}
{{- end }}
{{- range $index, $source := (include "myunisoft-exporter.keyFileSources" . | fromYaml).sources }}
- name: keys-{{ $index }}
  {{- toYaml $source.volume | nindent 2 }}
{{- end }}
{{- range $index, $secret := .Values.existingSecrets }}
- name: secret-{{ $index }}
  secret:
    secretName: {{ $secret.name }}
    defaultMode: {{ $mode }}
    optional: {{ $secret.optional | default false }}
    {{- with $secret.items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- with include "myunisoft-exporter.webSecret" . }}
- name: web
  secret:
    secretName: {{ . }}
    defaultMode: {{ $mode }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
A probe of the kubelet: its own fields, and where to ask. Call it with (list $ PATH PROBE).
*/}}
{{- define "myunisoft-exporter.probe" -}}
{{- $root := index . 0 -}}
httpGet:
  path: {{ include "myunisoft-exporter.prefix" $root }}{{ index . 1 }}
  port: web
  scheme: {{ include "myunisoft-exporter.scheme" $root | upper }}
{{ toYaml (index . 2) }}
{{- end }}
