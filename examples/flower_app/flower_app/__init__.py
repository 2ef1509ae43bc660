"""A Flower app under secure aggregation."""
