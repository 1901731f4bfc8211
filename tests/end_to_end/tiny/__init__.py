"""The smallest real case: a model, data, a recipe and a device profile that go all the way in seconds."""
