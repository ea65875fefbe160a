"""The command line: `ollama serve`, `ollama --version`."""

import argparse
import contextlib
import http.client
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from . import log, settings
from .api import Api
from .pull import Puller
from .release import VERSION
from .scheduler import Scheduler
from .settings import Settings
from .store import Store
from .web import Site


def main() -> None:
    """Run the command named by the arguments."""
    parser = argparse.ArgumentParser("ollama", description="Stand-in of inhouse's lab for Ollama's server.")
    parser.add_argument("-v", "--version", action="store_true", help="show version information")
    parser.add_argument("command", nargs="?", choices=["serve"], help="start the server")
    arguments = parser.parse_args()
    chosen = settings.from_environment(os.environ)
    if arguments.version:
        _print_version(chosen)
    elif arguments.command == "serve":
        _serve(chosen)
    else:
        parser.print_help()


def _print_version(chosen: Settings) -> None:
    host = "127.0.0.1" if chosen.host == "0.0.0.0" else chosen.host
    connection = http.client.HTTPConnection(host, chosen.port, timeout=5)
    try:
        connection.request("GET", "/api/version")
        running = json.loads(connection.getresponse().read())["version"]
    except (OSError, http.client.HTTPException, json.JSONDecodeError, KeyError):
        sys.stdout.write(
            f"Warning: could not connect to a running Ollama instance\nWarning: client version is {VERSION}\n"
        )
        return
    sys.stdout.write(f"ollama version is {running}\n")
    if running != VERSION:
        sys.stdout.write(f"Warning: client version is {VERSION}\n")


def _serve(chosen: Settings) -> None:
    if "HOME" not in os.environ:
        _fail("$HOME is not defined")
    store = Store(chosen.models)
    try:
        _make_identity(chosen.home)
        store.prepare()
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        _fail(f"mkdir {error.filename}: {cause}: ensure path elements are traversable")
    log.line("server config", OLLAMA_HOST=chosen.address, OLLAMA_MODELS=chosen.models)
    log.line(f"Ollama cloud disabled: {str(chosen.no_cloud).lower()}")
    if not chosen.no_prune:
        store.prune()
    scheduler = Scheduler(chosen, Path(sys.argv[0]).resolve())
    api = Api(store, scheduler, Puller(store, chosen.no_prune))
    try:
        site = Site((chosen.host, chosen.port), api.routes(), chosen.origins)
    except OSError as error:
        _fail(f"listen tcp {chosen.address}: bind: {(error.strerror or str(error)).lower()}")
    log.line(f"Listening on {chosen.address} (version {VERSION}; stand-in of inhouse's lab)")
    log.line("default context", default_num_ctx=scheduler.default_context, gpus=len(scheduler.gpus()))

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        site.serve_forever()
    finally:
        scheduler.stop()


def _make_identity(home: Path) -> None:
    """The real server keeps a signing key below its home and does not start where it cannot; nor does this one."""
    key = home / ".ollama" / "id_ed25519"
    key.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), key.open("x") as file:
        key.chmod(0o600)
        file.write("stand-in of inhouse's lab: nothing is signed\n")


def _fail(message: str) -> None:
    sys.stdout.write(f"Error: {message}\n")
    raise SystemExit(1)
