"""The machine and the set-up: certificates, the embedded engine, the policy pack."""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

from crisis_filter.drill.finding import Finding
from crisis_filter.errors import AssetError, EngineError
from crisis_filter.local.artifact import ENGINES
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.taxonomy.records import Taxonomy
from crisis_filter.triage.policy import Policy
from crisis_filter.triage.resources import ResourcePack

# Where Linux distributions keep the bundle that clients fall back to (as in truststore 0.10).
_BUNDLES = (
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NO_STORE = (
    "Install the system's certificates (Debian, Ubuntu, Alpine: the package ca-certificates), or point SSL_CERT_FILE "
    "at a bundle that exists: without them no https endpoint can be reached"
)


def policy_pack(policy: Policy, pack: ResourcePack, left_out: int) -> list[Finding]:
    """Whether somebody reads the queues, and whether there is anything to offer.

    Args:
        policy: a pack that has loaded, so no rule sends a crisis or an undetermined message to nobody.
        pack: its resources.
        left_out: rules that name categories which the taxonomy lacks.
    """
    staffed = sum(1 for queue in policy.queues if queue.staffed_by is not None)
    seen = f"{policy.ref.id}: {len(policy.rules)} rules, {staffed} of {len(policy.queues)} queues are read by somebody"
    advice = ""
    if left_out:
        seen += f"; {left_out} rules name categories that the taxonomy lacks and are left out"
        advice = "Give the policy pack and the taxonomy that were made for each other, or write rules for this taxonomy"
    first = Finding(check="policy", status="warn" if left_out else "ok", seen=seen, advice=advice)
    verified = sum(1 for resource in pack.resources if resource.verified_on is not None)
    offered = len(pack.resources) if policy.resources.serve_unverified else verified
    seen = f"{verified} of {len(pack.resources)} resources are verified; {offered} may be offered to a writer"
    if offered and verified == len(pack.resources):
        return [first, Finding(check="resources", status="ok", seen=seen)]
    advice = "Check each resource with its source, set verified_on in a copy of the pack, and name it in the policy"
    return [first, Finding(check="resources", status="warn", seen=seen, advice=advice)]


def engine(spec: FilterSpec, taxonomy: Taxonomy, clock: Callable[[], float] = time.perf_counter) -> Finding:
    """Whether the embedded engine loads, is unaltered, answers its self test and knows the taxonomy."""
    # The runtime takes longer to import than all the rest.
    from crisis_filter.local.engine import LocalEngine

    bundled = ENGINES / spec.engine
    folder = bundled if bundled.is_dir() else Path(spec.engine).expanduser()
    started = clock()
    try:
        loaded = LocalEngine.load(folder, threads=spec.engine_threads)
    except (AssetError, EngineError) as error:
        advice = "Install the package again, or mend the engine folder that CRISIS_FILTER_ENGINE names"
        return Finding(check="engine", status="fail", seen=f"does not load: {error}", advice=advice)
    seen = f"{loaded.id} loaded and answered in {(clock() - started) * 1000:,.0f} ms"
    if loaded.labels[1:] != taxonomy.ids:
        advice = "Nothing stands in when the endpoints fail: keep a second endpoint, or use the engine's own taxonomy"
        seen += f"; it was trained for other categories than those of {taxonomy.id}"
        return Finding(check="engine", status="warn", seen=seen, advice=advice)
    return Finding(check="engine", status="ok", seen=seen)


def trust_store(addresses: Iterable[str]) -> Finding:
    """Whether https can be checked on this machine, and whether any endpoint is asked in the clear.

    Args:
        addresses: of the endpoints, `http` or `https`; none when no endpoint is asked.
    """
    given = [urlsplit(address) for address in addresses]
    encrypted = any(parts.scheme == "https" for parts in given)
    clear = sum(1 for parts in given if parts.scheme == "http" and parts.hostname not in _LOOPBACK)
    if sys.platform in ("win32", "darwin"):
        seen, status = "the system's own certificate store is used", "ok"
    else:
        found = _certificates()
        seen = f"{found:,} certificates" if encrypted or found else "no certificates; no https endpoint is asked"
        status = "ok" if found else "fail" if encrypted else "warn"
    if status != "ok":
        return Finding.model_validate({"check": "trust_store", "status": status, "seen": seen, "advice": _NO_STORE})
    if clear:
        advice = "Use https, or a tunnel: messages and key travel unencrypted"
        seen += f"; {clear} endpoints are asked over plain http on another machine"
        return Finding(check="trust_store", status="warn", seen=seen, advice=advice)
    return Finding(check="trust_store", status="ok", seen=seen)


def _certificates() -> int:
    """Certificates that the client can find; 0 also where SSL_CERT_FILE names a file that is missing or holds none."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and Path(paths.openssl_cafile).is_file():
        return 0  # the environment points away from a store that is there
    folder = Path(paths.capath) if paths.capath is not None else None
    hashed = sum(1 for each in folder.glob("????????.[0-9]")) if folder is not None and folder.is_dir() else 0
    bundle = paths.cafile or next((each for each in _BUNDLES if not hashed and Path(each).is_file()), None)
    if bundle is None:
        return hashed
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=bundle)
    except OSError:
        return 0  # the client fails on such a file too, whatever the folder holds
    return context.cert_store_stats()["x509_ca"] or hashed
