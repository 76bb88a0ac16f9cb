# The messages in English. Each message has its twin in fr/myunisoft-exporter.ftl.

## Verdicts about the API and the network

api-up = The API responds.
api-unprobed = The API has not been probed yet.
dns = The host name of the API, or of the proxy, cannot be resolved: { $detail }.
dns-action = Check the name resolution of this machine. The API may well work from another network.
connect = No connection to the API: { $detail }.
connect-action = Check the firewall, the proxy and the routing of this machine. If other networks fail too, the problem is at MyUnisoft.
io = The connection broke: { $detail }.
io-action = If it lasts, check the proxies and load balancers between this machine and the API.
redirect = The response is a redirect: { $detail }.
redirect-action = Check api.base_url, and whether a proxy here requires a log-in first.
foreign = The response does not come from the API: { $detail }.
foreign-action = Check whether a proxy or a captive portal responds instead of the API.
maintenance = MyUnisoft has announced maintenance.
maintenance-action = Wait until it ends. There is nothing to do on your side.
certificate-expired = The certificate of the API's host has expired.
certificate-expired-action = Check who issued the certificate. If it is MyUnisoft's, tell their support; if it comes from your own proxy, renew it there. Until then the exporter sends nothing, because the secrets would not be protected.
tls = The TLS connection to the API is not trusted: { $detail }.
tls-action = If your proxy decrypts TLS, set its certificate authority in api.ca_file. Otherwise find out who responds instead of the API.
timeout-of-api = The API accepts the request, but does not respond in time: { $detail }.
timeout-of-api-action = Wait. If it lasts, tell MyUnisoft's support: the network path to the API works, so the API is overloaded or hangs.
timeout-of-network = The API cannot be reached in time: { $detail }.
timeout-of-network-action = Check the firewall, the proxy and the routing of this machine: the request did not reach the API.
edge-of-api = MyUnisoft's side responds with an error that gives no cause: { $detail }.
edge = Something between this machine and the API responds instead of the API: { $detail }.
edge-action = Check api.base_url, your own proxy and your firewall first. If they are not the cause, it is MyUnisoft's load balancer.
api-fails = The API itself fails: { $detail }.
wait-action = Wait. If it lasts, tell MyUnisoft's support and quote the request ID.
health-refused = The API refuses this machine, which calls the health route without a key: { $code }.
health-refused-action = Ask MyUnisoft's support whether they block or limit the address of this machine, and quote the request ID.

## Verdicts about the exporter

no-resources = The exporter cannot probe: its machine has no file descriptors, ports, threads or memory left.
no-resources-action = Raise the limits of the exporter (open files, memory), or stop what uses them up. The data shown here is from before.
credential-missing = The exporter can't send anything with this key: { $detail }.
credential-missing-action = Repair the file or the variable that the configuration names, on the machine of the exporter. A file is read again at the next probe, a variable only after a restart.
credential-lost = The key works, but only with the last value that the exporter read: { $detail }.
credential-lost-action = Repair the file on the machine of the exporter before the exporter restarts: it keeps the last value in memory only.

## Verdicts about the partner's secret

secret-rejected = The API refuses the partner's secret, which it accepted before: { $code }.
secret-rejected-action = Ask MyUnisoft's support what happened to the secret, and quote the request ID: none of the partner's keys works without it.
secret-mismatch = The secret does not belong to this key: the API refuses the partner's secret with it, and accepts it otherwise ({ $code }).
secret-mismatch-action = Move the key to its own partner in the configuration: it needs the secret of the partner that it was made for. If it was made for this partner, ask MyUnisoft's support, and quote the request ID.
secret-pending = The API does not know the partner's secret, or does not know it yet: { $code }.
secret-pending-action = Compare the secret with the one that MyUnisoft issued. A new secret works when MyUnisoft has activated it.
secret-unreadable = The exporter can't read the secret of the partner: { $detail }.
secret-unreadable-action = Repair the file or the variable that the configuration names, on the machine of the exporter.
secret-lost = The exporter cannot read the partner's secret any more, and continues with the last value that it read: { $detail }.
partner-secret-rejected = The API refuses the partner's secret, which it accepted before. None of its keys works without it.
partner-secret-rejected-action = Ask MyUnisoft's support what happened to the secret, and quote the request ID.
partner-secret-pending = The API does not know the partner's secret, or does not know it yet.
secret-fine = Nothing is wrong with the secret.
secret-accepted-again = The API accepts the partner's secret since { $since }; { $number ->
    [one] the probe { $probes } has not run again yet
   *[other] the probes { $probes } have not run again yet
    }.

