# Les messages en français, avec les mots des écrans de MyUnisoft. Une espace insécable précède : ; ? ! et entoure le texte
# entre guillemets.

## L'API et le réseau

api-up = L'API répond.
api-unprobed = L'API n'a pas encore été sondée.
dns = Le nom d'hôte de l'API, ou du proxy, ne peut pas être résolu : { $detail }.
dns-action = Vérifiez la résolution de noms (DNS) de cette machine. L'API fonctionne peut-être depuis un autre réseau.
connect = Aucune connexion à l'API : { $detail }.
connect-action = Vérifiez le pare-feu, le proxy et le routage de cette machine. Si la connexion échoue aussi depuis d'autres réseaux, le problème est chez MyUnisoft.
io = La connexion a été coupée : { $detail }.
io-action = Si cela dure, vérifiez les proxys et les répartiteurs de charge entre cette machine et l'API.
redirect = La réponse est une redirection : { $detail }.
redirect-action = Vérifiez api.base_url, et si un proxy de votre réseau demande d'abord une connexion.
foreign = La réponse ne vient pas de l'API : { $detail }.
foreign-action = Vérifiez si un proxy ou un portail captif répond à la place de l'API.
maintenance = MyUnisoft a annoncé une maintenance.
maintenance-action = Attendez qu'elle se termine. Vous n'avez rien à faire de votre côté.
certificate-expired = Le certificat de l'hôte de l'API a expiré.
certificate-expired-action = Vérifiez qui a émis le certificat. S'il est de MyUnisoft, prévenez leur support ; s'il vient de votre propre proxy, renouvelez-le. En attendant, l'exporteur n'envoie rien, car les secrets ne seraient pas protégés.
tls = La connexion TLS à l'API n'est pas fiable : { $detail }.
tls-action = Si votre proxy déchiffre TLS, indiquez son autorité de certification dans api.ca_file. Sinon, cherchez qui répond à la place de l'API.
timeout-of-api = L'API accepte la requête, mais ne répond pas à temps : { $detail }.
timeout-of-api-action = Attendez. Si cela dure, prévenez le support de MyUnisoft : le chemin réseau vers l'API fonctionne, donc l'API est surchargée ou bloquée.
timeout-of-network = L'API ne peut pas être jointe à temps : { $detail }.
timeout-of-network-action = Vérifiez le pare-feu, le proxy et le routage de cette machine : la requête n'est pas arrivée jusqu'à l'API.
edge-of-api = MyUnisoft répond par une erreur qui n'indique aucune cause : { $detail }.
edge = Un équipement intermédiaire, entre cette machine et l'API, répond à la place de l'API : { $detail }.
edge-action = Vérifiez d'abord api.base_url, votre propre proxy et votre pare-feu. S'ils ne sont pas en cause, c'est le répartiteur de charge de MyUnisoft.
api-fails = L'API elle-même est en erreur : { $detail }.
wait-action = Attendez. Si cela dure, prévenez le support de MyUnisoft en citant le request-id.
health-refused = L'API refuse cette machine, qui appelle la route de santé sans clé : { $code }.
health-refused-action = Demandez au support de MyUnisoft s'il bloque ou limite l'adresse de cette machine, en citant le request-id.

## L'exporteur

no-resources = L'exporteur ne peut pas sonder : sa machine n'a plus de descripteurs de fichiers, de ports, de threads ou de mémoire.
no-resources-action = Augmentez les limites de l'exporteur (fichiers ouverts, mémoire), ou arrêtez ce qui les épuise. Les données affichées ici sont antérieures.
credential-missing = L'exporteur ne peut rien envoyer avec cette clé : { $detail }.
credential-missing-action = Réparez le fichier ou la variable que nomme la configuration, sur la machine de l'exporteur. Un fichier est relu à la prochaine sonde, une variable seulement après un redémarrage.
credential-lost = La clé fonctionne, mais seulement avec la dernière valeur que l'exporteur a lue : { $detail }.
credential-lost-action = Réparez le fichier sur la machine de l'exporteur avant de redémarrer l'exporteur : il ne garde la dernière valeur qu'en mémoire.

## La clé secrète du partenaire

