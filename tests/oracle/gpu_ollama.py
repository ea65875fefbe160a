"""Measures a real Ollama on the GPU of this machine: `python -m tests.oracle.gpu_ollama OLLAMA FOLDER RESULT`.

OLLAMA is its program, with an engine beside it that finds a GPU; FOLDER has room for the model; RESULT gets a line of
JSON for each environment, as tests/data/h100.jsonl has them.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from tests.oracle import cases, filled, sparse
from tests.oracle.gpu import TOKENS, nvidia, serving

TAG: Final = "llama3.1:8b"
NAME: Final = "measured"
URL: Final = "http://127.0.0.1:11777"
PROMPTS: Final = (500, 500, 6000, 6000)
"""Letters, each a token; the second of two finds the engine warm."""
ENVIRONMENTS: Final[Sequence[Mapping[str, str]]] = (
    {},
    {
        "OLLAMA_CONTEXT_LENGTH": "32768",
        "OLLAMA_NUM_PARALLEL": "1",
        "OLLAMA_FLASH_ATTENTION": "1",
        "OLLAMA_KV_CACHE_TYPE": "f16",
    },
    {
        "OLLAMA_CONTEXT_LENGTH": "16384",
        "OLLAMA_NUM_PARALLEL": "4",
        "OLLAMA_FLASH_ATTENTION": "1",
        "OLLAMA_KV_CACHE_TYPE": "q8_0",
    },
)


def main(program: Path, folder: Path, result: Path) -> int:
    """Measure every environment."""
    models = folder / "models"
    _store(models)
    with result.open("a") as out:
        for environment in ENVIRONMENTS:
            given = {**os.environ, **environment, "HOME": str(folder), "OLLAMA_MODELS": str(models)}
            given |= {"OLLAMA_HOST": URL, "OLLAMA_NO_CLOUD": "1"}
            with serving([program, "serve"], folder / "ollama.log", URL, "/api/version", given) as client:
                out.write(json.dumps({"ollama": _measured(client, environment)}) + "\n")
    return 0


def _store(models: Path) -> None:
    """Put the model where Ollama looks for those it has pulled; only its digest is made up."""
    model, digest = cases.models()[TAG], hashlib.sha256(TAG.encode()).hexdigest()
    blobs = models / "blobs"
    blobs.mkdir(parents=True)
    weights = blobs / f"sha256-{digest}"
    filled.write(weights, model, sparse.bytes_first(model.architecture.vocabulary))
    config = {"model_format": "gguf", "model_family": model.name, "model_type": "8B", "file_type": model.quantization}
    system = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}}
    layers = [
        _blob(blobs, "docker.container.image.v1+json", json.dumps(config | system).encode()),
        {
            "mediaType": "application/vnd.ollama.image.model",
            "digest": f"sha256:{digest}",
            "size": weights.stat().st_size,
        },
        _blob(blobs, "ollama.image.template", b"{{ .Prompt }}"),
    ]
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = models / "manifests/registry.ollama.ai/library" / NAME / "latest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "mediaType": kind, "config": layers[0], "layers": layers[1:]}))


def _blob(blobs: Path, kind: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    (blobs / f"sha256-{digest}").write_bytes(content)
    return {"mediaType": f"application/vnd.{kind}", "digest": f"sha256:{digest}", "size": len(content)}


def _measured(client: httpx.Client, environment: Mapping[str, str]) -> dict[str, Any]:
    answers = [_answer(client, length, seed) for seed, length in enumerate(PROMPTS)]
    (loaded,) = client.get("/api/ps").json()["models"]
    return {
        "version": client.get("/api/version").json()["version"],
        "tag": TAG,
        "env": environment,
        "size_vram": loaded["size_vram"],
        "size": loaded["size"],
        "context_length": loaded["context_length"],
        "used_mib": int(nvidia("memory.used")),
        "load_s": round(answers[0]["load_duration"] / 1e9, 2),
        "answers": [
            {
                "prompt_tokens": answer["prompt_eval_count"] - answer.get("prompt_eval_cached_count", 0),
                "prompt_s": round(answer["prompt_eval_duration"] / 1e9, 3),
                "tokens": answer["eval_count"],
                "seconds": round(answer["eval_duration"] / 1e9, 3),
            }
            for answer in answers
        ],
    }


def _answer(client: httpx.Client, length: int, seed: int) -> dict[str, Any]:
    text = "".join(chr(97 + (i * 7 + i // 26 + seed) % 26) for i in range(length))
    options = {"num_predict": TOKENS, "seed": seed}
    body = {"model": NAME, "prompt": text, "raw": True, "stream": False, "truncate": False, "options": options}
    found: dict[str, Any] = client.post("/api/generate", json=body).raise_for_status().json()
    return found


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])))