## Verdicts about a key

# What stands for an error code that is missing.
no-code = it gives no error code
# How to get another token; the end of a sentence.
new-token = have a new token generated in MyUnisoft ({ $screen }, the partner's card, Générer; the token is shown only once), and replace the old one with it
new-token-of-login = have the firm check its API Cabinet account: the token comes from a log-in, so none can be generated by hand
# A whole sentence.
journal = Journaux d'évènements on the partner's card ({ $screen }, Connectés) shows the same request ID.
key-works = The key works.
key-unprobed = The key has not been probed yet.
key-unproven = The probes succeed, but the responses have no request ID, because a proxy removes it. So they do not prove that the API accepts the key. key/info proves it.
key-unknown = The API has not said anything about the key yet.
key-works-again = The key works again since { $since }; { $number ->
    [one] the probe { $probes } has not run again yet
   *[other] the probes { $probes } have not run again yet
    }.
key-works-now = The key works since { $since }; { $number ->
    [one] the probe { $probes } has not run since then
   *[other] the probes { $probes } have not run since then
    }.
token-refused = The API refuses the token: { $code }.
token-refused-action = Check that the key is still under Connectés in MyUnisoft ({ $screen }). If it is not, { $new_token }.
activation-failed = The activation of the key failed at MyUnisoft ({ $code }).
pending = The key is not activated yet.
pending-action = Look for “En attente de connexion” in MyUnisoft ({ $screen }, Évènements), and wait: the key_info probe in mode extended activates a key. If the key stays like this for an hour, write to MyUnisoft's support, and quote the request ID.
not-found = The API does not know the token, and has never accepted it.
not-found-action = Check that the token was copied completely, and for this environment. If the key is not under Connectés in MyUnisoft ({ $screen }), it does not exist yet or was ended before: { $new_token }.
revoked = The key was revoked: the API no longer knows its token.
revoked-action = Ask the customer whether this was intended: Déconnecter on the partner's card ({ $screen }, Connectés) ends a key. To continue, { $new_token }.
disconnected = MyUnisoft's technical team has disconnected this integration.
disconnected-action = Ask MyUnisoft's support for the reason, and quote the request ID: the customer can't undo it. { $journal }
folder-not-found = There is no active folder behind the key.
folder-not-found-action = Ask the customer what happened to the folder: only MyUnisoft's support can bring back a folder that was archived or made inactive. To use another folder, { $new_token }.
invalid = The token is not valid.
invalid-action = Check that the value is a token, that it was copied completely, and that it is for this environment (api.base_url). Otherwise, { $new_token }.
forbidden = The key has no permission to use the API.
forbidden-action = Have the permission granted by the person who manages the folder or the firm in MyUnisoft ({ $screen }, the partner's card).
replacement = The key was refused, and the API has not accepted its present token yet.
replacement-action = Wait for the next probe. If it does not end this, compare the token with the one in MyUnisoft.
only-key-info = key/info accepts the key, but every canary is refused: { $refusals }.
only-key-info-action = Nothing can be read with this key, although MyUnisoft counts it as valid. Ask MyUnisoft's support for the cause, and quote the request ID. { $journal }
unconfirmed = The probe { $probe } says that the API refuses the key ({ $code }), and no probe is accepted. The state does not change, because no other probe confirms the refusal: { $others }.
unconfirmed-action = Check that the key is still under Connectés in MyUnisoft ({ $screen }). If it is not, { $new_token }. If it is, ask MyUnisoft's support for the cause, and quote the request ID.
undocumented-code = The API refuses the key with an error code that is not documented: { $code }.
undocumented-code-action = Ask MyUnisoft's support what the code means for this key, and quote the request ID.

## Verdicts about a log-in

login-refused = The log-in gives no token: { $detail }.
login-refused-action = Do what this text says; otherwise check the account's mail address, password and firm. After a change at MyUnisoft, reload the exporter by hand (SIGHUP or POST /-/reload): it does not keep retrying a refused log-in, so that the account is not locked.
login-token-ended = The token of the log-in ended early: { $detail }.
login-token-ended-action = Find out what else logs in with this account (another key, another program, the command probe), and give each its own account. The key itself may work.
login-route-fails = The log-in route itself fails: { $detail }.
login-route-fails-action = Wait. If it lasts, tell MyUnisoft's support. As far as is known, the account is not at fault.
login-unanswered = The log-in route gave no usable answer: { $detail }.
login-unanswered-action = Check api.auth_url, and the firewall and the proxy of this machine. As far as is known, the account is not at fault.

## Verdicts about the request budget

concurrent = Too many requests of the key run at the same time.
concurrent-action = Find out what sends them: the exporter sends one request at a time, in addition to the customer's production traffic.
rate-limited = The key's request budget is used up.
rate-limited-action = Find out what uses it up: the probes share it with the customer's production traffic. Longer intervals leave more of it.
skipped = The key is not probed, to leave the rest of its request budget to production traffic.
skipped-action = Find out what uses the budget up. The probes continue when enough of it is left (rate_limit.keep_free).

## Verdicts about one route

route-forbidden = The key may not call the route of the probe { $probe }.
route-forbidden-key-works = The key works, but may not call the route of the probe { $probe }.
route-forbidden-action = Have the permission for this route added to the key in MyUnisoft ({ $screen }, the partner's card), or configure another canary for the key.
route-forbidden-key-info-action = Have the permission for key/info added to the key in MyUnisoft ({ $screen }, the partner's card), or turn this probe off (key_info: {"{"}mode: off{"}"}).
contradicted = { $only ->
    [true] Only the route
   *[false] The route
    } of the probe { $probe } refuses the { $object ->
    [secret] partner's secret
   *[key] key
    } ({ $code }); the API accepts it for { $accepted }.
contradicted-action = Check the canary's path and society. If both are right, ask MyUnisoft's support why this route refuses the key, and quote the request ID.
contradicted-key-info-action = Ask MyUnisoft's support why key/info refuses a key that other routes accept, and quote the request ID.
unfit-canary = The route of the probe { $probe } does not answer as a canary must: { $detail }.
unfit-canary-action = Configure a GET route that answers JSON, and no route that answers a file (canaries, in the configuration). If this route answered JSON before, ask MyUnisoft's support, and quote the request ID.
route-refuses = The route of the probe { $probe } refuses the request: { $code }.
route-refuses-action = Check the canary's path and society: the route itself refuses the request. If both are right, ask MyUnisoft's support what the code means, and quote the request ID.
societe12 = The customer's folder is inactive: its billing formula is “Inactif” (SOCIETE12).
societe12-action = Ask the customer whether this was intended. Only MyUnisoft's support can make the folder active again: the customer writes to them, and quotes the request ID.
societe13 = No billing formula was chosen for the customer's folder (SOCIETE13).
societe13-action = Have the firm choose one for this folder in MyUnisoft. If it can't, ask MyUnisoft's support, and quote the request ID.
route-token = The route of the probe { $probe } can't use the token: it calls it unreadable or expired ({ $code }).
route-token-action = If other probes of the key succeed, ask MyUnisoft's support why this route refuses the token, and quote the request ID. Otherwise, { $new_token }.
route-right = The key has no right for what the route of the probe { $probe } does ({ $code }).
route-right-action = Have the right added in MyUnisoft by the manager of the folder or firm ({ $screen }, the partner's card), or configure another canary for the key.
gbl1 = The route of the probe { $probe } fails: GBL1, MyUnisoft's code for a general failure.
gbl2 = The route of the probe { $probe } refuses a date in its path (GBL2).
gbl2-action = Correct the date in the canary's path (canaries, in the configuration), or configure another canary.
exercice5 = The route of the probe { $probe } refuses the request because of the fiscal year (EXERCICE5).
exercice5-action = Check the fiscal year in the canary's path, and the folder's fiscal years in MyUnisoft. Otherwise configure another canary.

## The pages

uptime = Uptime, last 24 hours
latency-by-phase = Latency by phase
averages = 15-minute averages, last 24 hours
uptime-label = { $succeeded } probes succeeded, { $failed } failed, { $maintenance } were in announced maintenance
objective = objective { $ratio }
error-budget = Error budget
last-probe = Last probe
certificate-expires = Certificate expires
exporter-started = Exporter started
availability-unknown = Availability, no probe yet
availability-of-a-day = Availability, last 24 hours
availability-of = Availability, last { $window }
budget-failed = { $failed } of { $counted } probes failed; 1 in { $allowed } may fail.
used-up = used up
left = { $ratio } left
error-budget-left = Error budget left
unreadable = unreadable
secret-of = The secret of { $partner }
request-id = request ID
changed-lately = What changed lately
nothing-changed = Nothing changed since this exporter began to watch.
filter-the-keys = Filter the keys
state = State
any = any
partner = Partner
key-or-label = Key or label
filter = Filter
clear = Clear
keys-by-state = Keys by state
in-total = in total
need-someone = { $keys ->
    [one] { $keys } needs someone
   *[other] { $keys } need someone
    }
request-id-to-quote = Request ID to quote:
availability-in = availability { $ratio } in the last { $window }
needs-keys = { $keys ->
    [one] { $keys } key needs
   *[other] { $keys } keys need
    } someone.
needs-partners = { $partners ->
    [one] { $partners } partner needs
   *[other] { $partners } partners need
    } someone.
needs-both = { $partners ->
    [one] { $partners } partner
   *[other] { $partners } partners
    } and { $keys ->
    [one] { $keys } key
   *[other] { $keys } keys
    } need someone.
needs-keys-and-partners = { $keys ->
    [one] { $keys } key
   *[other] { $keys } keys
    } and { $partners ->
    [one] { $partners } partner need someone.
   *[other] { $partners } partners need someone.
    }
all-keys-work = { $keys ->
    [one] The only key works.
   *[other] All { $keys } keys work.
    }
not-answered-yet = { $keys ->
    [one] The API has not answered about { $keys } key yet: its last known state is shown.
   *[other] The API has not answered about { $keys } keys yet: their last known state is shown.
    }
no-key = No key is configured.
no-key-needs = No key needs anyone.
api-is-up = The API is up.
api-is-down = The API is down.
api-is-in-maintenance = The API is in announced maintenance.
api-state = { $state ->
    [up] API up
    [down] API down
   *[maintenance] API in maintenance
    } { $changed ->
    [true] for
   *[false] for at least
    } { $span }, since
api-not-probed = API not probed yet
keys-working = { $working } of { $keys ->
    [one] { $keys } key work
   *[other] { $keys } keys work
    }
keys-affected = { $keys } affected by another fault
keys-waiting = { $keys } waiting for a verdict or for activation
trail = Trail
all-keys = All keys
key-as-json = This key as JSON
key-title = { $key } of { $partner }: { $state }
of-partner = of { $partner }
state-since = State since
state-since-at-least = State since at least
broken-since = Broken since
broken-since-at-least = Broken since at least
access = Access
partners-secret = Partner's secret
budget-used = Request budget used by probes
budget-left = Request budget left
token-expires = Token expires
api-certificate-expires = API's certificate expires
never = never
schema = Schema
third-party = Third party
society = Society
version = Version
routes = Routes
version-of = { $version } (newest: { $latest })
probes = Probes
no-probe = No probe is configured for this key.
probe = Probe
last-run = Last run
when = When
interval = Interval
runs = Runs
failed = Failed
runs-skipped = Skipped
episode = Failure episode
result = Result
duration = Duration
phases = Phases
request-id-title = Request ID
ok = ok
has-failed = failed
not-run = not run
recent-probes = Recent probes
no-probe-ran = No probe ran yet.
life = Life of the key
life-empty = Its state has not changed since this exporter began to watch it.
key = Key
labels = Labels
budget = Budget
same-problem = Same problem as the API.
no-key-only-api = No key is configured: only the API is monitored.
no-match = No key matches the filter.
listed = { $keys ->
    [one] { $keys } key
   *[other] { $keys } keys
    }, the most severe problems first.
listed-on-pages = { $keys ->
    [one] { $keys } key
   *[other] { $keys } keys
    }, the most severe problems first: page { $page } of { $pages }.
pages = Pages
previous = ← Previous
next = Next →
page-of = Page { $page } of { $pages }
exporter-problems = Problems of this exporter
config-errors = Errors of the configuration
not-reloaded = The configuration was not reloaded.
correct-this = The previous configuration stays in use. Correct this:
not-saved = The states cannot be saved to disk.
not-saved-action = A restart now would forget what changed since then. Check the space and the permissions of the storage directory:
not-restored = The history of keys is not restored from Prometheus.
not-restored-action = Until it is, a key that MyUnisoft refuses counts as one that never worked. Check the flags --restore.… and Prometheus:
credentials-unreadable = { $number ->
    [1] One credential cannot be read.
   *[other] { $number } credentials cannot be read.
    }
last-value-serves = The last value that was read still serves; a restart would lose it.
nothing-can-be-sent = Without it, nothing can be sent.
and-more = And { $number } more: see the JSON.
needs-someone-now = Needs someone now
nobody = Nobody: no key and no secret has a problem of its own.
all-other-keys = All other keys
keys = Keys
all-needing = All { $number } keys that need someone
partners = Partners ({ $number })
secret = Secret
since = Since
states = States
partners-shown = The { $number } partners with the most severe problems are shown. Filter by name to see others.
keys-failing = { $number } failing
affected = affected
failing = failing
since-span = for { $span }
since-span-at-least = for at least { $span }
first-seen = first seen
since-when = since
copy = Copy
what-to-do = What to do:
number-of = { $part } of { $whole }
status-in = { $status } in { $latency }
nothing-sent = nothing sent
no-response = no response; ended after { $latency }
slot-succeeded = { $time } UTC: { $number } succeeded
slot-failed = { $number } failed
slot-reason = (first reason: { $reason })
slot-maintenance = { $number } in announced maintenance
on-average = { $time } UTC, on average { $durations }
last-probes = { $number ->
    [0] No probe yet
    [1] Last probe
   *[other] Last { $number } probes
    }
succeeded = succeeded
colon = :
no-measurements = No measurements yet.
latency-up-to = Latency by phase, up to { $latency }
sparkline = { $number ->
    [one] { $number } probe
   *[other] { $number } probes
    }, { $failures } failed
results = Results
day-ago = 24 h ago
now = now,
key-state-unknown = unknown
key-state-pending = pending
key-state-active = active
key-state-not-found = not_found
key-state-revoked = revoked
key-state-disconnected = disconnected
key-state-folder-not-found = folder_not_found
key-state-invalid = invalid
key-state-forbidden = forbidden
secret-state-unknown = unknown
secret-state-pending = pending
secret-state-active = active
secret-state-rejected = rejected
api-state-unknown = unknown
api-state-up = up
api-state-down = down
api-state-maintenance = maintenance
blame-platform = platform
blame-network = network
blame-secret = secret
blame-key = key
blame-route = route
blame-budget = budget
blame-exporter = exporter
access-society = society
access-firm = firm
just-now = just now
ago = { $span } ago
in = in { $span }
skip = Skip to the content
pause = Pause
languages = Languages
metrics = Metrics
service-discovery = Service discovery
health = Health
readiness = Readiness
endpoints = Endpoints
error = Error
not-shown = This page cannot be shown
no-such-state = the parameter state is not a state of a key; use one of { $states }
no-such-key = no key with these names is configured; use ?partner=…&key=…

## A mail to the customer

mail = A mail to the customer, to copy
mail-no-id = none is known
mail-greeting = Hello,
mail-end = Kind regards,
mail-pending = Your key { $key } has been waiting for its activation in MyUnisoft (En attente de connexion) since { $date }. You have nothing to do: our software tries to activate it. If it keeps waiting, we will write to MyUnisoft's support (request ID: { $id }). Please do not generate another key.
mail-not-found = MyUnisoft does not know your key { $key }. Could you check that it is under Connectés, in Paramètres > Connecteurs dossier (or Connecteurs cabinet)? If it is not, please generate a new one on our card, with the button Générer, and send it to us completely on the usual secure way, not by mail.
mail-revoked = Your key { $key } was revoked on { $date }: we no longer have access to your data in MyUnisoft, and the exchange has stopped. If this was intended, please tell us. Otherwise, generate a new key in MyUnisoft, under Paramètres > Connecteurs dossier (or Connecteurs cabinet), on our card, with the button Générer. It is shown only once: send it to us on the usual secure way, not by mail.
mail-disconnected = MyUnisoft's technical team disconnected our integration for your key { $key } on { $date }. You have nothing to do: we are asking their support for the reason (request ID: { $id }), and will come back to you.
mail-folder-not-found = Since { $date }, there is no active folder behind your key { $key }. Was the folder archived, or was its billing formula set to “Inactif”? If this was not intended, please write to MyUnisoft's support (request ID: { $id }): only they can bring it back. If the exchange is to continue with another folder, please generate a new key there.
mail-invalid = MyUnisoft has refused your key { $key } as not valid since { $date }: it was probably copied incompletely. MyUnisoft shows a key only once. If you no longer have it, please generate a new one on our card, with the button Générer, and send it to us completely on the usual secure way, not by mail.
mail-forbidden = Since { $date }, your key { $key } has had no permission to use MyUnisoft's API. The manager of the folder or firm can grant it in Paramètres > Connecteurs dossier (or Connecteurs cabinet), on our card. No other key is needed.

## Shards

shard = Shard { $ordinal } of { $total }, counted from 0: { $keys } of { $fleet } keys
remembered-by-prometheus = Prometheus remembers this state; the API has not answered about the key yet.

## Demo

demo = Demo
demo-simulated = Demo: the API and its keys are simulated.
demo-now = It is { $time }.
demo-next = At { $time }, { $event } (in { $wait } s).
demo-activated = lefebvre's key will be activated
demo-revoked = moreau's key will be revoked
demo-busy = production traffic will use up the request budget of girard's key
demo-restored = moreau's key will work again
demo-quiet = girard's production traffic will end
demo-slow = the API will become slow
demo-fast = the API will be fast again
demo-maintenance = announced maintenance will begin
demo-maintenance-ends = the maintenance will end
demo-proxy = a proxy in front of the API will respond with status 502
demo-proxy-ends = the proxy will forward requests again
demo-generated = lefebvre's key will be generated again, and will wait for its activation
demo-again = all of this will begin again
