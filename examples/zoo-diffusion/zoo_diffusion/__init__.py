"""Denoising diffusion for zoo, over diffusers."""
