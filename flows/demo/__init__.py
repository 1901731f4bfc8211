"""Demonstrations on real data: the story of three versions of one model, and examples of other models."""
