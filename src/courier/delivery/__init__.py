"""Step deliver. `delivery.py` is the protocol; staging, publishing and undoing are its three parts."""

from courier.delivery.context import PUBLISHED, Alone, Workers
from courier.delivery.delivery import Delivery

__all__ = ["PUBLISHED", "Alone", "Delivery", "Workers"]