secret-rejected = L'API refuse la clé secrète du partenaire, qu'elle acceptait auparavant : { $code }.
secret-rejected-action = Demandez au support de MyUnisoft ce qu'est devenue la clé secrète, en citant le request-id : aucune clé du partenaire ne fonctionne sans elle.
secret-mismatch = La clé secrète ne correspond pas à cette clé : l'API refuse la clé secrète du partenaire avec cette clé, et l'accepte par ailleurs ({ $code }).
secret-mismatch-action = Dans la configuration, déplacez la clé sous son propre partenaire : elle a besoin de la clé secrète du partenaire pour lequel elle a été générée. Si elle a été générée pour ce partenaire, interrogez le support de MyUnisoft en citant le request-id.
secret-pending = L'API ne connaît pas la clé secrète du partenaire, ou ne la connaît pas encore : { $code }.
secret-pending-action = Comparez la clé secrète avec celle que MyUnisoft vous a remise. Une nouvelle clé secrète fonctionne une fois que MyUnisoft l'a activée.
secret-unreadable = L'exporteur ne peut pas lire la clé secrète du partenaire : { $detail }.
secret-unreadable-action = Réparez le fichier ou la variable que nomme la configuration, sur la machine de l'exporteur.
secret-lost = L'exporteur ne peut plus lire la clé secrète du partenaire, et continue avec la dernière valeur qu'il a lue : { $detail }.
partner-secret-rejected = L'API refuse la clé secrète du partenaire, qu'elle acceptait auparavant. Aucune de ses clés ne fonctionne sans elle.
partner-secret-rejected-action = Demandez au support de MyUnisoft ce qu'est devenue la clé secrète, en citant le request-id.
partner-secret-pending = L'API ne connaît pas la clé secrète du partenaire, ou ne la connaît pas encore.
secret-fine = La clé secrète ne pose aucun problème.
secret-accepted-again = L'API accepte la clé secrète du partenaire depuis le { $since } ; { $number ->
    [one] la sonde { $probes } n'a pas encore été relancée
   *[other] les sondes { $probes } n'ont pas encore été relancées
    }.

## Une clé

no-code = sans code d'erreur
new-token = faites générer un nouveau jeton dans MyUnisoft ({ $screen }, carte du partenaire, Générer ; le jeton n'est affiché qu'une fois), et remplacez l'ancien par celui-ci
new-token-of-login = demandez au cabinet de vérifier son compte API Cabinet : le jeton vient d'une connexion, il ne peut donc pas être généré à la main
journal = Les Journaux d'évènements de la carte du partenaire ({ $screen }, Connectés) montrent le même request-id.
key-works = La clé fonctionne.
key-unprobed = La clé n'a pas encore été sondée.
key-unproven = Les sondes réussissent, mais les réponses n'ont pas de request-id, parce qu'un proxy le supprime. Elles ne prouvent donc pas que l'API accepte la clé. key/info le prouve.
key-unknown = L'API n'a encore rien dit de la clé.
key-works-again = La clé fonctionne de nouveau depuis le { $since } ; { $number ->
    [one] la sonde { $probes } n'a pas encore été relancée
   *[other] les sondes { $probes } n'ont pas encore été relancées
    }.
key-works-now = La clé fonctionne depuis le { $since } ; { $number ->
    [one] la sonde { $probes } n'a pas été relancée depuis
   *[other] les sondes { $probes } n'ont pas été relancées depuis
    }.
