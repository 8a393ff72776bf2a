"""What a server counts, for Prometheus: derived from events and calls, never the other way round."""

from .catalogue import Catalogue
from .observed import ObservedStore
from .text import Exposition

__all__ = ["Catalogue", "Exposition", "ObservedStore"]
