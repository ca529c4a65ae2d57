"""What the examples share: progress on a terminal, staging on or off, the limit of a pipeline."""