token-refused = L'API refuse le jeton : { $code }.
token-refused-action = Vérifiez que la clé est toujours sous Connectés dans MyUnisoft ({ $screen }). Si elle n'y est plus, { $new_token }.
activation-failed = L'activation de la clé a échoué chez MyUnisoft ({ $code }).
pending = La clé n'est pas encore activée.
pending-action = Cherchez « En attente de connexion » dans MyUnisoft ({ $screen }, Évènements), et attendez : la sonde key_info en mode extended active une clé. Si la clé reste ainsi pendant une heure, écrivez au support de MyUnisoft en citant le request-id.
not-found = L'API ne connaît pas le jeton, et ne l'a jamais accepté.
not-found-action = Vérifiez que le jeton a été copié en entier, et pour cet environnement. Si la clé n'est pas sous Connectés dans MyUnisoft ({ $screen }), elle n'existe pas encore ou a été déconnectée auparavant : { $new_token }.
revoked = La clé a été révoquée : l'API ne connaît plus son jeton.
revoked-action = Demandez au client si c'était voulu : Déconnecter, sur la carte du partenaire ({ $screen }, Connectés), met fin à une clé. Pour continuer, { $new_token }.
disconnected = L'équipe technique de MyUnisoft a déconnecté cette intégration.
disconnected-action = Demandez pourquoi au support de MyUnisoft, en citant le request-id : le client ne peut pas annuler cette déconnexion. { $journal }
folder-not-found = Aucun dossier actif ne correspond à la clé.
folder-not-found-action = Demandez au client ce qu'est devenu le dossier : seul le support de MyUnisoft peut rétablir un dossier archivé ou rendu inactif. Pour utiliser un autre dossier, { $new_token }.
invalid = Le jeton n'est pas valide.
invalid-action = Vérifiez que la valeur est un jeton, qu'il a été copié en entier, et qu'il est pour cet environnement (api.base_url). Sinon, { $new_token }.
forbidden = La clé n'a pas l'autorisation d'utiliser l'API.
forbidden-action = Faites accorder l'autorisation par le responsable du dossier ou du cabinet dans MyUnisoft ({ $screen }, carte du partenaire).
replacement = La clé a été refusée, et l'API n'a pas encore accepté son jeton actuel.
replacement-action = Attendez la prochaine sonde. Si elle n'y change rien, comparez le jeton avec celui de MyUnisoft.
only-key-info = key/info accepte la clé, mais toutes les sondes témoins sont refusées : { $refusals }.
only-key-info-action = Cette clé ne permet de rien lire, bien que MyUnisoft la considère comme valide. Demandez-en la cause au support de MyUnisoft, en citant le request-id. { $journal }
unconfirmed = Selon la sonde { $probe }, l'API refuse la clé ({ $code }), et aucune sonde n'est acceptée. L'état ne change pas, car aucune autre sonde ne confirme le refus : { $others }.
unconfirmed-action = Vérifiez que la clé est toujours sous Connectés dans MyUnisoft ({ $screen }). Si elle n'y est plus, { $new_token }. Si elle y est, demandez-en la cause au support de MyUnisoft, en citant le request-id.
undocumented-code = L'API refuse la clé avec un code d'erreur qui n'est pas documenté : { $code }.
undocumented-code-action = Demandez au support de MyUnisoft ce que ce code signifie pour cette clé, en citant le request-id.

## La connexion d'un compte API Cabinet

login-refused = La connexion ne donne pas de jeton : { $detail }.
login-refused-action = Faites ce qu'indique ce texte ; sinon, vérifiez l'adresse e-mail, le mot de passe et le cabinet du compte. Après un changement chez MyUnisoft, rechargez l'exporteur à la main (SIGHUP ou POST /-/reload) : il ne répète pas une connexion refusée, pour que le compte ne soit pas bloqué.
login-token-ended = Le jeton de la connexion a pris fin trop tôt : { $detail }.
login-token-ended-action = Cherchez ce qui se connecte aussi avec ce compte (une autre clé, un autre programme, la commande probe), et donnez à chacun son propre compte. La clé elle-même fonctionne peut-être.
login-route-fails = La route de connexion elle-même est en erreur : { $detail }.
login-route-fails-action = Attendez. Si cela dure, prévenez le support de MyUnisoft. Pour autant qu'on le sache, le compte n'est pas en cause.
login-unanswered = La route de connexion n'a donné aucune réponse utilisable : { $detail }.
login-unanswered-action = Vérifiez api.auth_url, ainsi que le pare-feu et le proxy de cette machine. Pour autant qu'on le sache, le compte n'est pas en cause.

## Le quota de requêtes

concurrent = Trop de requêtes de la clé sont en cours en même temps.
concurrent-action = Cherchez ce qui les envoie : l'exporteur envoie une requête à la fois, en plus du trafic de production du client.
rate-limited = Le quota de requêtes de la clé est épuisé.
rate-limited-action = Cherchez ce qui l'épuise : les sondes le partagent avec le trafic de production du client. Des intervalles plus longs en laissent davantage.
skipped = La clé n'est pas sondée, pour laisser le reste de son quota de requêtes au trafic de production.
skipped-action = Cherchez ce qui épuise le quota. Les sondes reprennent quand il en reste assez (rate_limit.keep_free).

## Une seule route

