"""Why an attempt failed, in plain words: what happened, what it means, and what to do next.

Invariant: every `ErrorKind` and every status outside 2xx has its words, and none of them assumes that the reader
knows TCP or TLS. The technical cause is added where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from gateway.model import ErrorKind


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`title` is a few words for a list; `explanation` says what happened; `next_step` says what to do."""

    title: str
    explanation: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.explanation} {self.next_step}"


_ERRORS: Mapping[ErrorKind, Diagnosis] = {
    ErrorKind.DNS: Diagnosis(
        "Host name not found",
        "The name {host} could not be resolved to an address.",
        "Check the spelling of the target URL, and that the name is published in public DNS.",
    ),
    ErrorKind.EGRESS: Diagnosis(
        "Address not allowed",
        "{host} is, or resolves to, an address that targets may not have, such as a private or reserved one. "
        "Nothing was sent.",
        "Use a publicly reachable address, or ask the platform team to allow this network.",
    ),
    ErrorKind.PORT: Diagnosis(
        "Port not open",
        "The port of {target} is not open for outgoing calls on this gateway. Nothing was sent.",
        "Ask an operator to open the port under Ports; delivery starts by itself once it is open.",
    ),
    ErrorKind.CONNECT_REFUSED: Diagnosis(
        "Connection refused",
        "{target} is reachable, but nothing accepts connections there.",
        "Check that the target's service is running and listens on this port, and that the URL names the right one.",
    ),
    ErrorKind.CONNECT_TIMEOUT: Diagnosis(
        "No connection in time",
        "{target} did not answer the attempt to connect before the timeout. A firewall that drops packets, or a "
        "machine that is down, looks like this.",
        "Check that the target is up and that its firewall lets this gateway in.",
    ),
    ErrorKind.CONNECT_FAILED: Diagnosis(
        "No connection",
        "No connection to {target} could be made.",
        "Check that the target is up and that the network between it and this gateway works.",
    ),
    ErrorKind.TLS_EXPIRED: Diagnosis(
        "Certificate expired",
        "The TLS certificate of {host} has expired or is not valid yet, so it does not prove who answers. "
        "Nothing was sent.",
        "Renew the certificate on the target, and check the clock of the machine that serves it.",
    ),
    ErrorKind.TLS_NAME: Diagnosis(
        "Certificate for another name",
        "The TLS certificate that {host} presents was issued for another name. Nothing was sent.",
        "Put the name that the certificate carries into the target URL, or install a certificate for {host}.",
    ),
    ErrorKind.TLS_UNTRUSTED: Diagnosis(
        "Certificate not trusted",
        "The TLS certificate of {host} is not signed by a known authority, or the target does not send the "
        "intermediate certificates. Nothing was sent.",
        "Install a certificate from a public authority, with its whole chain.",
    ),
    ErrorKind.TLS_TIMEOUT: Diagnosis(
        "TLS handshake too slow",
        "{target} accepted the connection, but did not finish the TLS handshake before the timeout.",
        "Check that this port serves https, and how loaded the target is.",
    ),
    ErrorKind.TLS_FAILED: Diagnosis(
        "TLS handshake failed",
        "No encrypted connection with {target} could be agreed on.",
        "Check that this port serves https with TLS 1.2 or newer; a plain http port looks like this too.",
    ),
    ErrorKind.TIMEOUT: Diagnosis(
        "No answer in time",
        "{target} was sent the event, but did not complete its answer before the timeout. It may have processed it.",
        "Let the target answer at once and do its work afterwards, or raise the webhook's timeout.",
    ),
    ErrorKind.DISCONNECTED: Diagnosis(
        "Connection lost",
        "{target} closed the connection before its answer was complete. It may have processed the event.",
        "Look into the target's own log at this time: a crash or a restart looks like this, and so does a proxy "
        "with a short timeout.",
    ),
    ErrorKind.PROTOCOL: Diagnosis(
        "Answer not understood",
        "What {target} answered is not valid HTTP, or exceeds a limit.",
        "Check that the URL leads to an HTTP service, and that its answers are small: only the status counts.",
    ),
    ErrorKind.REQUEST: Diagnosis(
        "Request could not be built",
        "The gateway could not build the request from this event and the webhook's settings. Nothing was sent.",
        "Check the access: a key in the body needs a name that the event's payload does not use already.",
    ),
    ErrorKind.ABANDONED: Diagnosis(
        "Interrupted",
        "The gateway stopped or was reconfigured before the attempt ended. The target may have processed the event.",
        "There is nothing to do: the delivery is tried again.",
    ),
}

_CHECK_ACCESS = "Check the webhook's access: the credentials, the key name and where the key travels."

