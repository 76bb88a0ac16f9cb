{{/*
What values.schema.json cannot check. Each message names the values and says what to do.
*/}}
{{- define "myunisoft-exporter.validate" -}}
{{- include "myunisoft-exporter.validate.configuration" . -}}
{{- include "myunisoft-exporter.validate.directories" . -}}
{{- include "myunisoft-exporter.validate.storage" . -}}
{{- include "myunisoft-exporter.validate.web" . -}}
{{- include "myunisoft-exporter.validate.scrape" . -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- if and $budget.enabled (kindIs "invalid" $budget.minAvailable) (kindIs "invalid" $budget.maxUnavailable) -}}
{{- fail "podDisruptionBudget has neither minAvailable nor maxUnavailable: set one of them" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is empty: write at least one host, or set ingress.enabled to false" -}}
{{- end -}}
{{- end }}

{{- define "myunisoft-exporter.validate.configuration" -}}
{{- if and .Values.existingConfigMap .Values.existingConfigSecret -}}
{{- fail "existingConfigMap and existingConfigSecret are both set: keep one of them" -}}
{{- end -}}
{{- include "myunisoft-exporter.validate.inlineSecrets" (list "config" .Values.config) -}}
{{- range $name, $file := .Values.keyFiles -}}
{{- include "myunisoft-exporter.validate.inlineSecrets" (list (printf "keyFiles.%s" $name) $file) -}}
{{- end -}}
{{- end }}

{{/*
A ConfigMap is no place for a secret. Call it with (list NAME CONFIGURATION). Values of a wrong type are left to the
exporter, which names the line.
*/}}
{{- define "myunisoft-exporter.validate.inlineSecrets" -}}
{{- $place := index . 0 -}}
{{- $config := index . 1 -}}
{{- $remedy := "would be readable in a ConfigMap: put it into a Secret, list the Secret under existingSecrets, and name the file" -}}
{{- $api := get $config "api" -}}
{{- if kindIs "map" $api -}}
{{- if regexMatch "^[a-z]+://[^/]*@" (get $api "proxy_url" | toString) -}}
{{- fail (printf "%s.api.proxy_url contains a user, which would be readable in a ConfigMap: put the whole configuration into a Secret and name it in existingConfigSecret" $place) -}}
{{- end -}}
{{- end -}}
{{- $partners := get $config "partners" -}}
{{- range $p, $partner := ternary $partners list (kindIs "slice" $partners) -}}
{{- if kindIs "map" $partner -}}
{{- if hasKey $partner "secret" -}}
{{- fail (printf "%s.partners[%d].secret %s in secret_file" $place $p $remedy) -}}
{{- end -}}
{{- $keys := get $partner "keys" -}}
{{- range $k, $key := ternary $keys list (kindIs "slice" $keys) -}}
{{- if kindIs "map" $key -}}
{{- if hasKey $key "token" -}}
{{- fail (printf "%s.partners[%d].keys[%d].token %s in token_file" $place $p $k $remedy) -}}
{{- end -}}
{{- $login := get $key "login" -}}
{{- if kindIs "map" $login -}}
{{- if hasKey $login "password" -}}
{{- fail (printf "%s.partners[%d].keys[%d].login.password %s in password_file" $place $p $k $remedy) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/*
Two volumes cannot be mounted in one directory, and none inside a read-only one, where its directory cannot be created.
*/}}
{{- define "myunisoft-exporter.validate.directories" -}}
{{- $mounts := include "myunisoft-exporter.volumeMounts" . | fromYamlArray -}}
{{- $mounts = append $mounts (dict "name" "data" "mountPath" "/data") -}}
{{- range $i, $outer := $mounts -}}
{{- range $j, $inner := $mounts -}}
{{- $outerPath := printf "%s/" (trimSuffix "/" $outer.mountPath) -}}
{{- $innerPath := printf "%s/" (trimSuffix "/" $inner.mountPath) -}}
{{- $collide := or (eq $outerPath $innerPath) (and $outer.readOnly (hasPrefix $outerPath $innerPath)) -}}
{{- if and (ne $i $j) $collide -}}
{{- fail (printf "two volumes would be mounted in %s and in %s: give one of them another mountPath (existingSecrets, existingKeyFiles, extraVolumeMounts)" $outer.mountPath $inner.mountPath) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "myunisoft-exporter.validate.storage" -}}
{{- if and .Values.persistence.existingClaim (gt (int (include "myunisoft-exporter.pods" .)) 1) -}}
{{- fail "persistence.existingClaim is one volume, and each replica and each shard needs its own: set replicas and shards to 1, or leave existingClaim empty" -}}
{{- end -}}
{{- if and (gt (int .Values.shards) 1) (ne (int .Values.replicas) 1) -}}
{{- fail "shards and replicas are both set: a pod is either a shard or a replica; set one of them to 1 (for replicas of shards, install the chart once for each replica, with --replica and --replicas in extraArgs)" -}}
{{- end -}}
{{- if and (gt (int .Values.shards) 1) .Values.demo.enabled -}}
{{- fail "shards is set, and the demo is not divided: set shards to 1, or demo.enabled to false" -}}
{{- end -}}
{{- end }}

{{- define "myunisoft-exporter.validate.web" -}}
{{- if and .Values.web.config .Values.web.existingSecret -}}
{{- fail "web.config and web.existingSecret are both set: keep one of them" -}}
{{- end -}}
{{- $probes := or .Values.startupProbe .Values.livenessProbe .Values.readinessProbe -}}
{{- $tls := get .Values.web.config "tls_server_config" | default dict -}}
{{- if and $probes (has (get $tls "client_auth_type") (list "RequireAnyClientCert" "RequireClientCert" "RequireAndVerifyClientCert")) -}}
{{- fail "web.config.tls_server_config.client_auth_type requires a client certificate, and the kubelet has none: use VerifyClientCertIfGiven with basic_auth_users, or set startupProbe, livenessProbe and readinessProbe to null" -}}
{{- end -}}
{{- if and $probes .Values.web.config.basic_auth_users (not .Values.web.probesWithoutAuth) -}}
{{- fail "web.config.basic_auth_users is set, and the kubelet has no password: set web.probesWithoutAuth to true, or set startupProbe, livenessProbe and readinessProbe to null" -}}
{{- end -}}
{{- end }}

{{- define "myunisoft-exporter.validate.scrape" -}}
{{- if .Values.serviceMonitor.enabled -}}
{{- if and (include "myunisoft-exporter.tls" .) (not .Values.serviceMonitor.tlsConfig) -}}
{{- fail "the exporter serves HTTPS, and Prometheus connects to the address of a pod: set serviceMonitor.tlsConfig (serverName and ca, for example)" -}}
{{- end -}}
{{- if and .Values.web.config.basic_auth_users (not .Values.serviceMonitor.basicAuth) -}}
{{- fail "web.config.basic_auth_users is set: name the Secret with user and password in serviceMonitor.basicAuth" -}}
{{- end -}}
{{- end -}}
{{- end }}