route-forbidden = La clé n'a pas le droit d'appeler la route de la sonde { $probe }.
route-forbidden-key-works = La clé fonctionne, mais n'a pas le droit d'appeler la route de la sonde { $probe }.
route-forbidden-action = Faites ajouter à la clé l'autorisation pour cette route dans MyUnisoft ({ $screen }, carte du partenaire), ou configurez une autre sonde témoin pour la clé.
route-forbidden-key-info-action = Faites ajouter à la clé l'autorisation pour key/info dans MyUnisoft ({ $screen }, carte du partenaire), ou désactivez cette sonde (key_info: {"{"}mode: off{"}"}).
contradicted = { $only ->
    [true] Seule la route
   *[false] La route
    } de la sonde { $probe } refuse { $object ->
    [secret] la clé secrète du partenaire
   *[key] la clé
    } ({ $code }) ; l'API l'accepte pour { $accepted }.
contradicted-action = Vérifiez le chemin et la société de la sonde témoin. Si les deux sont corrects, demandez au support de MyUnisoft pourquoi cette route refuse la clé, en citant le request-id.
contradicted-key-info-action = Demandez au support de MyUnisoft pourquoi key/info refuse une clé que d'autres routes acceptent, en citant le request-id.
unfit-canary = La route de la sonde { $probe } ne répond pas comme le doit une sonde témoin : { $detail }.
unfit-canary-action = Configurez une route GET qui répond en JSON, et non une route qui répond par un fichier (canaries, dans la configuration). Si cette route répondait en JSON auparavant, interrogez le support de MyUnisoft en citant le request-id.
route-refuses = La route de la sonde { $probe } refuse la requête : { $code }.
route-refuses-action = Vérifiez le chemin et la société de la sonde témoin : c'est la route elle-même qui refuse la requête. Si les deux sont corrects, demandez au support de MyUnisoft ce que ce code signifie, en citant le request-id.
societe12 = Le dossier du client est inactif : sa formule de facturation est « Inactif » (SOCIETE12).
societe12-action = Demandez au client si c'était voulu. Seul le support de MyUnisoft peut réactiver le dossier : le client lui écrit en citant le request-id.
societe13 = Aucune formule de facturation n'a été choisie pour le dossier du client (SOCIETE13).
societe13-action = Demandez au cabinet d'en choisir une pour ce dossier dans MyUnisoft. S'il ne le peut pas, interrogez le support de MyUnisoft en citant le request-id.
route-token = La route de la sonde { $probe } ne peut pas utiliser le jeton : elle le dit illisible ou expiré ({ $code }).
route-token-action = Si d'autres sondes de la clé réussissent, demandez au support de MyUnisoft pourquoi cette route refuse le jeton, en citant le request-id. Sinon, { $new_token }.
route-right = La clé n'a pas de droit sur ce que fait la route de la sonde { $probe } ({ $code }).
route-right-action = Faites ajouter ce droit dans MyUnisoft par le responsable du dossier ou du cabinet ({ $screen }, carte du partenaire), ou configurez une autre sonde témoin pour la clé.
gbl1 = La route de la sonde { $probe } est en erreur : GBL1, le code de MyUnisoft pour une erreur générale.
gbl2 = La route de la sonde { $probe } refuse une date de son chemin (GBL2).
gbl2-action = Corrigez la date dans le chemin de la sonde témoin (canaries, dans la configuration), ou configurez une autre sonde témoin.
exercice5 = La route de la sonde { $probe } refuse la requête à cause de l'exercice (EXERCICE5).
exercice5-action = Vérifiez l'exercice dans le chemin de la sonde témoin, et les exercices du dossier dans MyUnisoft. Sinon, configurez une autre sonde témoin.

## Les pages

