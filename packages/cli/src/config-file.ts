/** The text of a chrysalis.toml: what `init` writes, each key with its meaning. */
import { I_PERIOD_EPOCH, I_PERIOD_LENGTH_SEC } from '@chrysalis/scms';
import { STATE_FILES } from './state-directory.ts';

const SECONDS_PER_HOUR = 3600;

export interface ConfigFileOptions {
  readonly host: string;
  readonly listen: string;
  readonly port: number;
  /** Written when there is one; else as many as the machine has cores. */
  readonly processes?: number | undefined;
  readonly weeksAhead: number;
  /** Written when there is one; else the policy's counts. */
  readonly iPeriodHours?: number | undefined;
  readonly pcaHostname: string;
  readonly la1Hostname: string;
  readonly la2Hostname: string;
}

/** Every key of the schema, those that have a default included, so that the file is the reference. */
export function configFileText(options: ConfigFileOptions): string {
  const { host, listen, port, processes, weeksAhead, iPeriodHours } = options;
  const { pcaHostname, la1Hostname, la2Hostname } = options;
  return `# The configuration of a Chrysalis Registration Authority. Relative paths start at this file.
# This one was made by \`chrysalis init\`: an SCMS for development and test, all of whose keys lie in authorities/.
# For another PKI, point the paths at its files. IEEE 1609.2 certificates are COER; keys are 64 hex digits or 32
# octets, mode 600.

[ra]
# The name of the RA: in its certificate, in the URLs that devices are given, in the TLS certificate.
host = ${quote(host)}
# The address to listen on; "0.0.0.0" for all of this machine.
listen = ${quote(listen)}
# CAMP's port of RA services. 0 takes one that is free.
port = ${port}
# Processes that answer devices, beside the one that makes certificates and the one that watches over both. As many as
# the machine has cores when missing. 1: all in one process.
${processes === undefined ? '# processes = 2' : `processes = ${processes}`}
# Where devices reach the RA, when that is not https://<host>:<port>, as behind a location obscurer proxy.
# public-url = "https://ra.example.com:8892"
# TLS: the server's certificate chain and key, PEM. Devices trust trust.x509-root.
tls-cert = ${quote(STATE_FILES.tlsCertificate)}
tls-key = ${quote(STATE_FILES.tlsKey)}
# The RA's IEEE 1609.2 certificate and the keys that belong to it: files, or keys in a PKCS #11 token (RFC 7512), as
# "pkcs11:token=chrysalis;object=ra-signing".
certificate = "ra/certificate.oer"
signing-key = "ra/signing.key"
encryption-key = "ra/encryption.key"
# After another certificate has taken its place, what devices seal to the former one is opened for so many days, and
# no longer than it is valid. 0: not at all.
former-key-days = 30
# How many seconds the time in a device's request may lie from ours, on either side (SCMS-1203).
client-signature-ttl-sec = 5
# The same for provisioning requests, when that is to differ.
# provisioning-ttl-sec = 5
# "production": every error is status 500 and says nothing. "qa": codes and reasons in headers, for testing devices.
error-detail = "production"
# Refusals leave at the next multiple of so many milliseconds after their request arrived, so that the time until then
# tells nobody which check failed. 0: at once.
refusal-tick-ms = 100
# The release of ee-ra.asn that devices speak: "1.2.2", "1.2.4", or "auto" to take both.
dialect = "auto"

[trust]
# IEEE 1609.2 root certificates, and the certificates between them and the authorities.
roots = ["authorities/root/certificate.oer"]
intermediates = ["authorities/ica/certificate.oer"]
# The ECAs whose devices this RA serves; those of others are turned away.
ecas = ["authorities/eca/certificate.oer"]
# The X.509 root that devices get at enrollment, to know the RA's TLS certificate by.
x509-root = ${quote(STATE_FILES.x509Root)}

# The authorities behind the RA. "in-process" runs the test authority of authorities/<name> inside the RA: no
# separation of knowledge, never for production. "remote" is one behind mutual TLS, with url, tls-ca, tls-cert, tls-key
# and timeout-sec: \`chrysalis authority export\` makes a process of its own of each.
[pca]
mode = "in-process"
certificate = "authorities/pca/certificate.oer"
hostname = ${quote(pcaHostname)}
# Certificates that it had before; \`chrysalis authority renew pca\` adds one. Until each of them ends, what it issued
# is accepted, and its chain stands in the certificate chain file.
former = []

[la1]
mode = "in-process"
certificate = "authorities/la1/certificate.oer"
hostname = ${quote(la1Hostname)}

[la2]
mode = "in-process"
certificate = "authorities/la2/certificate.oer"
hostname = ${quote(la2Hostname)}

# The makers of policy, of misbehavior decisions and of CRLs. Without [pg] no policy file and no certificate
# chain file is made (those of before go on being served), without [ma] reports of devices are refused, without
# [crl] there is no CRL store.
[pg]
# \`chrysalis policy\` shows and changes what it says.
mode = "in-process"

[ma]
mode = "in-process"
# Reports are taken from anybody, for they are encrypted to the MA: so many in a minute, from all together.
reports-per-minute = 1000
# They go to the MA when this many wait, or the oldest has waited this long, in an order that tells nothing.
pool-threshold = 10000
pool-max-age-hours = 24

[crl]
mode = "in-process"
# CAMP's port of the CRL store. 0 takes one that is free, and so does port 0 of the RA.
port = 8894

# The RA's port for the MA: it blacklists devices by it, and learns where their linkage chains are (ma-ra.asn), over
# mutual TLS. Without this section there is none. \`chrysalis ma\` is the test MA on the other side.
# [ma-port]
# listen = "127.0.0.1"
# port = 8896
# The X.509 root in which the MA's TLS certificate has to end, and the names of which it has to bear one.
# tls-ca = ${quote(STATE_FILES.x509Root)}
# clients = ["ma.scms.test"]
# The MA's IEEE 1609.2 certificate: requests are signed with it, answers encrypted to it.
# certificate = "authorities/ma/certificate.oer"
# Auditors that have to countersign each request, and their certificates.
# countersignatures = 0
# auditors = []
# CAMP's messages do not say when they were signed. "required" refuses those; a time that is there has to be near ours.
# generation-time = "optional"
# ttl-sec = 300
# HPCRs or RIFs in one request, and requests in an hour.
# max-entries = 10000
# requests-per-hour = 600

# Whom the RA asks whether its TLS certificate is revoked. It staples the answer for devices that ask for one (RFC 6066
# section 8). Without this section it staples nothing, and such a device does not go on.
[ocsp]
# The X.509 root of authorities/x509-root; \`chrysalis tls revoke\` tells it what is revoked.
mode = "in-process"
# Or the OCSP responder of another issuer, by HTTP:
# mode = "http"
# url = "http://ocsp.example.com/"

[limits]
# A device that was authenticated and is refused for another reason (no such file, a duplicate, wrong values) has
# so many failures in an hour at each service; then it is refused until some of the hour has passed. 0: no limit.
provisioning-failures-per-hour = 5
# Many, for a device looks for the next file until there is none.
download-failures-per-hour = 600
# From here on, of all devices together, never by address. Connections that are open, and TLS handshakes that are not
# over: beyond, the one is closed that has waited longest for its peer. Each connection is a file descriptor.
connections = 5000
handshakes = 500
# Connections that the system keeps until the RA accepts them; whoever comes beyond knocks again after a second. The
# last of a long queue is served when it is about to leave: keep it to what the RA serves in a few seconds.
waiting-connections = 256
# Requests whose answers are being made: provisioning requests and reports, downloads, and what anybody may ask for
# (policy, certificate chains, RA certificate, CRL). Beyond they are refused. 0: no limit.
provisioning-under-way = 256
downloads-under-way = 1024
anonymous-under-way = 256
# What anybody may ask for needs no key: so many of these calls in a second, and at once what ten seconds have left
# over. A device makes two in a visit. The CRL store has as many of its own. 0: no limit.
anonymous-per-second = 2000
# When the RA is later than so many milliseconds on average, it refuses provisioning requests and reports; then what
# anybody may ask for; then everything. 0: never.
shed-provisioning-ms = 250
shed-anonymous-ms = 500
shed-downloads-ms = 1000

# For operators, by plain HTTP on 127.0.0.1 only: /healthz, /readyz, /metrics for Prometheus. Without this section there
# is no such port.
[ops]
# 0 takes one that is free, and so does port 0 of the RA.
port = 8895
# That of \`chrysalis worker\`, beside a serve on the same machine. One with --name has its own by --ops-port, or none.
worker-port = 8897

[audit]
# What an auditor asks for later: who was registered, given certificates, refused and blacklisted, and when. No address,
# and nothing that links certificates. \`chrysalis audit verify\` tells whether it is as it was written.
enabled = true
directory = "ra/audit"
# A file that is as large is followed by another, and so is one of another day (UTC).
max-file-mb = 64
# Files are removed when their last line is so old. 0: never.
keep-days = 365

[certificates]
# What stands here comes before the policy of the PG; what is missing follows it, also when it changes. The PG's
# minima bind all the same: below them there is no policy file.
# Pseudonym certificates of a device in each i-period, all valid at once. CAMP's minimum is 20.
# per-period = 20
# How many i-periods are kept ready, the current one included. 156 are CAMP's three years.
weeks-ahead = ${weeksAhead}
# A device that was not heard of for so many weeks gets nothing more until it is. 0: each goes on.
pause-after-weeks = 52
# A device that asks again under the same enrollment certificate, with other keys. "replace": the new keys count from
# the first week whose certificates were not fetched under the old ones. "refuse": it is refused.
second-request = "replace"

[pipeline]
# Certificates are made in a thread of its own, so that devices are answered meanwhile. 0: in the same thread.
threads = 1
# Chains of linkage values that are kept ready for new devices. Without one no device is taken.
linkage-cache = 200

[shuffle]
# Requests of many devices are mixed before they go to the PCA, so that it cannot tell which belong to one device:
# they leave when this many wait,
# threshold = 1000
# or when the oldest has waited this long. Both are the policy's when they are missing.
# max-age-hours = 48
# The first certificates of a new device. "pooled": as all others. "immediate": at once, which shows the PCA that
# they belong to one device. FOR DEVELOPMENT AND TEST ONLY: set it to "pooled" for production.
initial = "immediate"

[iperiod]
# The start of i-period 0 in TAI seconds since 2004-01-01: 04:00 US Eastern on Tuesday, 2015-01-06.
epoch = ${I_PERIOD_EPOCH}
# Whole hours. When it is missing, the policy's at the first start. Either is recorded in the database then and does
# not change any more: i-values are counted by it. A policy that says otherwise is refused.
${iPeriodHours === undefined ? '# ' : ''}length-sec = ${iPeriodHours === undefined ? I_PERIOD_LENGTH_SEC : iPeriodHours * SECONDS_PER_HOUR}

[store]
# The database: sqlite:PATH, or postgres://USER@HOST/DATABASE of PostgreSQL 15 or later, which \`chrysalis migrate\`
# prepares (docs/guides/postgresql.md). No password in here: password-file, PGPASSWORD or PGPASSFILE has it.
url = "sqlite:ra/chrysalis.db"
# password-file = "ra/database-password"

[objects]
# The certificate batches and other files that devices download: file:DIRECTORY, or s3://BUCKET/PREFIX?region=REGION.
url = "file:ra/objects"
`;
}

/** A basic string of TOML is one of JSON. */
function quote(text: string): string {
  return JSON.stringify(text);
}
