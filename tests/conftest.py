"""What holds for every test."""

import signal

from hypothesis import settings

# Properties are about what comes out, not about how fast; the first example of a process reads the catalogue.
settings.register_profile("inhouse", deadline=None)
settings.load_profile("inhouse")

# A shell lets what it starts in the background ignore Ctrl-C, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
