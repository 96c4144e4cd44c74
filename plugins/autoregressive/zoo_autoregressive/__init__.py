"""Autoregressive density models: exact likelihoods by the chain rule."""
