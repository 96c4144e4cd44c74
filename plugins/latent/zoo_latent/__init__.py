"""Latent-variable models: an observation is explained by variables that nobody observed."""
