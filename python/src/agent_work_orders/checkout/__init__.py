from .checkout import GitCheckout
from .checkouts import GitCheckouts
from .clean_up import CleanUp
from .space import Room
from .volume import DiskVolume

__all__ = ["CleanUp", "DiskVolume", "GitCheckout", "GitCheckouts", "Room"]
