from .checkout import GitCheckout, GitCheckouts

__all__ = ["GitCheckout", "GitCheckouts"]
