"""Registry and release mirror of a lab, in one process: what registry.ollama.ai and the release host are to real hosts.

Every tag it is told to have is one of the lab's two small models under that name. It can be told to fail. It runs in a
container with nothing but python3 (3.11 or newer): the standard library only, relative imports.
"""
