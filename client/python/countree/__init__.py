"""Counts likes, views and comments on a Countree cluster, and watches their totals."""

from .cluster import Cluster, Refused
from .producer import InDoubt, Producer, Rejected
from .viewer import watch

__all__ = ["Cluster", "InDoubt", "Producer", "Refused", "Rejected", "watch"]
