"""Pinned releases: version, file and SHA-256 together, from releases.yml."""

OLLAMA_DEFAULT_VERSION = "0.34.4"
OPEN_WEBUI_VERSION = "0.12.4"
