"""Tests of the first files of a model."""
