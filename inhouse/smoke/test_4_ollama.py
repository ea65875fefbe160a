"""Ollama: the planned version, the planned models, reachable for programs that have the token."""

import json

import httpx
from testinfra.host import Host

from inhouse.layout import OLLAMA_UNIT
from inhouse.planner.plan import Plan, PlannedModel
from inhouse.smoke.expect import Broken, expect, paragraph, shortened
from inhouse.smoke.marks import for_models, inside, needs, provides
from inhouse.smoke.ollama import Ollama, OllamaError, full_name
from inhouse.smoke.subject import Subject


@inside
@needs(OLLAMA_UNIT)
@provides("ollama")
def test_version(host: Host, plan: Plan, subject: Subject) -> None:
    """Ollama {plan.ollama_version} answers on loopback"""
    answer = host.run("curl -fsS --noproxy '*' --max-time 10 %s", f"http://127.0.0.1:{plan.ollama_port}/api/version")
    try:
        version = str(json.loads(answer.stdout)["version"])
    except (ValueError, KeyError, TypeError):
        version = ""
    expect(
        version == plan.ollama_version,
        found=f"version {version}" if version else shortened(f"no version at port {plan.ollama_port}: {answer.stderr}"),
        expected=f"version {plan.ollama_version}",
        cause="another Ollama has the port, or an update was not followed by a restart" if version else "it hangs",
        run=subject.on_host(f"journalctl -u {OLLAMA_UNIT} -n 50"),
    )


@needs("proxy", "ollama")
@provides("api")
def test_through_proxy(ollama: Ollama, subject: Subject) -> None:
    """Ollama answers through the proxy to a program that has the token"""
    try:
        ollama.models()
    except (OllamaError, httpx.HTTPError) as error:
        raise Broken(
            paragraph(
                found=shortened(str(error) or type(error).__name__),
                expected="the list of models",
                cause="the token on the host is not the inventory's, the proxy's configuration was changed by hand, or "
                "the models' store cannot be read",
                run=subject.here("up"),
            )
        ) from error


@for_models("all")
@needs("api")
@provides("present:{model.tag}")
def test_model_present(ollama: Ollama, model: PlannedModel, subject: Subject) -> None:
    """{model.tag} is on the host"""
    there = ollama.models()
    expect(
        full_name(model.tag) in there,
        found=", ".join(sorted(there)) or "no model at all",
        expected=f"{model.tag} among them",
        cause="its pull was interrupted, somebody deleted it, or its manifest is damaged",
        run=subject.here("up"),
    )
