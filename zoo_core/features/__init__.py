"""Feature nets: small classifiers whose features sample-quality metrics are computed in.

They are a family of the core, described by the same hooks as any other.
"""
