"""Which models are loaded: one `llama-server` each, a queue in front, an expiry behind."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import faults, golang, gpu, log
from .child import Child, Launch, find_engine
from .models import Model, is_encoder
from .options import LOAD_OPTIONS, Options
from .settings import Settings

MODELS_PER_GPU = 3
PING_S = 10.0
"""Seconds a loaded engine has to say that it is well; after that it is loaded again."""
LONGEST_NAP_S = 3600.0
SMALLEST_CONTEXT = 4
SMALLEST_CONTEXT_VISION = 2048


class QueueFull(golang.GoError):
    """Too many requests wait for a model to be loaded."""

    def __init__(self) -> None:
        super().__init__("server busy, please try again.  maximum pending requests exceeded")


@dataclass
class Runner:
    """A loaded model."""

    model: Model
    child: Child
    options: Options
    file_size: int
    """Bytes of the weights; kept, because the file may be deleted while its model goes on answering."""
    shift: bool
    keep_s: float
    gpus: list[gpu.Gpu]
    users: int = 0
    expires_at: float = 0.0
    """Seconds since 1970."""

    @property
    def sizes(self) -> tuple[int, int, bool]:
        """`size`, `size_vram` in bytes, and whether the second is pretended."""
        size, vram = self.child.memory.sizes(self.file_size)
        if not self.gpus or not self.gpus[0].pretended:
            return size, vram, False
        return size, 0 if self.options.num_gpu == 0 else size, True

    def serves(self, wanted: "Wanted") -> bool:
        """A request can be answered without loading the model again."""
        same = all(getattr(self.options, name) == getattr(wanted.options, name) for name in LOAD_OPTIONS)
        return same and self.shift == wanted.shift and self.child.healthy(PING_S)


@dataclass
class Wanted:
    """A request that waits for a model."""

    model: Model
    options: Options
    keep_s: float | None
    shift: bool
    ready: threading.Event = field(default_factory=threading.Event)
    runner: Runner | None = None
    error: Exception | None = None


class Scheduler:
    """Loads, keeps and unloads models."""

    def __init__(self, settings: Settings, program: Path) -> None:
        self._settings = settings
        self._program = program
        self._libraries = program.parent.parent / "lib/ollama"
        self._loaded: dict[Path, Runner] = {}
        self._changed = threading.Condition()
        self._pending: queue.Queue[Wanted] = queue.Queue(settings.max_queue)
        self.default_context = settings.context_length or gpu.default_context(self.gpus())
        threading.Thread(target=self._load_pending, daemon=True).start()
        threading.Thread(target=self._expire, daemon=True).start()

    def gpus(self) -> list[gpu.Gpu]:
        """The GPUs the next model would be loaded to."""
        if faults.current().name == "cpu-fallback":
            return []
        return gpu.find(self._libraries / "llama-server", self._environment())

    def _environment(self) -> dict[str, str]:
        return gpu.engine_environment(
            self._libraries, vulkan=self._settings.vulkan and faults.current().name != "cpu-fallback"
        )

    @contextmanager
    def runner(
        self, model: Model, options: Options, keep_s: float | None, shift: bool, batch_given: bool
    ) -> Iterator[Runner]:
        """The loaded model, for as long as the block lasts.

        Args:
            model: which one.
            options: of the request.
            keep_s: seconds it stays after its last request; None: as it was, or the server's default.
            shift: the context may be shifted when it is full.
            batch_given: somebody set `num_batch`; else it follows the context.

        Raises:
            QueueFull: too many wait already.
            GoError: it cannot be loaded.
        """
        if faults.current().name == "queue-full":
            raise QueueFull
        wanted = Wanted(model, self._bounded(model, options, batch_given), keep_s, shift)
        if not self._use_loaded(wanted):
            try:
                self._pending.put_nowait(wanted)
            except queue.Full:
                raise QueueFull from None
            wanted.ready.wait()
        if wanted.error:
            raise wanted.error
        assert wanted.runner is not None
        try:
            yield wanted.runner
        finally:
            self._release(wanted.runner)

    def _bounded(self, model: Model, options: Options, batch_given: bool) -> Options:
        """Options with the context that is really possible, and the batch that goes with it."""
        context = max(options.num_ctx or self.default_context, SMALLEST_CONTEXT)
        if "vision" in model.capabilities:
            context = max(context, SMALLEST_CONTEXT_VISION)
        head = model.head()
        trained = head.trained_context if head else 0
        context = min(context, trained) if trained else context
        if batch_given:
            return replace(options, num_ctx=context)
        if head and is_encoder(head):
            return replace(options, num_ctx=context, num_batch=min(2048, context))
        cells = context * self._settings.num_parallel
        return replace(options, num_ctx=context, num_batch=2048 if cells > 32768 else 1024 if cells > 4096 else 512)

    def _use_loaded(self, wanted: Wanted) -> bool:
        with self._changed:
            runner = self._loaded.get(_key(wanted.model))
        if runner is None or not runner.serves(wanted):
            return False
        with self._changed:
            if self._loaded.get(_key(wanted.model)) is not runner:
                return False
            runner.users += 1
            if wanted.keep_s is not None:
                runner.keep_s = wanted.keep_s
            wanted.runner = runner
        return True

    def _release(self, runner: Runner) -> None:
        with self._changed:
            runner.users -= 1
            runner.expires_at = time.time() + runner.keep_s
            self._changed.notify_all()

    def _load_pending(self) -> None:
        """One model is loaded at a time; who comes next waits in the queue."""
        while True:
            wanted = self._pending.get()
            try:
                if not self._use_loaded(wanted):
                    self._make_room(wanted)
                    self._load(wanted)
            except (golang.GoError, OSError) as error:
                log.line("Load failed", model=wanted.model.file, error=error)
                wanted.error = error
            wanted.ready.set()

    def _make_room(self, wanted: Wanted) -> None:
        limit = self._settings.max_loaded_models or MODELS_PER_GPU * max(len(self.gpus()), 1)
        with self._changed:
            stale = self._loaded.get(_key(wanted.model))
            if stale is None and len(self._loaded) >= limit:
                stale = min(self._loaded.values(), key=lambda runner: (runner.users > 0, runner.keep_s))
            if stale is None:
                return
            # A hung engine never finishes; its users get what a dead one leaves them.
            if not stale.child.healthy(PING_S):
                stale.child.kill()
            self._changed.wait_for(lambda: not stale.users)
            self._unload(stale)

    def _load(self, wanted: Wanted) -> None:
        assert wanted.model.file is not None
        gpus = [] if wanted.options.num_gpu == 0 else self.gpus()
        engine = find_engine(self._libraries, self._program)
        head = wanted.model.head()
        embedding = head is not None and is_encoder(head)
        launch = Launch(
            model=wanted.model.file,
            options=wanted.options,
            parallel=1 if embedding else self._settings.num_parallel,
            embedding=embedding,
            cache_type=self._settings.kv_cache_type,
            flash_attention=self._settings.flash_attention,
            context_shift=wanted.shift,
            on_gpu=any(not device.pretended for device in gpus),
        )
        size = wanted.model.file.stat().st_size
        child = Child(engine, launch, self._environment())
        try:
            child.wait_until_ready(self._settings.load_timeout)
        except golang.GoError:
            child.stop()
            raise
        keep_s = self._settings.keep_alive if wanted.keep_s is None else wanted.keep_s
        runner = Runner(wanted.model, child, wanted.options, size, wanted.shift, keep_s, gpus, users=1)
        runner.expires_at = time.time() + keep_s
        wanted.runner = runner
        with self._changed:
            self._loaded[_key(wanted.model)] = runner
            self._changed.notify_all()

    def _unload(self, runner: Runner) -> None:
        """With the lock held."""
        runner.child.stop()
        self._loaded.pop(_key(runner.model), None)
        self._changed.notify_all()

    def _expire(self) -> None:
        while True:
            with self._changed:
                for runner in [runner for runner in self._loaded.values() if not runner.users]:
                    if runner.expires_at <= time.time():
                        self._unload(runner)
                times = [runner.expires_at for runner in self._loaded.values() if not runner.users]
                self._changed.wait(min([max(at - time.time(), 0.01) for at in times] + [LONGEST_NAP_S]))

    def expire(self, model: Model) -> None:
        """Unload a model as soon as its last request is answered."""
        with self._changed:
            runner = self._loaded.get(_key(model))
            if runner:
                runner.keep_s = 0.0
                runner.expires_at = 0.0
                self._changed.notify_all()

    def runners(self) -> list[Runner]:
        """What is loaded, the one that stays longest first."""
        with self._changed:
            return sorted(self._loaded.values(), key=lambda runner: -runner.expires_at)

    def stop(self) -> None:
        """End all engines."""
        with self._changed:
            for runner in list(self._loaded.values()):
                runner.child.stop()
            self._loaded.clear()


def _key(model: Model) -> Path:
    assert model.file is not None
    return model.file
