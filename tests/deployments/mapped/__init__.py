"""Tests of rows that stay on disk."""
