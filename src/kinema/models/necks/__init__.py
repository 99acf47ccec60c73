"""Necks: features of a backbone -> features of a head, and maybe further losses."""

from kinema.models.necks.tpn import TPN

__all__ = ["TPN"]