uptime = Disponibilité, dernières 24 heures
latency-by-phase = Latence par phase
averages = Moyennes sur 15 minutes, dernières 24 heures
uptime-label = { $succeeded } sondes réussies, { $failed } en échec, { $maintenance } en maintenance annoncée
objective = objectif { $ratio }
error-budget = Budget d'erreur
last-probe = Dernière sonde
certificate-expires = Expiration du certificat
exporter-started = Exporteur démarré
availability-unknown = Disponibilité, aucune sonde
availability-of-a-day = Disponibilité, dernières 24 heures
availability-of = Disponibilité, sur { $window }
budget-failed = { $failed } sondes sur { $counted } en échec ; 1 sur { $allowed } peut échouer.
used-up = épuisé
left = reste { $ratio }
error-budget-left = Budget d'erreur restant
unreadable = illisible
secret-of = La clé secrète de { $partner }
request-id = request-id
changed-lately = Changements récents
nothing-changed = Rien n'a changé depuis que cet exporteur surveille.
filter-the-keys = Filtrer les clés
state = État
any = tous
partner = Partenaire
key-or-label = Clé ou étiquette
filter = Filtrer
clear = Effacer
keys-by-state = Clés par état
in-total = au total
need-someone = { $keys } à traiter
request-id-to-quote = Request-id à citer :
availability-in = disponibilité de { $ratio } sur { $window }
needs-keys = { $keys ->
    [one] { $keys } clé est à traiter.
   *[other] { $keys } clés sont à traiter.
    }
needs-partners = { $partners ->
    [one] { $partners } partenaire est à traiter.
   *[other] { $partners } partenaires sont à traiter.
    }
needs-both = { $partners ->
    [one] { $partners } partenaire
   *[other] { $partners } partenaires
    } et { $keys ->
    [one] { $keys } clé
   *[other] { $keys } clés
    } sont à traiter.
needs-keys-and-partners = { $keys ->
    [one] { $keys } clé
   *[other] { $keys } clés
    } et { $partners ->
    [one] { $partners } partenaire sont à traiter.
   *[other] { $partners } partenaires sont à traiter.
    }
all-keys-work = { $keys ->
    [one] La seule clé fonctionne.
   *[other] Les { $keys } clés fonctionnent toutes.
    }
not-answered-yet = { $keys ->
    [one] L'API n'a pas encore répondu au sujet de { $keys } clé : son dernier état connu est affiché.
   *[other] L'API n'a pas encore répondu au sujet de { $keys } clés : leur dernier état connu est affiché.
    }
no-key = Aucune clé n'est configurée.
no-key-needs = Aucune clé n'est à traiter.
api-is-up = L'API fonctionne.
api-is-down = L'API est en panne.
api-is-in-maintenance = L'API est en maintenance annoncée.
api-state = { $state ->
    [up] API en service
    [down] API en panne
   *[maintenance] API en maintenance
    } depuis { $changed ->
    [true] {""}
   *[false] au moins{" "}
    }{ $span }, à partir de
api-not-probed = API pas encore sondée
keys-working = { $working } sur { $keys ->
    [one] { $keys } clé en service
   *[other] { $keys } clés en service
    }
keys-affected = { $keys ->
    [one] { $keys } touchée
   *[other] { $keys } touchées
    } par un autre problème
keys-waiting = { $keys } en attente de diagnostic ou d'activation
trail = Fil d'Ariane
all-keys = Toutes les clés
key-as-json = Cette clé en JSON
key-title = { $key } de { $partner } : { $state }
of-partner = de { $partner }
state-since = Dans cet état depuis
state-since-at-least = Dans cet état au moins depuis
broken-since = En panne depuis
broken-since-at-least = En panne au moins depuis
access = Accès
partners-secret = Clé secrète du partenaire
budget-used = Quota de requêtes utilisé par les sondes
budget-left = Quota de requêtes restant
token-expires = Expiration du jeton
api-certificate-expires = Expiration du certificat de l'API
never = jamais
schema = Schéma
third-party = Numéro de partenaire
society = Société
version = Version
routes = Routes
version-of = { $version } (dernière : { $latest })
probes = Sondes
no-probe = Aucune sonde n'est configurée pour cette clé.
probe = Sonde
last-run = Dernière exécution
when = Quand
interval = Intervalle
runs = Exécutions
failed = Échecs
runs-skipped = Omises
episode = Épisode d'échec
result = Résultat
duration = Durée
phases = Phases
request-id-title = Request-id
ok = réussie
has-failed = en échec
not-run = non exécutée
recent-probes = Sondes récentes
no-probe-ran = Aucune sonde n'a encore été exécutée.
life = Vie de la clé
life-empty = Son état n'a pas changé depuis que cet exporteur la surveille.
key = Clé
labels = Étiquettes
budget = Quota
same-problem = Même problème que l'API.
no-key-only-api = Aucune clé n'est configurée : seule l'API est surveillée.
no-match = Aucune clé ne correspond au filtre.
listed = { $keys ->
    [one] { $keys } clé
   *[other] { $keys } clés
    }, les problèmes les plus graves d'abord.
