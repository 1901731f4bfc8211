"""When things run and in which order."""
