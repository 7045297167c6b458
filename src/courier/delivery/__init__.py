"""Step deliver. `delivery.py` is the protocol; staging, publishing and undoing are its three parts."""

from courier.delivery.context import Alone, Workers
from courier.delivery.delivery import Delivery

__all__ = ["Alone", "Delivery", "Workers"]