listed-on-pages = { $keys ->
    [one] { $keys } clé
   *[other] { $keys } clés
    }, les problèmes les plus graves d'abord : page { $page } sur { $pages }.
pages = Pages
previous = ← Précédente
next = Suivante →
page-of = Page { $page } sur { $pages }
exporter-problems = Problèmes de cet exporteur
config-errors = Erreurs de la configuration
not-reloaded = La configuration n'a pas été rechargée.
correct-this = La configuration précédente reste en service. Corrigez ceci :
not-saved = Les états ne peuvent pas être enregistrés sur le disque.
not-saved-action = Un redémarrage oublierait ce qui a changé depuis. Vérifiez l'espace et les droits du répertoire de stockage :
not-restored = L'historique des clés n'est pas restauré depuis Prometheus.
not-restored-action = En attendant, une clé que MyUnisoft refuse compte comme une clé qui n'a jamais fonctionné. Vérifiez les options --restore.… et Prometheus :
credentials-unreadable = { $number ->
    [1] Un jeton, une clé secrète ou un mot de passe est illisible.
   *[other] { $number } jetons, clés secrètes ou mots de passe sont illisibles.
    }
last-value-serves = La dernière valeur lue sert encore ; un redémarrage la perdrait.
nothing-can-be-sent = Sans elle, rien ne peut être envoyé.
and-more = Et { $number } de plus : voyez le JSON.
needs-someone-now = À traiter maintenant
nobody = Rien : aucune clé et aucune clé secrète n'a de problème propre.
all-other-keys = Toutes les autres clés
keys = Clés
all-needing = Les { $number } clés à traiter
partners = Partenaires ({ $number })
secret = Clé secrète
since = Depuis
states = États
partners-shown = Les { $number } partenaires aux problèmes les plus graves sont affichés. Filtrez par nom pour voir les autres.
keys-failing = { $number } en échec
affected = touchée
failing = en échec
since-span = depuis { $span }
since-span-at-least = depuis au moins { $span }
first-seen = constaté dès
since-when = à partir de
copy = Copier
what-to-do = À faire :
number-of = { $part } sur { $whole }
status-in = { $status } en { $latency }
nothing-sent = rien d'envoyé
no-response = aucune réponse ; arrêt après { $latency }
slot-succeeded = { $time } UTC : { $number } réussies
slot-failed = { $number } en échec
slot-reason = (première raison : { $reason })
slot-maintenance = { $number } en maintenance annoncée
on-average = { $time } UTC, en moyenne { $durations }
last-probes = { $number ->
    [0] Aucune sonde
    [1] Dernière sonde
   *[other] Les { $number } dernières sondes
    }
succeeded = réussie
colon = {" "}:
no-measurements = Aucune mesure pour l'instant.
latency-up-to = Latence par phase, jusqu'à { $latency }
sparkline = { $number ->
    [one] { $number } sonde
   *[other] { $number } sondes
    }, dont { $failures } en échec
results = Résultats
day-ago = il y a 24 h
now = maintenant,
key-state-unknown = inconnu
key-state-pending = en attente
key-state-active = active
key-state-not-found = introuvable
key-state-revoked = révoquée
key-state-disconnected = déconnectée
key-state-folder-not-found = dossier introuvable
key-state-invalid = invalide
key-state-forbidden = sans autorisation
secret-state-unknown = inconnu
secret-state-pending = en attente
secret-state-active = active
secret-state-rejected = refusée
api-state-unknown = inconnu
api-state-up = en service
api-state-down = en panne
api-state-maintenance = maintenance
blame-platform = MyUnisoft
blame-network = réseau
blame-secret = clé secrète
blame-key = clé
blame-route = route
blame-budget = quota
blame-exporter = exporteur
access-society = société
access-firm = cabinet
just-now = à l'instant
ago = il y a { $span }
in = dans { $span }
skip = Aller au contenu
pause = Pause
languages = Langues
metrics = Métriques
service-discovery = Découverte de services
health = Santé
readiness = Disponibilité
endpoints = Points d'accès
error = Erreur
not-shown = Cette page ne peut pas être affichée
no-such-state = le paramètre state n'est pas un état de clé ; utilisez l'un de ceux-ci : { $states }
no-such-key = aucune clé n'est configurée sous ces noms ; utilisez ?partner=…&key=…

