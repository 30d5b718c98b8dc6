"""`/problems/{type}`: the page that the `type` of every problem leads to (RFC 9457 §3.1.1), for people.

Invariant: each type that the gateway can answer has a page; a test holds the source to it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.admin.routes import Route
from gateway.errors import Problem
from gateway.http import TITLES


@dataclass(frozen=True, slots=True)
class Page:
    """What has happened, and what to do about it."""

    meaning: str
    remedy: str


PAGES = {
    "bad-form": Page(
        "A form of the console was sent without the token that proves where it came from, or with an old one.",
        "Load the page again and repeat what you did.",
    ),
    "bad-json": Page(
        "The body could not be read as JSON: it was empty, ended early, or breaks the grammar (RFC 8259) where the"
        " detail says.",
        "Send one JSON value in UTF-8, with Content-Type: application/json.",
    ),
    "conflict": Page(
        "The request is well-formed, but contradicts what exists: a name that is taken, an access that webhooks still"
        " use, a limit that is reached, or a change that somebody else made at the same time.",
        "Read the resource again; the detail names what is in the way.",
    ),
    "egress-refused": Page(
        "The target URL may not be called: its form is ambiguous, or its address belongs to a private, reserved or"
        " otherwise refused network, or to the gateway itself.",
        "Use a public http or https URL. An operator who wants to reach an inner network names it in the setting"
        " GATEWAY_EGRESS_ALLOW.",
    ),
    "expectation-failed": Page(
        "The request had an Expect header with something else than 100-continue, which is all that is met here.",
        "Leave the header out. Some clients send it of their own accord with large bodies: turn that off.",
    ),
    "forbidden": Page(
        "The token is known, but its role or its tenant does not allow this.",
        "Use a token of the role that the detail names. Tokens are made by admins: gateway token create --role ….",
    ),
    "idempotency-key-reused": Page(
        "An event with this id or Idempotency-Key was accepted before, with another type or other bytes.",
        "Give each event a key of its own. To repeat an event send the very same bytes.",
    ),
    "internal": Page(
        "Something failed inside the gateway that should not. Nothing was changed unless the log says otherwise.",
        "Repeat the request once. If it fails again, give the time and the address to whoever runs the gateway: its"
        " log has an entry “request_failed”.",
    ),
    "method-not-allowed": Page(
        "The address exists, but does not take this method.",
        "Use one of the methods in the Allow header.",
    ),
    "not-found": Page(
        "There is nothing at this address, or nothing that this token may see: what belongs to another tenant looks"
        " the same as what does not exist.",
        "Check the id, and whether the token is bound to another tenant.",
    ),
    "over-quota": Page(
        "More was sent than is allowed in this span of time.",
        "Wait as many seconds as the Retry-After header says, then go on more slowly.",
    ),
    "standby": Page(
        "This process waits: another one owns the events and delivers them.",
        "Send the request to the other process, or wait until this one has taken over.",
    ),
    "timeout": Page(
        "The body did not arrive completely in time.",
        "Send it in one go; look for a slow or broken network in between.",
    ),
    "too-large": Page(
        "The body has more bytes than this address takes.",
        "Send less at a time: a batch can be split.",
    ),
    "too-wide": Page(
        "The question would take the database too long to answer.",
        "Narrow it down: a shorter span of time, one event, one webhook.",
    ),
    "unauthorized": Page(
        "No token was sent, or it is mistyped, revoked or expired. The detail says which.",
        "Send the header Authorization: Bearer gw_…. Tokens are made by admins: gateway token create --role ….",
    ),
    "unavailable": Page(
        "The gateway cannot take or answer this now: its database is away, or the intake is full. An event that was"
        " answered so was not accepted.",
        "Wait as many seconds as the Retry-After header says and send the same again; with an id or Idempotency-Key it"
        " cannot be taken twice.",
    ),
    "unsupported-encoding": Page(
        "The body is compressed or encoded in a way that is not taken here.",
        "Send it without Content-Encoding.",
    ),
    "unsupported-media-type": Page(
        "The body is of a kind that this address does not take.",
        "Send what the API's description names for this address.",
    ),
    "validation": Page(
        "One or more members or parameters are missing, unknown or out of range. The list “errors” has each of them:"
        " the place (a JSON pointer, or a parameter's name) and what is wrong.",
        "Mend each and send the request again. The API's description has every shape and limit.",
    ),
}


class ProblemPages:
    def __init__(self) -> None:
        environment = Environment(
            loader=PackageLoader("gateway.admin", "templates"), autoescape=True, undefined=StrictUndefined
        )
        self._template = environment.get_template("problem.html")

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/problems/{type}",
                handler=self.show,
                role=None,
                summary="Explain a type of problem",
                tag="Problems",
                content_type="text/html",
            )
        ]

    async def show(self, request: web.Request) -> web.Response:
        type = request.match_info["type"]
        shown = PAGES.get(type)
        if shown is None:
            raise Problem(404, "not-found", "there is no such type of problem")
        nonce = secrets.token_urlsafe(16)
        policy = f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'"
        title = TITLES.get(type, type.replace("-", " ").capitalize())
        return web.Response(
            text=self._template.render(nonce=nonce, type=type, title=title, page=shown),
            content_type="text/html",
            headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"},
        )
