"""Adversarial models: a generator learns from a discriminator, and no likelihood is computed."""
