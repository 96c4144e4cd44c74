"""A family of generative models for zoo."""
