"""Stand-in for the Go half of Ollama: HTTP API, model store, pulls, scheduling. The engine it starts is the real one.

It becomes `bin/ollama` of the lab's release archive and runs on lab hosts with nothing but python3 (3.11 or newer), so
it uses the standard library only and imports itself by relative names. Its contract is `tests/recordings`: answers of a
real server, each replayed against it.
"""
