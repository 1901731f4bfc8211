"""The watcher: it hears what the registry tells, looks for what it does not tell, and starts the wanted runs."""
