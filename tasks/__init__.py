"""One stage of the pipeline each: inputs, cache, logging, and one call into a room below."""
