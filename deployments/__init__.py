"""What is configured: recipes, device profiles, workloads, and the models that read them."""
