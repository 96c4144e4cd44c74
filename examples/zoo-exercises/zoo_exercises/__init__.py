"""Ten exercises on generative models: each file has one gap, which raises NotImplementedError."""
