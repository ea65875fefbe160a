"""Helpers that start the lab's stand-ins on loopback."""
