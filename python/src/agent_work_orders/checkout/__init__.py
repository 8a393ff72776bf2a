from .checkout import GitCheckout
from .checkouts import GitCheckouts

__all__ = ["GitCheckout", "GitCheckouts"]
