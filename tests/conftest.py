"""What holds for every test."""

from hypothesis import settings

# Properties are about what comes out, not about how fast; the first example of a process reads the catalogue.
settings.register_profile("inhouse", deadline=None)
settings.load_profile("inhouse")