_STATUSES: Mapping[int, tuple[str, str]] = {
    400: (
        "It found something wrong with the request.",
        "Look at the response below for what it expects, and check the access and the URL.",
    ),
    401: ("It does not accept the credentials, or got none.", _CHECK_ACCESS),
    403: (
        "It knows the credentials but does not allow this, or a firewall in front of it refuses the gateway.",
        f"{_CHECK_ACCESS} Then check the rights of that account, and any allow-list of addresses.",
    ),
    404: ("Nothing is at this URL.", "Check the path of the target URL."),
    405: (
        "The URL exists, but does not take this request method.",
        "Set the webhook's method to the one that the target expects; POST is the usual one.",
    ),
    407: ("A proxy in front of it asks for credentials.", "Give a URL that needs no proxy credentials."),
    408: (
        "It says that the request took too long to arrive.",
        "Look at the target's load; the delivery is tried again.",
    ),
    409: (
        "It says that the request contradicts what it has already.",
        "If it has this event already, let it answer 200: webhook-id tells repeated deliveries.",
    ),
    410: (
        "It says that this endpoint is gone for good. The webhook was paused and holds its events.",
        "Give the webhook its new URL, or delete it; then set it active again.",
    ),
    411: ("It insists on a Content-Length.", "Use POST, PUT or PATCH as the webhook's method."),
    413: ("It says that the body is too large.", "Raise the limit for request bodies at the target or its proxy."),
    414: ("It says that the URL is too long.", "Use POST, so that the event travels in the body."),
    415: (
        "It does not take JSON.",
        "Let the target accept Content-Type: application/json, or point the webhook at an endpoint that does.",
    ),
    421: ("It does not serve this host name here.", "Check the host of the target URL and the target's proxy."),
    422: (
        "It read the event but does not accept its content.",
        "Look at the response below for the member that it refuses.",
    ),
    429: (
        "It is being sent more than it takes. The gateway waits as long as Retry-After asks, within bounds.",
        "Set a rate limit on the webhook, or raise the target's.",
    ),
    431: ("It says that the headers are too large.", "Shorten the credential, or raise the limit at the target."),
    500: ("It failed on its own side.", "Look into the target's log at this time; the delivery is tried again."),
    501: ("It does not know this request method.", "Set the webhook's method to POST, unless it asks for another."),
    502: (
        "A proxy in front of it got no valid answer from it.",
        "Check that the service behind the proxy is running; the delivery is tried again.",
    ),
    503: (
        "It is overloaded or under maintenance.",
        "Wait: the delivery is tried again. If this goes on, look at the target's capacity.",
    ),
    504: (
        "A proxy in front of it got no answer from it in time.",
        "Let the target answer at once and do its work afterwards, or raise the proxy's timeout.",
    ),
}

_STATUS_CLASSES: Mapping[int, tuple[str, str]] = {
    1: ("It sent an interim answer where a final one was due.", "Check the proxy or the server at this URL."),
    3: (
        "It redirects elsewhere. Redirects are never followed, since they would carry the credentials along.",
        "Put the final address into the target URL; a trailing slash or http for https is the usual cause.",
    ),
    4: ("It refused the request.", "Look at the response below, and check the URL, the method and the access."),
    5: ("It failed on its own side.", "Look into the target's log at this time; the delivery is tried again."),
}


def diagnose(
    error: ErrorKind | None,
    status: int | None,
    detail: str | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
) -> Diagnosis | None:
    """What to tell people about an attempt; None where it succeeded. `host` and `port` are the target's."""
    if status is not None and error in (None, ErrorKind.STATUS):
        return None if 200 <= status < 300 else _diagnose_status(status)
    if error is None or error is ErrorKind.STATUS:
        return None
    words = _ERRORS[error]
    name = host or "the target"
    known = {"host": name, "target": name if port is None else _authority(name, port)}
    explanation = _sentence(words.explanation.format(**known))
    if detail:
        explanation += f" Technically: {detail.rstrip('.')}."
    return Diagnosis(words.title, explanation, words.next_step.format(**known))


def _diagnose_status(status: int) -> Diagnosis:
    try:
        title = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        title = f"Status {status}"
    reason, next_step = _STATUSES.get(status) or _STATUS_CLASSES.get(
        status // 100, ("It answered with a status that HTTP does not know.", "Check what serves this URL.")
    )
    return Diagnosis(title, f"The target answered {title.removeprefix('Status ')}. {reason}", next_step)


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _sentence(text: str) -> str:
    """Only the article is capitalised: a host name stays as it is spelled."""
    return "T" + text[1:] if text.startswith("the target") else text
