"""Samples that several tests share."""

from dataclasses import replace
from typing import Any

from inhouse.planner.plan import Plan, PlannedModel

CHAT = PlannedModel(
    tag="qwen3:8b",
    purposes=("chat",),
    quantization="Q4_K_M",
    context_length=8192,
    parallel=1,
    download_mib=4983,
    weights_mib=4983,
    kv_cache_mib=1152,
    compute_mib=300,
    gpu_mib=6100,
    ram_mib=400,
    gpu_share=1.0,
    reason="The best chat model that fits.",
)
EMBEDDING = replace(CHAT, tag="nomic-embed-text", purposes=("embedding",), context_length=2048)


def a_plan(host: str = "gpu1", **changes: Any) -> Plan:
    """Return a complete plan of a host with one GPU, with `changes` to its fields."""
    plan = Plan(
        host=host,
        note="",
        server_name=f"{host}.example.internal",
        url=f"https://{host}.example.internal/",
        address="192.0.2.1",
        certificate_names=(f"{host}.example.internal", "192.0.2.1"),
        http_port=80,
        https_port=443,
        accelerator="cuda",
        hardware="RTX 4090 24 GiB, 16 threads, 64 GiB RAM",
        memory_total_mib=24564,
        ollama_version="0.34.4",
        ollama_archive_url="https://mirror.example.internal/v0.34.4/ollama-linux-amd64.tar.zst",
        ollama_archive_sha256="a" * 64,
        ollama_without=(),
        ollama_models_dir="/var/lib/ollama/models",
        ollama_port=11434,
        ollama_context_length=8192,
        ollama_num_parallel=1,
        ollama_max_loaded_models=2,
        ollama_kv_cache_type="f16",
        ollama_flash_attention=True,
        ollama_keep_alive="30m",
        ollama_nvidia=True,
        replace_existing_ollama=False,
        models=(CHAT, EMBEDDING),
        disk_reserve_mib=4096,
        min_tokens_per_second=3.0,
        open_webui=True,
        open_webui_version="0.12.4",
        open_webui_port=8080,
        open_webui_admin_email="admin@inhouse.internal",
        open_webui_default_model="qwen3:8b",
        open_webui_embedding_model="nomic-embed-text",
        reasons=(),
        warnings=(),
        problems=(),
    )
    return replace(plan, **changes)
