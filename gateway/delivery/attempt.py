"""What is logged of an attempt: what was sent and what came back, without secrets."""

from __future__ import annotations

from gateway.delivery.request import Built, Wire
from gateway.log import AttemptRecord
from gateway.model import ErrorKind, Event, Outcome, Webhook


def attempt_record(
    id: str, webhook: Webhook, event: Event, wire: Wire, built: Built, outcome: Outcome, *, number: int, test: bool
) -> AttemptRecord:
    """The row of one attempt. A response that is not 2xx has the error `http_status`."""
    response = outcome.response
    error = outcome.error
    if response is None:
        status = headers = body = None
        truncated = False
    else:
        status = response.status
        headers = wire.mask("".join([f"{name}: {value}\r\n" for name, value in response.headers]).encode())
        body = wire.mask(response.body, truncated=response.truncated)
        truncated = response.truncated
        if error is None and not outcome.ok:
            error = ErrorKind.STATUS
    return AttemptRecord(
        id=id,
        event_id=event.id,
        webhook_id=webhook.id,
        tenant_id=event.tenant_id,
        event_type=event.type,
        number=number,
        test=test,
        ok=outcome.ok,
        status=status,
        error=error,
        detail=outcome.detail,
        duration_us=outcome.duration_us,
        method=built.request.method,
        url=wire.shown_url,
        request_headers=built.shown_headers,
        body_key=wire.body_key_name,
        response_headers=headers,
        response_body=body,
        truncated=truncated,
        phases_ms=outcome.phases_ms,
    )
