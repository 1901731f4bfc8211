"""The story of three versions of one upstream model, told on real data."""