## Un courriel au client

mail = Un courriel au client, à copier
mail-no-id = aucun n'est connu
mail-greeting = Bonjour,
mail-end = Cordialement,
mail-pending = Votre clé { $key } est « En attente de connexion » dans MyUnisoft depuis le { $date }. Vous n'avez rien à faire : notre logiciel tente de l'activer. Si elle reste en attente, nous écrirons au support de MyUnisoft (request-id : { $id }). Ne générez pas d'autre clé.
mail-not-found = MyUnisoft ne connaît pas votre clé { $key }. Pouvez-vous vérifier qu'elle figure sous Connectés, dans Paramètres > Connecteurs dossier (ou Connecteurs cabinet) ? Si elle n'y est pas, générez-en une nouvelle sur notre carte, avec le bouton Générer, et transmettez-la-nous en entier par le canal sécurisé habituel, et non par courriel.
mail-revoked = Votre clé { $key } a été révoquée le { $date } : nous n'avons plus accès à vos données dans MyUnisoft, et les échanges sont arrêtés. Si c'était voulu, dites-le-nous. Sinon, générez une nouvelle clé dans MyUnisoft, sous Paramètres > Connecteurs dossier (ou Connecteurs cabinet), sur notre carte, avec le bouton Générer. Elle n'est affichée qu'une fois : transmettez-la-nous par le canal sécurisé habituel, et non par courriel.
mail-disconnected = L'équipe technique de MyUnisoft a déconnecté notre intégration pour votre clé { $key } le { $date }. Vous n'avez rien à faire : nous en demandons la raison à leur support (request-id : { $id }), et nous revenons vers vous.
mail-folder-not-found = Depuis le { $date }, aucun dossier actif ne correspond à votre clé { $key }. Le dossier a-t-il été archivé, ou passé à la formule de facturation « Inactif » ? Si ce n'était pas voulu, écrivez au support de MyUnisoft (request-id : { $id }) : il est le seul à pouvoir le rétablir. Si les échanges doivent continuer avec un autre dossier, générez-y une nouvelle clé.
mail-invalid = MyUnisoft refuse votre clé { $key }, qui n'est pas valide depuis le { $date } : elle a sans doute été copiée en partie. MyUnisoft ne montre une clé qu'une fois. Si vous ne l'avez plus, générez-en une nouvelle sur notre carte, avec le bouton Générer, et transmettez-la-nous en entier par le canal sécurisé habituel, et non par courriel.
mail-forbidden = Depuis le { $date }, votre clé { $key } n'a pas l'autorisation d'utiliser l'API de MyUnisoft. Le responsable du dossier ou du cabinet peut l'accorder dans Paramètres > Connecteurs dossier (ou Connecteurs cabinet), sur notre carte. Il n'est pas nécessaire de générer une autre clé.

## Parties

shard = Partie { $ordinal } sur { $total }, comptées à partir de 0 : { $keys } clés sur { $fleet }
remembered-by-prometheus = Cet état vient de la mémoire de Prometheus ; l'API n'a pas encore répondu au sujet de la clé.

## Démo

demo = Démo
demo-simulated = Démo : l'API et ses clés sont simulées.
demo-now = Il est { $time }.
demo-next = À { $time }, { $event } (dans { $wait } s).
demo-activated = la clé de lefebvre sera activée
demo-revoked = la clé de moreau sera révoquée
demo-busy = le trafic de production épuisera le quota de requêtes de la clé de girard
demo-restored = la clé de moreau fonctionnera de nouveau
demo-quiet = le trafic de production de girard s'arrêtera
demo-slow = l'API deviendra lente
demo-fast = l'API sera de nouveau rapide
demo-maintenance = une maintenance annoncée commencera
demo-maintenance-ends = la maintenance se terminera
demo-proxy = un proxy devant l'API répondra avec le statut 502
demo-proxy-ends = le proxy transmettra de nouveau les requêtes
demo-generated = la clé de lefebvre sera générée à nouveau et attendra son activation
demo-again = tout recommencera
