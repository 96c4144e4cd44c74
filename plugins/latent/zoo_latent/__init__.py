"""Latent-variable models: an observation is explained by unobserved variables."""
