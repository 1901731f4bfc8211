"""Programs of the peers, which run in environments of their own and see nothing of this house."""
