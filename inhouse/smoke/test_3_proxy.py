"""The proxy: TLS of this fleet, no way in without the token, and no way to manage models from outside."""

import ssl
from datetime import UTC, datetime

import httpx
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from inhouse.layout import CADDY_UNIT
from inhouse.planner.plan import Plan
from inhouse.smoke.expect import Broken, expect, paragraph, shortened
from inhouse.smoke.marks import needs, provides
from inhouse.smoke.subject import Subject
from inhouse.smoke.web import CONNECT_S, json_of, served_certificate

DAYS_LEFT = 14
WRONG_TOKEN = "not-the-token"
NO_SUCH_MODEL = "inhouse-smoke-test-of-a-model-that-does-not-exist"
"""Management is tried with this name, so that nothing is harmed where it is not forbidden after all."""


@needs(CADDY_UNIT)
@provides("proxy")
def test_tls(subject: Subject) -> None:
    """The proxy's certificate is this fleet's, names the host and is good for 14 days more"""
    certificate = _certificate(subject)
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(subject.ca_certificate.encode()))
        issued_by_us = True
    except (ValueError, TypeError, InvalidSignature):
        issued_by_us = False
    days = (certificate.not_valid_after_utc - datetime.now(UTC)).days
    expect(
        issued_by_us and days >= DAYS_LEFT,
        found=f"a certificate by {certificate.issuer.rfc4514_string()} with {days} days left",
        expected=f"one that the fleet CA issued, with {DAYS_LEFT} days left or more",
        cause="`inhouse up`, which renews it in its last 30 days, has not run for long",
        run=subject.here("up"),
    )


def _certificate(subject: Subject) -> x509.Certificate:
    plan = subject.plan
    try:
        return served_certificate(subject)
    except ssl.SSLCertVerificationError as error:
        found, cause = error.verify_message, "another CA's or another host's certificate is served, or a clock is wrong"
    except (ssl.SSLError, OSError) as error:
        found, cause = str(error), "the proxy is down, or a firewall or another program has its port"
    raise Broken(
        paragraph(
            found=shortened(f"{plan.address} port {plan.https_port}: {found}"),
            expected=f"TLS for {plan.server_name} by the fleet CA",
            cause=cause,
            run=subject.here("up"),
        )
    )


@needs("proxy")
def test_redirect(subject: Subject, plan: Plan) -> None:
    """HTTP is redirected to HTTPS"""
    host = f"[{plan.address}]" if ":" in plan.address else plan.address
    headers = {"Host": plan.server_name}
    answer = httpx.get(f"http://{host}:{plan.http_port}/", headers=headers, timeout=CONNECT_S, trust_env=False)
    target = answer.headers.get("location", "")
    expect(
        answer.status_code in (301, 302, 307, 308) and target.startswith(f"{subject.origin}/"),
        found=f"status {answer.status_code}, location {target or 'none'}",
        expected=f"a redirect to {subject.origin}/",
        cause="another program has the port, or the proxy's configuration was changed by hand",
        run=subject.here("up"),
    )


@needs("proxy")
@pytest.mark.parametrize("token", ["no", "a wrong"])
def test_no_token_no_answer(anyone: httpx.Client, subject: Subject, token: str) -> None:
    """Programs with {token} token get no answer"""
    headers = {"Authorization": f"Bearer {WRONG_TOKEN}"} if token == "a wrong" else {}
    answers = [
        anyone.get("/v1/models", headers=headers),
        anyone.get("/api/tags", headers=headers),
        anyone.post("/api/generate", headers=headers, json={"model": NO_SUCH_MODEL, "prompt": "x", "stream": False}),
    ]
    for answer in answers:
        expect(
            answer.status_code == 401 and json_of(answer) is not None,
            found=f"{answer.request.url.path} answered {answer.status_code}: {shortened(answer.text, 80)}",
            expected="401 and an error as JSON",
            cause="the proxy's configuration was changed by hand, or is not in force",
            run=subject.here("up"),
        )


@needs("proxy")
def test_no_management(program: httpx.Client, subject: Subject) -> None:
    """Models cannot be pulled or deleted through the proxy"""
    for method, path in (("POST", "/api/pull"), ("DELETE", "/api/delete")):
        answer = program.request(method, path, json={"model": NO_SUCH_MODEL, "stream": False})
        expect(
            answer.status_code == 403,
            found=f"{method} {path} answered {answer.status_code}: {shortened(answer.text, 80)}",
            expected="403: a host's models are the inventory's business",
            cause="the proxy's configuration was changed by hand, or is not in force",
            run=subject.here("up"),
        )
