"""Feature nets: small classifiers whose features sample-quality metrics are computed in.

They come as a family of the core's own, through the door that any other family uses.
"""
