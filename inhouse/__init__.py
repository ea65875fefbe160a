"""inhouse: bare Linux hosts to a working, tested private AI service."""

__version__ = "0.1.0"
