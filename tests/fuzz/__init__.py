"""The fuzz target: any bytes to any party, see `fuzz.target`."""
