"""Normalizing flows for zoo, over zuko."""
