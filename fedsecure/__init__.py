"""Secure aggregation for federated learning: the server sees sums, never a single update."""
