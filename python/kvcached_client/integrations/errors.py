"""Why the integration refuses to start."""

from __future__ import annotations

from ..errors import KvcachedError


class IntegrationError(KvcachedError):
    """The engine that is installed, or how it is set up, can't be put on Kvcached. Nothing of it was changed."""
