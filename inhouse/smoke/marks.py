"""Marks of the smoke tests; what they mean is in inhouse.smoke.plugin."""

import pytest

needs = pytest.mark.needs
"""Things that must work for a test to say anything. When the test of one of them failed, this one is skipped."""
inside = pytest.mark.inside
"""The test looks at the host from inside. Where nobody gets in it is skipped; what it provides is unknown rather than
broken: the service may well answer."""
provides = pytest.mark.provides
"""Things that are known to work once a test passed."""
for_models = pytest.mark.for_models
"""The test runs once per planned model: of kind "chat", "embedding" or "all"."""
for_units = pytest.mark.for_units
"""The test runs once per service."""
with_open_webui = pytest.mark.with_open_webui
"""The test concerns only hosts that have Open-WebUI; `chat=True`: only where it has a model to chat with."""
with_chat_model = pytest.mark.with_chat_model
"""The test concerns only hosts that have a model which generates."""
