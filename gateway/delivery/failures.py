"""What went wrong on the network, in the model's words: foreign exceptions become an `ErrorKind` and a detail.

Invariant: a detail is one plain technical sentence, without a secret and without the URL, since it may carry one.
"""

from __future__ import annotations

import os
import ssl

from gateway.errors import EgressRefused
from gateway.model import ErrorKind

Failure = tuple[ErrorKind, str]

REFUSALS = {"dns": ErrorKind.DNS, "port": ErrorKind.PORT}
"""How an `EgressRefused` is shown; every other kind of it is `ErrorKind.EGRESS`."""

# Results of a certificate's verification (OpenSSL, x509_vfy.h).
NOT_YET_VALID, HAS_EXPIRED, SELF_SIGNED, WRONG_NAME, WRONG_ADDRESS = 9, 10, 18, 62, 64


def of_dial(error: Exception, *, in_tls: bool = False) -> Failure:
    """Why no connection came about; `in_tls` says that TCP was connected when the error came."""
    match error:
        case EgressRefused():
            return REFUSALS.get(error.kind, ErrorKind.EGRESS), error.detail
        case ssl.SSLCertVerificationError():
            return _of_certificate(error)
        case ssl.SSLError():
            return ErrorKind.TLS_FAILED, f"the TLS handshake failed: {_reason(error)}"
        case OSError() if in_tls:
            return ErrorKind.TLS_FAILED, "the target closed the connection during the TLS handshake"
        case ConnectionRefusedError():
            return ErrorKind.CONNECT_REFUSED, "nothing listens on the target's port: connection refused"
        case TimeoutError():
            return ErrorKind.CONNECT_TIMEOUT, "the target's address did not answer the connection"
        case OSError():
            return ErrorKind.CONNECT_FAILED, f"no connection: {_system_message(error)}"
    return ErrorKind.CONNECT_FAILED, f"no connection: {type(error).__name__}"


def of_timeout(kind: ErrorKind, timeout_s: float) -> Failure:
    """What had not ended when the attempt's deadline passed; `kind` says what it was doing."""
    match kind:
        case ErrorKind.DNS:
            return kind, f"the name look-up did not end within {timeout_s:g} s"
        case ErrorKind.CONNECT_TIMEOUT:
            return kind, f"no connection within {timeout_s:g} s"
        case ErrorKind.TLS_TIMEOUT:
            return kind, f"connected, but the TLS handshake did not end within {timeout_s:g} s"
        case ErrorKind.ABANDONED:
            return kind, f"the gateway had no connection to spare within {timeout_s:g} s"
    return kind, f"no complete answer within {timeout_s:g} s"


def of_loss(error: Exception | None, *, answer_begun: bool) -> Failure:
    """The connection ended under a request; `error` is None where the target closed it in an orderly way."""
    how = "closed" if error is None else "reset"
    when = "before its answer was complete" if answer_begun else "without an answer"
    return ErrorKind.DISCONNECTED, f"the target {how} the connection {when}"


def of_abandonment() -> Failure:
    return ErrorKind.ABANDONED, "the gateway stopped before the attempt ended"


def _of_certificate(error: ssl.SSLCertVerificationError) -> Failure:
    code = error.verify_code
    if code == HAS_EXPIRED:
        return ErrorKind.TLS_EXPIRED, "the target's certificate has expired"
    if code == NOT_YET_VALID:
        return ErrorKind.TLS_EXPIRED, "the target's certificate is not valid yet"
    if code in {WRONG_NAME, WRONG_ADDRESS}:
        return ErrorKind.TLS_NAME, "the target's certificate is for another name"
    if code == SELF_SIGNED:
        return ErrorKind.TLS_UNTRUSTED, "the target's certificate is self-signed"
    return ErrorKind.TLS_UNTRUSTED, f"the target's certificate is not trusted: {error.verify_message}"


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "connection closed").replace("_", " ").lower()


def _system_message(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__
