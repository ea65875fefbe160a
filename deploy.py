"""The service layer as a table of contents: what a host of inhouse is made of, in order.

Run by `inhouse up`, or without it: pyinfra inventories/homelab.py deploy.py
"""

from inhouse.deploys import session
from inhouse.deploys.models import models
from inhouse.deploys.ollama import ollama
from inhouse.deploys.open_webui import open_webui
from inhouse.deploys.proxy import proxy
from inhouse.deploys.tls import fleet, tls

session.begin()

fleet()
ollama()
models()
open_webui()
certificate = tls()
proxy(certificate)
